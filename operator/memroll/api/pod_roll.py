"""PodRoll: the roll of one pod. It is the write-ahead record, the audit trail and the means to cancel the roll."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from memroll.api.base import (
    NAME_PATTERN,
    ApiModel,
    ImageName,
    Message,
    Name,
    ShortText,
    Time,
    Uid,
    WorkloadRef,
    metadata_fields,
)
from memroll.api.conditions import CONDITION_LIST, Condition
from memroll.api.evidence import Evidence, EvidenceSpec
from memroll.api.roll_conditions import roll_conditions
from memroll.api.roll_progress import PhaseTimes, StepFailure
from memroll.api.roll_spec import DrainSpec, HoldOrEvict, Strategy
from memroll.api.selector import LabelKey, LabelValue

MAX_REPLACEMENT_TIMEOUT_S = 21_600
"""Maximum replacement timeout in seconds: the 6h that the CRD of a policy allows."""


class Phase(StrEnum):
    """Phase of a roll. It is written before the action that it names."""

    ANNOUNCED = "Announced"
    """The roll is recorded; nothing is changed yet."""
    CAPTURING_EVIDENCE = "CapturingEvidence"
    """Evidence about the pod is captured; nothing is changed yet."""
    REPLACING = "Replacing"
    """Surge: the pod is released from its ReplicaSet, and the replacement starts."""
    DRAINING = "Draining"
    """The replacement is Ready; the old pod gets no new connections and finishes its requests."""
    EVICTING = "Evicting"
    """The old pod is being evicted."""
    VERIFYING = "Verifying"
    """The old pod is gone; the workload recovers its number of ready pods."""
    SUCCEEDED = "Succeeded"
    """The pod was replaced."""
    FAILED = "Failed"
    """The replacement is not complete. Changes are rolled back, unless the old pod is gone, or still released."""
    ABORTED = "Aborted"
    """The roll was canceled, or is no longer needed; all changes are rolled back."""

    @property
    def final(self) -> bool:
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.ABORTED)


class RollTrigger(ApiModel):
    """Measurements because of which the pod is rolled."""

    container: ShortText
    """Name of the container."""
    usage_bytes: int = Field(ge=0)
    """Working set of the container."""
    limit_bytes: int | None = Field(default=None, ge=0)
    """Memory limit of the container."""
    growth_bytes_per_hour: int | None = None
    """Growth of the container's memory."""
    time_to_limit_seconds: int | None = Field(default=None, ge=0)
    """Predicted time to the memory limit."""
    expected_roll_seconds: int | None = Field(default=None, ge=0)
    """Expected duration of the roll."""
    container_started: Time | None = None
    """Start of the container. The replacement is compared with the pod at the same age."""
    image: ImageName = ""
    """Image of the container."""


class PodRollSpec(ApiModel):
    """Pod to roll, and the reason. Only `cancel` can be changed afterwards."""

    pod_name: Name
    """Name of the pod to roll."""
    pod_uid: Uid = Field(default="", serialization_alias="podUID", validation_alias="podUID")
    """UID of the pod. Empty: the pod that has this name at the first step."""
    policy: str = Field(default="", max_length=253, pattern=f"^$|{NAME_PATTERN}")
    """Name of the policy that created the roll; empty for a roll that was created by hand."""
    workload: WorkloadRef | None = None
    """Workload of the pod."""
    strategy: Strategy = Strategy.AUTO
    """`Surge` starts the replacement before the pod is evicted, `Evict` evicts the pod first, `Restart` restarts
    the whole workload. `Auto` is Surge where supported, else Evict; Restart for `strategy: Recreate`."""
    during_rollout: HoldOrEvict = HoldOrEvict.HOLD
    """`Evict`: the roll also begins while the workload is in a rollout, if its strategy is `Evict`."""
    replacement_timeout_seconds: int = Field(default=600, ge=5, le=MAX_REPLACEMENT_TIMEOUT_S)
    """Time within which the replacement must become Ready; after it the roll is rolled back."""
    settle_seconds: int = Field(default=0, ge=0, le=3600)
    """Time for which the replacement must be Ready before the old pod leaves, in addition to `minReadySeconds`."""
    drain: DrainSpec = DrainSpec()
    """Draining of the released pod before it is evicted."""
    evidence: EvidenceSpec = EvidenceSpec()
    """Evidence to capture before the pod is rolled."""
    reason: Message = ""
    """Reason for the roll, as a sentence."""
    trigger: RollTrigger | None = None
    """Measurements because of which the pod is rolled."""
    cancel: bool = False
    """Set to true to cancel the roll: all changes are rolled back."""


class ReplacementPod(ApiModel):
    """Pod that replaces the rolled pod."""

    name: Name
    """Name of the pod."""
    uid: Uid = ""
    """UID of the pod."""


class ControllerRef(WorkloadRef):
    """Controller of the pod at the beginning of the roll; a released pod no longer refers to it."""

    uid: Uid
    """UID of the controller."""


class PodRelease(ApiModel):
    """Label that was changed to release the pod from its ReplicaSet, recorded before the change."""

    hash_label: str = Field(max_length=317)
    """Key of the label."""
    template_hash: str = Field(max_length=63)
    """Value of the label, to restore it in a rollback."""


class Detachment(ApiModel):
    """Labels that were changed to detach the pod from its Services, recorded before the change."""

    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, max_length=32)
    """Changed labels, with their original values."""
    skipped: Message = ""
    """Reason for not detaching the pod; empty if it is detached."""


