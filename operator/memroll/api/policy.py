"""MemoryPolicy: the pods to watch for memory leaks, and the permitted actions."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from memroll.api import cel_rules
from memroll.api.base import (
    ATOMIC,
    MAX_REFERENCE_CHARS,
    SET,
    ApiModel,
    Message,
    Name,
    ShortText,
    Time,
    WorkloadRef,
    metadata_fields,
)
from memroll.api.conditions import CONDITION_LIST, Condition
from memroll.api.dry_run import MAX_DRY_RUNS, DryRun
from memroll.api.evidence import EvidenceSpec
from memroll.api.last_roll import LastAction, LastRoll
from memroll.api.leak_ledger import MAX_LEDGER_ENTRIES, LedgerEntry
from memroll.api.limit_suggestion import MAX_EXITED_CONTAINERS, MAX_SUGGESTIONS, ExitedContainer, LimitSuggestion
from memroll.api.memory_limit import MemoryLimitField
from memroll.api.quantity import AutoOrDuration, Duration, Growth, GrowthRate, LeadTime, UsageThreshold
from memroll.api.roll_spec import RollPolicy
from memroll.api.selector import LabelSelector

MAX_AT_RISK = 20
"""Maximum number of entries in `status.atRisk`, chosen by hand."""
MAX_LAST_ROLLS = 10
"""Maximum number of entries in `status.lastRolls`, chosen by hand."""
DEFAULT_CONNECTION = "default"
"""Name of the Prometheus connection for policies that name none, and for rolls without a policy."""
MAX_AUTOSCALERS = 10
"""Maximum number of entries in `status.autoscalers`, chosen by hand."""


ContainerName = Annotated[str, Field(min_length=1, max_length=63)]


class Mode(StrEnum):
    OBSERVE = "Observe"
    """Detect and report leaks, change nothing."""
    DRY_RUN = "DryRun"
    """Also report the pods that would be rolled, and each gate that blocks a roll. Change nothing."""
    ENFORCE = "Enforce"
    """Also roll the pods that are about to reach their memory limit."""


class GrowthSpec(ApiModel):
    """Definition of a leak."""

    per_hour: Growth = GrowthRate.parse("0.5%")
    """Minimum growth per hour of a leak: a percentage of the container's memory limit such as `0.5%`,
    or a quantity such as `20Mi`."""
    window: Duration = timedelta(hours=6)
    """Length of the time window from which the trend is computed."""
    warm_up: Duration = timedelta(minutes=30)
    """Time after a container's start that is excluded from the trend."""
    for_: Duration = Field(default=timedelta(minutes=30), alias="for")
    """Time for which a leak must persist: it must be found now, half of this time ago, and all of it ago."""


class LoadSpec(ApiModel):
    """Load of the pods. Memory growth that the load explains is not a leak."""

    metric: str = Field(min_length=1, max_length=200, pattern="^[a-zA-Z_:][a-zA-Z0-9_:]*$")
    """Name of a counter in Prometheus with the labels `namespace` and `pod`, such as `http_requests_total`."""


class OtherMemory(StrEnum):
    REPORT = "Report"
    """Report a container whose memory grows outside of its processes' own, roll nothing for it."""
    ROLL = "Roll"
    """Also roll its pod before the limit is reached."""


class ExhaustionSpec(ApiModel):
    """Memory limit that is predicted, and the time before it at which a pod is rolled."""

    lead_time: LeadTime = AutoOrDuration()
    """Time before the predicted limit at which a pod is rolled. `Auto`: a quarter of the duration of the memory's
    growth phase, at most a third of `growth.window` (2h of 6h), at least three times the duration of a roll of this
    workload."""
    limit: MemoryLimitField | None = None
    """Memory at which the watched containers die, if that is below their memory limit, or if they have none: a
    percentage of it such as `50%`, or a quantity such as `520Mi`. The lower one of the two counts."""
    other_memory: OtherMemory = OtherMemory.REPORT
    """Action for a container whose memory outside of its processes' own grows up to the limit (memory volumes, kernel,
    page tables, swap): `Report` it, or `Roll` its pod as well."""


