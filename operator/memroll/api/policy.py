"""MemoryPolicy: what to watch and what may be done."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from memroll.api import cel_rules
from memroll.api.base import Message, Model, Name, Time, Word, WorkloadRef
from memroll.api.conditions import Condition
from memroll.api.evidence import Count, EvidenceSpec
from memroll.api.quantity import Duration, Growth, GrowthRate, Lead, LeadTime, Share
from memroll.api.roll_spec import RollSpec
from memroll.api.selector import Selector

NEAREST_MAX = 20
LAST_ROLLS_MAX = 10
DEFAULT_CONNECTION = "default"
"""Name of the Prometheus connection that is used where a policy, or a roll without one, names none."""
LEDGER_MAX = 20
LEDGER_LINES_MAX = 3


class Mode(StrEnum):
    OBSERVE = "Observe"
    """Judge and tell; touch nothing."""
    ENFORCE = "Enforce"
    """Also roll the pods that are going to run out of memory."""


class GrowthSpec(Model):
    """What counts as a leak."""

    per_hour: Growth = GrowthRate.parse("0.5%")
    """Growth per hour above which a trend counts: a share of the container's memory limit such as `0.5%`,
    or a quantity such as `20Mi`."""
    window: Duration = timedelta(hours=6)
    """How much of the past the trend is taken from."""
    warm_up: Duration = timedelta(minutes=30)
    """The first part of a container's life, which is never judged."""
    persist: Duration = timedelta(minutes=30)
    """How long the verdict must have held: the trend is judged now, half of this time ago and all of it ago."""


class LoadSpec(Model):
    """What the pods' work is measured by: growth that it explains is no leak."""

    metric: str = Field(min_length=1, max_length=200, pattern="^[a-zA-Z_:][a-zA-Z0-9_:]*$")
    """The name of a counter in Prometheus with the labels `namespace` and `pod`, such as `http_requests_total`."""


class ExhaustionSpec(Model):
    """When a leaking pod is rolled."""

    lead: LeadTime = Lead()
    """How long before its limit a pod is rolled. `Auto`: a quarter of the time that its memory has climbed, at most
    a third of `growth.window` (2h of 6h), at least three times what a roll of this workload takes."""


class PolicySpec(Model):
    """What to watch and what may be done."""

    mode: Mode
    """Observe tells, Enforce also rolls. Required: nobody arms a policy by accident."""
    suspend: bool = False
    """Stop judging and rolling; a roll under way is finished."""
    selector: Selector | None = Field(default=None, json_schema_extra={"x-kubernetes-validations": cel_rules.SELECTOR})
    """The pods of this namespace to watch, by label. Exactly one of `selector` and `targetRef`."""
    target_ref: WorkloadRef | None = Field(
        default=None, json_schema_extra={"x-kubernetes-validations": cel_rules.TARGET}
    )
    """The workload of this namespace to watch."""
    containers: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] = Field(default=(), max_length=32)
    """Names of the containers to watch. Empty: all, native sidecars included."""
    interval: Duration = timedelta(minutes=5)
    """How often the pods are judged."""
    growth: GrowthSpec = GrowthSpec()
    load: LoadSpec | None = None
    """What the pods' work is measured by. Without it, by the CPU that they use."""
    exhaustion: ExhaustionSpec = ExhaustionSpec()
    ceiling: Share | None = None
    """Also roll at this share of the limit, whatever the trend, after `growth.persist`."""
    roll: RollSpec = RollSpec()
    evidence: EvidenceSpec = EvidenceSpec()
    prometheus: Name = DEFAULT_CONNECTION
    """The name of a connection that the administrator configured."""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.selector is None) == (self.target_ref is None):
            raise ValueError("exactly one of `selector` and `targetRef` must be set")
        if self.growth.persist > self.growth.window:
            raise ValueError("`growth.persist` must not be longer than `growth.window`")
        return self


class PodCounts(Model):
    """Selected pods by verdict: a pod counts by the worst of its containers."""

    total: int = Field(default=0, ge=0)
    healthy: int = Field(default=0, ge=0)
    breaching: int = Field(default=0, ge=0)
    inconclusive: int = Field(default=0, ge=0)