class EffectResult(StrEnum):
    """Result of comparing the replacement with the rolled pod."""

    EFFECTIVE = "Effective"
    """The memory came down, and does not grow as it did before."""
    INEFFECTIVE = "Ineffective"
    """The replacement uses as much memory as the pod did, right after its start: rolling does not help."""
    LEAK_PERSISTS = "LeakPersists"
    """The memory came down, and grows again as it did before: rolling only buys time."""


class RollEffect(ApiModel):
    """Effect of a roll: memory before and after it, written once the replacement is old enough to be compared."""

    before_bytes: int | None = Field(default=None, ge=0)
    """Usage of the old pod when it was rolled."""
    after_bytes: int | None = Field(default=None, ge=0)
    """Usage of the replacement after its warm-up."""
    growth_before_bytes_per_hour: int | None = None
    """Growth of the old pod at the age of `ageSeconds`."""
    growth_after_bytes_per_hour: int | None = None
    """Growth of the replacement at the age of `ageSeconds`."""
    age_seconds: int | None = Field(default=None, ge=0)
    """Age of the containers at which the two pods are compared."""
    result: EffectResult | None = None
    """`Effective`: the memory came down and does not grow as it did before. `Ineffective`: the replacement uses as
    much memory right after its start. `LeakPersists`: the memory came down and grows again as it did before.
    Unset: unknown."""
    message: Message = ""
    """Result as a sentence."""
    compared_at: Time | None = None
    """Time at which the comparison was completed; unset until then."""


class PodRollStatus(ApiModel):
    """Progress of the roll."""

    phase: Phase | None = None
    """Phase of the roll, written before the action that it names."""
    message: Message = ""
    """State of the roll, as a sentence."""
    reason: ShortText = ""
    """Cause of the roll's waiting or its end, as one CamelCase word."""
    pod_uid: Uid = Field(default="", serialization_alias="podUID", validation_alias="podUID")
    """UID of the pod, recorded at the first step."""
    strategy: Strategy | None = None
    """Strategy in use, after `Auto` was resolved."""
    strategy_reason: Message = ""
    """Reason for the choice of the strategy."""
    workload: WorkloadRef | None = None
    """Workload of the pod."""
    workload_uid: Uid = Field(default="", serialization_alias="workloadUID", validation_alias="workloadUID")
    """UID of the workload."""
    controller: ControllerRef | None = None
    """Controller of the pod at the beginning of the roll."""
    ready_before: int = Field(default=0, ge=0)
    """Number of ready pods of the workload at the beginning of the roll, the pod itself included."""
    release: PodRelease | None = None
    """Label that was changed to release the pod from its ReplicaSet."""
    detachment: Detachment | None = None
    """Labels that were changed to detach the pod from its Services."""
    restarted_at: Time | None = None
    """Restart: time that is written into the workload's annotation."""
    evidence: Evidence | None = None
    """Evidence about the pod, captured before anything was changed."""
    replacement: ReplacementPod | None = None
    """Pod that replaces the rolled pod."""
    effect: RollEffect | None = None
    """Memory before and after the roll."""
    step_failure: StepFailure | None = None
    """Set while steps of the roll fail because of a bug of memroll; one that succeeds removes it."""
    times: PhaseTimes = PhaseTimes()
    """Times at which the phases began."""
    conditions: tuple[Condition, ...] = Field(default=(), max_length=4, json_schema_extra=CONDITION_LIST)
    """`Ready`: True once the pod was replaced; `Reconciling` while the roll is in progress; `Stalled` after it has
    failed or was aborted. They follow from the phase."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, with the conditions of its phase."""
        conditions = roll_conditions(self)
        return super().to_dict() | ({"conditions": [c.to_dict() for c in conditions]} if conditions else {})


class PodRoll(ApiModel):
    """Roll of one pod: its record, its audit trail and the means to cancel it."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    created_at: Time
    deleting: bool = False
    spec: PodRollSpec
    status: PodRollStatus = PodRollStatus()

    @classmethod
    def read(cls, raw: dict[str, Any]) -> PodRoll:
        """Parse the API server's JSON. Raises pydantic's ValidationError for an invalid object."""
        spec = PodRollSpec.model_validate(raw.get("spec") or {})
        status = PodRollStatus.model_validate(raw.get("status") or {})
        return cls.model_validate(metadata_fields(raw) | {"spec": spec, "status": status})

    @property
    def active(self) -> bool:
        return self.status.phase is None or not self.status.phase.final

    @property
    def pod_uid(self) -> str:
        return self.spec.pod_uid or self.status.pod_uid

    @property
    def has_used_budget(self) -> bool:
        """True unless it was aborted, or rolled back while its pod was still there.

        Where a bug has ended the roll, nothing is known of an eviction that may have been sent: it counts.
        """
        status = self.status
        if status.phase is Phase.FAILED:
            may_be_evicted = status.step_failure is not None and status.times.evicting
            return bool(status.times.verifying or status.restarted_at or may_be_evicted)
        return status.phase is not Phase.ABORTED

    @property
    def has_ended_unchanged(self) -> bool:
        """True if the roll ended before its first change, which each strategy records before it is made."""
        status, times = self.status, self.status.times
        if self.active or status.phase is Phase.SUCCEEDED:
            return False
        first_change = times.replacing or times.draining or times.evicting or times.verifying
        return not (first_change or status.release or status.restarted_at)
