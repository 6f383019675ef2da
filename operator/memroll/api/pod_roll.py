"""PodRoll: one pod's roll. The write-ahead record, the audit trail and the veto."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from memroll.api.base import Message, Model, Name, Time, Uid, Word, WorkloadRef
from memroll.api.evidence import Evidence, EvidenceSpec
from memroll.api.roll_spec import DrainSpec, Strategy
from memroll.api.selector import LabelKey, LabelValue


class Phase(StrEnum):
    """Where a roll stands. It is written before the act that it names."""

    ANNOUNCED = "Announced"
    """Recorded; nothing is touched yet."""
    CAPTURING_EVIDENCE = "CapturingEvidence"
    """Nothing is touched yet; what the pod holds is written down before it goes."""
    REPLACING = "Replacing"
    """Surge: the pod is released from its ReplicaSet, the replacement is on its way."""
    DRAINING = "Draining"
    """The replacement is Ready; the old pod gets no new connections and finishes what it has."""
    EVICTING = "Evicting"
    """The old pod is being evicted."""
    VERIFYING = "Verifying"
    """The old pod is gone; the workload gets back to its ready pods."""
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    """The pod was not replaced; whatever was changed is put back."""
    ABORTED = "Aborted"
    """Stopped by a person, or no longer needed; whatever was changed is put back."""

    @property
    def final(self) -> bool:
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.ABORTED)


class Finding(Model):
    """The numbers for which a pod is rolled."""

    container: Word
    usage_bytes: int = Field(ge=0)
    limit_bytes: int | None = Field(default=None, ge=0)
    growth_bytes_per_hour: int | None = None
    time_to_limit_seconds: int | None = Field(default=None, ge=0)
    container_started: Time | None = None
    """When the container began: what a replacement is compared with at the same age."""
    image: str = Field(default="", max_length=512)


class RollSpecification(Model):
    """What to roll and why. Only `veto` can be changed afterwards."""

    pod_name: Name
    pod_uid: Uid = Field(default="", serialization_alias="podUID", validation_alias="podUID")
    """The pod's uid; when empty it is the pod that has this name at the first step."""
    policy: str = Field(default="", max_length=253)
    """The policy that asks for the roll; empty for a roll that a person asks for."""
    workload: WorkloadRef | None = None
    strategy: Strategy = Strategy.AUTO
    replacement_timeout_seconds: int = Field(default=600, ge=5, le=21600)
    drain: DrainSpec = DrainSpec()
    evidence: EvidenceSpec = EvidenceSpec()
    reason: Message = ""
    finding: Finding | None = None
    veto: bool = False
    """Set it to stop the roll: what was changed is put back."""


class PhaseTimes(Model):
    announced: Time | None = None
    capturing_evidence: Time | None = None
    replacing: Time | None = None
    draining: Time | None = None
    evicting: Time | None = None
    verifying: Time | None = None
    finished: Time | None = None


class Replacement(Model):
    name: Name
    uid: Uid = ""


class ControllerRef(WorkloadRef):
    """What owned the pod when its roll began: a released pod no longer says it."""

    uid: Uid


class Release(Model):
    """What is needed to put a released pod back: recorded before the pod is touched."""

    hash_label: str = Field(max_length=317)
    template_hash: str = Field(max_length=63)


class Detachment(Model):
    """What keeps new connections from a pod: recorded before the pod is touched."""

    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, max_length=32)
    """The labels that are changed, as they were."""
    skipped: Message = ""
    """Why the pod is not detached, or empty."""


class Effect(StrEnum):
    """What a roll was worth."""

    HELPED = "Helped"
    """The memory came down, and does not come back as it did."""
    INEFFECTIVE = "Ineffective"
    """The replacement holds as much memory as the pod had, at once: rolling does not help."""
    LEAK_PERSISTS = "LeakPersists"
    """The memory came down and grows again as fast as it did: rolling buys time, no more."""


class Memory(Model):
    """Memory before and after a roll, written once the replacement is old enough to be compared."""

    before_bytes: int | None = Field(default=None, ge=0)
    """The old pod's usage when it was rolled."""
    after_bytes: int | None = Field(default=None, ge=0)
    """The replacement's usage after its warm-up."""
    growth_before_bytes_per_hour: int | None = None
    growth_after_bytes_per_hour: int | None = None
    """Both at the same age, in seconds:"""
    age_seconds: int | None = Field(default=None, ge=0)
    effect: Effect | None = None
    message: Message = ""
    judged: Time | None = None
    """When the comparison was settled; unset while more is to come."""


class RollStatus(Model):
    """How far the roll is."""

    phase: Phase | None = None
    message: Message = ""
    reason: Word = ""
    """Why it stands or ended here, in one word."""
    pod_uid: Uid = Field(default="", serialization_alias="podUID", validation_alias="podUID")
    strategy: Strategy | None = None
    """The strategy in use, after Auto was decided."""
    strategy_reason: Message = ""
    workload: WorkloadRef | None = None
    workload_uid: Uid = Field(default="", serialization_alias="workloadUID", validation_alias="workloadUID")
    controller: ControllerRef | None = None
    ready_before: int = Field(default=0, ge=0)
    """Ready pods of the workload when the roll began, the pod itself included."""
    release: Release | None = None
    detachment: Detachment | None = None
    restarted_at: Time | None = None
    """Restart: the time that is written into the workload's annotation."""
    evidence: Evidence | None = None
    """What was found of the pod before anything was changed."""
    replacement: Replacement | None = None
    memory: Memory | None = None
    times: PhaseTimes = PhaseTimes()


class PodRoll(Model):
    """One pod's roll."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    created_at: Time
    deleting: bool = False
    spec: RollSpecification
    status: RollStatus = RollStatus()

    @classmethod
    def read(cls, raw: dict[str, Any]) -> PodRoll:
        """Read the JSON of the API server. Raises pydantic's ValidationError for what can't be used."""
        meta = raw["metadata"]
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            resource_version=meta.get("resourceVersion", ""),
            created_at=meta["creationTimestamp"],
            deleting=bool(meta.get("deletionTimestamp")),
            spec=RollSpecification.model_validate(raw.get("spec") or {}),
            status=RollStatus.model_validate(raw.get("status") or {}),
        )

    @property
    def active(self) -> bool:
        return self.status.phase is None or not self.status.phase.final

    @property
    def pod_uid(self) -> str:
        return self.spec.pod_uid or self.status.pod_uid