class RollCounts(Model):
    """PodRolls of this policy that still exist (they are kept for 7 days), by how they ended."""

    succeeded: int = Field(default=0, ge=0)
    failed: int = Field(default=0, ge=0)
    active: int = Field(default=0, ge=0)


class NearPod(Model):
    """A container near exhaustion, and what was found of it."""

    pod: Name
    container: Word
    verdict: Word
    reason: Word
    message: Message = ""
    usage_bytes: int | None = Field(default=None, ge=0)
    limit_bytes: int | None = Field(default=None, ge=0)
    growth_bytes_per_hour: int | None = None
    time_to_limit_seconds: int | None = Field(default=None, ge=0)
    held_by: str = Field(default="", max_length=256)
    """The gate that holds this pod's roll, in words; empty when nothing does or none is due."""


class LastRoll(Model):
    name: Name
    pod: Name
    phase: Word
    time: Time
    reason: Message = ""


class LeakingLine(Model):
    """A line of code whose memory grew in the pod that was rolled last."""

    at: Annotated[str, Field(max_length=240)]
    """Such as `app/cache.py:42`."""
    bytes: Count
    """How much it grew, by the pod's own report."""


class LedgerEntry(Model):
    """What is known of the leak of one container, in one revision of its workload."""

    workload: str = Field(max_length=320)
    """Such as `Deployment/chat`."""
    revision: str = Field(default="", max_length=63)
    """The template hash, or the revision's name where there is none."""
    container: Word
    image: str = Field(default="", max_length=512)
    growth_bytes_per_hour: int | None = None
    """The median of the growth for which its pods were rolled, or else of those that leak now."""
    rolls: int = Field(default=0, ge=0)
    oom_kills: int = Field(default=0, ge=0)
    """Kills that memroll saw in this revision."""
    oom_kills_since: int = Field(default=0, ge=0)
    """Of these, those since its first roll."""
    growth_bytes_per_request: int | None = Field(default=None, ge=0)
    """Growth an hour by requests an hour, where the pod reports its requests."""
    lines: tuple[LeakingLine, ...] = Field(default=(), max_length=LEDGER_LINES_MAX)
    """The lines that grew most, by the evidence of its last roll."""
    freed_bytes: int = Field(default=0, ge=0)
    """What its rolls freed, as far as it was found out."""
    first_seen: Time
    last_seen: Time
    first_rolled: Time | None = None
    last_learned: Time | None = None
    """Up to when it is counted in `freedBytes` what rolls were worth."""


class PolicyStatus(Model):
    """What the last pass found and did."""

    observed_generation: int | None = Field(default=None, ge=0)
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    pods: PodCounts = PodCounts()
    rolls: RollCounts = RollCounts()
    next_limit: str = Field(default="", max_length=64)
    """The shortest predicted time to a limit among the breaching pods."""
    nearest: tuple[NearPod, ...] = Field(default=(), max_length=NEAREST_MAX)
    """The pods nearest exhaustion, breaching ones first."""
    last_rolls: tuple[LastRoll, ...] = Field(default=(), max_length=LAST_ROLLS_MAX)
    ledger: tuple[LedgerEntry, ...] = Field(default=(), max_length=LEDGER_MAX)
    """The leak ledger: what leaks, by revision and image, the newest first."""


class MemoryPolicy(Model):
    """Watches pods for memory leaks and replaces those that are going to run out of memory."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: Time
    spec: PolicySpec
    status: PolicyStatus = PolicyStatus()

    @classmethod
    def read(cls, raw: dict[str, Any]) -> MemoryPolicy:
        """Read the JSON of the API server. Raises pydantic's ValidationError for what can't be used."""
        meta = raw["metadata"]
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=meta.get("generation", 1),
            resource_version=meta.get("resourceVersion", ""),
            created_at=meta["creationTimestamp"],
            spec=PolicySpec.model_validate(raw.get("spec") or {}),
            status=read_status(raw),
        )


def read_status(raw: dict[str, Any]) -> PolicyStatus:
    """Read a policy's status leniently: an unreadable one (an older schema) counts as none."""
    try:
        return PolicyStatus.model_validate(raw.get("status") or {})
    except ValueError:
        return PolicyStatus()
