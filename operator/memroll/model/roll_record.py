"""Record of a PodRoll in memory: what budgets, cooldowns, the rate limit and effects need of it, without evidence.

`controller.object_index` keeps one for each PodRoll of the cluster; planning and reporting read them. The fields have
the names of the PodRoll's. A PodRoll as a pydantic object takes about ten times the memory, see design note 0024.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from memroll.api.base import WorkloadRef, metadata_fields
from memroll.api.leak_ledger import MAX_LEDGER_LINES
from memroll.api.pod_roll import PodRoll
from memroll.model.object_record import ObjectRecord
from memroll.model.revisions import revision_of_roll
from memroll.model.roll_duration import measured_duration_s

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.evidence import Evidence
    from memroll.api.pod_roll import EffectResult, Phase, PodRollSpec, PodRollStatus, RollEffect, RollTrigger
    from memroll.api.roll_spec import Strategy

MAX_SHARED_REFS = 4096
"""Maximum number of workload references that are shared by records, chosen by hand."""


@dataclass(frozen=True, slots=True)
class RecordedTrigger:
    """Measurements because of which the pod was rolled."""

    container: str
    image: str
    growth_bytes_per_hour: int | None
    container_started: datetime | None

    @classmethod
    def of(cls, trigger: RollTrigger) -> RecordedTrigger:
        container, image = sys.intern(trigger.container), sys.intern(trigger.image)
        return cls(container, image, trigger.growth_bytes_per_hour, trigger.container_started)


@dataclass(frozen=True, slots=True)
class RecordedEffect:
    """Effect of a roll."""

    result: EffectResult | None
    before_bytes: int | None
    after_bytes: int | None
    compared_at: datetime | None

    @classmethod
    def of(cls, effect: RollEffect) -> RecordedEffect:
        return cls(effect.result, effect.before_bytes, effect.after_bytes, effect.compared_at)


@dataclass(frozen=True, slots=True)
class RecordedReplacement:
    """Pod that replaces the rolled pod."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class RecordedReport:
    """Numbers of the pod's own memory report that the leak ledger contains."""

    lines: tuple[tuple[str, int], ...]
    """Lines of code that grew, each with its growth in bytes; the largest first."""
    requests_total: int | None
    uptime_seconds: int | None

    @classmethod
    def of(cls, evidence: Evidence | None) -> RecordedReport | None:
        if evidence is None or evidence.probe is None:
            return None
        lines = tuple((str(line), line.bytes) for line in evidence.grown_lines[:MAX_LEDGER_LINES])
        return cls(lines, evidence.probe.requests_total, evidence.probe.uptime_seconds)


@dataclass(frozen=True, slots=True)
class RecordedTimes:
    """Times of a roll."""

    announced: datetime | None
    finished: datetime | None


@dataclass(frozen=True, slots=True)
class RecordedSpec:
    """Pod to roll, and the reason."""

    pod_name: str
    policy: str
    workload: WorkloadRef | None
    reason: str
    trigger: RecordedTrigger | None

    @classmethod
    def of(cls, spec: PodRollSpec) -> RecordedSpec:
        trigger = None if spec.trigger is None else RecordedTrigger.of(spec.trigger)
        return cls(spec.pod_name, sys.intern(spec.policy), _shared(spec.workload), spec.reason, trigger)


@dataclass(frozen=True, slots=True)
class RecordedStatus:
    """Progress of the roll."""

    phase: Phase | None
    strategy: Strategy | None
    workload: WorkloadRef | None
    replacement: RecordedReplacement | None
    effect: RecordedEffect | None
    report: RecordedReport | None
    times: RecordedTimes

    @classmethod
    def of(cls, status: PodRollStatus) -> RecordedStatus:
        new, times = status.replacement, status.times
        return cls(
            phase=status.phase,
            strategy=status.strategy,
            workload=_shared(status.workload),
            replacement=None if new is None else RecordedReplacement(new.name, new.uid),
            effect=None if status.effect is None else RecordedEffect.of(status.effect),
            report=RecordedReport.of(status.evidence),
            times=RecordedTimes(times.announced, times.finished),
        )


@dataclass(frozen=True, slots=True)
class RollRecord(ObjectRecord):
    """One PodRoll, without what only its own steps need."""

    created_at: datetime
    pod_uid: str
    spec: RecordedSpec
    status: RecordedStatus
    has_used_budget: bool
    """As in `PodRoll`."""
    has_ended_unchanged: bool
    """As in `PodRoll`."""
    revision: str | None
    """Revision of the rolled pod; None if the PodRoll does not contain it, empty if the pod had none."""
    duration_s: float | None
    """Duration of an ended roll in seconds, as `model.roll_duration` measures it."""

    @classmethod
    def of(cls, roll: PodRoll, generation: int = 1) -> RollRecord:
        """Build the record of a PodRoll. Strings that many records contain are shared."""
        return cls(
            namespace=sys.intern(roll.namespace),
            name=roll.name,
            uid=roll.uid,
            resource_version=roll.resource_version,
            generation=generation,
            deleting=roll.deleting,
            created_at=roll.created_at,
            pod_uid=roll.pod_uid,
            spec=RecordedSpec.of(roll.spec),
            status=RecordedStatus.of(roll.status),
            has_used_budget=roll.has_used_budget,
            has_ended_unchanged=roll.has_ended_unchanged,
            revision=revision_of_roll(roll),
            duration_s=measured_duration_s(roll),
        )

    @classmethod
    def read(cls, raw: dict[str, Any]) -> RollRecord:
        """Parse the API server's JSON. Raises pydantic's ValidationError for an invalid object."""
        generation = metadata_fields(raw)["generation"]
        return cls.of(PodRoll.read(_without_bulk(raw)), generation if isinstance(generation, int) else 1)

    @property
    def active(self) -> bool:
        return self.status.phase is None or not self.status.phase.final

    @property
    def has_ended(self) -> bool:
        """True if there is no further step."""
        return not self.active


def _without_bulk(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a PodRoll without its settings of evidence, and with no evidence but the pod's own report."""
    spec, status = raw.get("spec"), raw.get("status")
    if isinstance(spec, dict):
        spec = {key: value for key, value in spec.items() if key != "evidence"}
    if isinstance(status, dict):
        evidence = status.get("evidence")
        status = {key: value for key, value in status.items() if key != "evidence"}
        if isinstance(evidence, dict) and evidence.get("probe"):
            status["evidence"] = {key: evidence[key] for key in ("capturedAt", "probe") if key in evidence}
    return {"metadata": raw.get("metadata"), "spec": spec, "status": status}


def _shared(ref: WorkloadRef | None) -> WorkloadRef | None:
    return None if ref is None else _shared_ref(ref.api_version, ref.kind, ref.name)


@lru_cache(MAX_SHARED_REFS)
def _shared_ref(api_version: str, kind: str, name: str) -> WorkloadRef:
    return WorkloadRef(api_version=api_version, kind=kind, name=name)