class PolicySpec(ApiModel):
    """Pods to watch for memory leaks, and the permitted actions."""

    mode: Mode
    """`Observe` detects and reports leaks, `DryRun` also reports the pods that would be rolled, `Enforce` rolls them.
    Required, so that no policy is enforced by accident."""
    suspend: bool = False
    """Stop detecting and rolling; a roll in progress is completed."""
    selector: LabelSelector | None = Field(
        default=None, json_schema_extra={"x-kubernetes-validations": cel_rules.SELECTOR}
    )
    """Label selector of the pods to watch in this namespace. Exactly one of `selector` and `targetRef` must be set."""
    target_ref: WorkloadRef | None = Field(
        default=None, json_schema_extra={"x-kubernetes-validations": cel_rules.TARGET}
    )
    """Workload to watch in this namespace. Exactly one of `selector` and `targetRef` must be set."""
    containers: tuple[ContainerName, ...] = Field(default=(), max_length=32, json_schema_extra=SET)
    """Names of the containers to watch. Empty: all, native sidecars included."""
    interval: Duration = timedelta(minutes=5)
    """Time between two reconciles of the policy."""
    growth: GrowthSpec = GrowthSpec()
    """Definition of a leak."""
    load: LoadSpec | None = None
    """Metric of the pods' load: memory growth that it explains is not a leak. Without it, CPU usage is the load."""
    exhaustion: ExhaustionSpec = ExhaustionSpec()
    """Memory limit that is predicted, and the time before it at which a pod is rolled."""
    usage_threshold: UsageThreshold | None = None
    """Percentage of the memory limit above which a pod is rolled whatever its trend, once its usage has been at or
    above it for `growth.for`; at least 10%."""
    roll: RollPolicy = RollPolicy()
    """Strategy, pace and times of rolls."""
    evidence: EvidenceSpec = EvidenceSpec()
    """Evidence to capture before a pod is rolled."""
    prometheus: Name = DEFAULT_CONNECTION
    """Name of a Prometheus connection that the administrator configured."""

    @model_validator(mode="after")
    def _require_consistency(self) -> Self:
        if (self.selector is None) == (self.target_ref is None):
            raise ValueError("exactly one of `selector` and `targetRef` must be set")
        if self.growth.for_ > self.growth.window:
            raise ValueError("`growth.for` must not be longer than `growth.window`")
        return self


class PodCounts(ApiModel):
    """Number of selected pods by verdict. A pod has the most severe verdict of its containers."""

    total: int = Field(default=0, ge=0)
    """Number of selected pods."""
    healthy: int = Field(default=0, ge=0)
    """Pods without signs of a leak."""
    suspected: int = Field(default=0, ge=0)
    """Pods whose memory grows like a leak's, not yet confirmed."""
    at_risk: int = Field(default=0, ge=0)
    """Pods that leak, are about to reach their limit, or are above `usageThreshold`."""
    inconclusive: int = Field(default=0, ge=0)
    """Pods for which there is not enough data."""


class RollCounts(ApiModel):
    """Number of the policy's PodRolls by result. PodRolls are kept for 7 days, those without effect for 30 days."""

    succeeded: int = Field(default=0, ge=0)
    """Number of PodRolls that succeeded."""
    failed: int = Field(default=0, ge=0)
    """Number of PodRolls that failed."""
    active: int = Field(default=0, ge=0)
    """Number of PodRolls in progress."""


class BlockedBy(ApiModel):
    """Gate that blocks a roll."""

    gate: ShortText
    """Name of the gate, such as `NotDue`."""
    message: str = Field(default="", max_length=256)
    """Reason for which the gate blocks the roll, as a sentence."""
    others: tuple[ShortText, ...] | None = Field(default=None, max_length=32, json_schema_extra=ATOMIC)
    """In mode DryRun: the other gates that block the roll as well, in their order."""


class AtRiskPod(ApiModel):
    """Verdict on a container, with the measurements behind it."""

    pod: Name
    """Name of the pod."""
    container: ShortText
    """Name of the container."""
    verdict: ShortText
    """`Healthy`, `Suspected`, `Leaking`, `Exhausting` or `Inconclusive`."""
    reason: ShortText
    """Reason for the verdict, as one CamelCase word."""
    message: Message = ""
    """Reason for the verdict, as a sentence with the deciding measurement."""
    usage_bytes: int | None = Field(default=None, ge=0)
    """Working set of the container."""
    limit_bytes: int | None = Field(default=None, ge=0)
    """Memory limit of the container, or a lower one that counts instead (`exhaustion.limit`, its node)."""
    growth_bytes_per_hour: int | None = None
    """Growth of the container's memory."""
    time_to_limit_seconds: int | None = Field(default=None, ge=0)
    """Predicted time to the memory limit."""
    blocked_by: BlockedBy | None = None
    """First gate that blocks the roll of this pod; unset if no gate does, or the pod is not at risk."""


class WorkloadAutoscaler(ApiModel):
    """Autoscaler of a workload whose pods are at risk, suspected or being rolled."""

    name: str = Field(max_length=MAX_REFERENCE_CHARS)
    """Kind and name, such as `HorizontalPodAutoscaler/chat`."""
    workload: str = Field(max_length=MAX_REFERENCE_CHARS)
    """Kind and name of its target, such as `Deployment/chat`."""
    message: str = Field(default="", max_length=320)
    """Metrics that it scales by, and the effect of a leak on that."""


class PolicyStatus(ApiModel):
    """Results of the last reconcile."""

    observed_generation: int | None = Field(default=None, ge=-1)
    """`metadata.generation` of the policy at the last reconcile; -1 before the first one."""
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16, json_schema_extra=CONDITION_LIST)
    """Conditions `Ready`, `Accepted`, `PrometheusReachable`, `AtRisk` and, only while they are True, `Reconciling`,
    `Stalled`, `Suspended`, `RollsBlocked`, `CannotKeepUp` and `Misconfigured`."""
    pods: PodCounts = PodCounts()
    """Number of selected pods by verdict."""
    rolls: RollCounts = RollCounts()
    """Number of the policy's PodRolls by result."""
    time_to_limit: str = Field(default="", max_length=64)
    """Shortest predicted time to a memory limit among the pods at risk."""
    at_risk: tuple[AtRiskPod, ...] = Field(default=(), max_length=MAX_AT_RISK, json_schema_extra=ATOMIC)
    """Containers that are closest to their memory limit: first those at risk, then the others."""
    last_rolls: tuple[LastRoll, ...] = Field(default=(), max_length=MAX_LAST_ROLLS, json_schema_extra=ATOMIC)
    """Most recent rolls, newest first."""
    last_action: LastAction | None = None
    """Most recent action: a roll, or a dry run."""
    dry_runs: tuple[DryRun, ...] = Field(default=(), max_length=MAX_DRY_RUNS, json_schema_extra=ATOMIC)
    """In mode DryRun: the rolls that the policy would have made, newest first."""
    ledger: tuple[LedgerEntry, ...] = Field(default=(), max_length=MAX_LEDGER_ENTRIES, json_schema_extra=ATOMIC)
    """Leak ledger: known leaks by revision and image, newest first."""
    autoscalers: tuple[WorkloadAutoscaler, ...] = Field(
        default=(), max_length=MAX_AUTOSCALERS, json_schema_extra=ATOMIC
    )
    """Autoscalers of workloads whose pods are at risk, suspected or being rolled."""
    suggestions: tuple[LimitSuggestion, ...] = Field(default=(), max_length=MAX_SUGGESTIONS, json_schema_extra=ATOMIC)
    """Suggested values for `exhaustion.limit`. They are never applied."""
    exits: tuple[ExitedContainer, ...] = Field(default=(), max_length=MAX_EXITED_CONTAINERS, json_schema_extra=ATOMIC)
    """Exits of containers that were restarted in place, from which the suggestions are derived."""


class MemoryPolicy(ApiModel):
    """Policy that watches pods for memory leaks and replaces those that are about to reach their memory limit."""

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
        """Parse the API server's JSON. Raises pydantic's ValidationError for an invalid object."""
        spec = PolicySpec.model_validate(raw.get("spec") or {})
        return cls.model_validate(metadata_fields(raw) | {"spec": spec, "status": read_status(raw)})


def read_status(raw: dict[str, Any]) -> PolicyStatus:
    """Parse a policy's status. An invalid status (of an older schema) is discarded."""
    try:
        return PolicyStatus.model_validate(raw.get("status") or {})
    except ValueError:
        return PolicyStatus()
