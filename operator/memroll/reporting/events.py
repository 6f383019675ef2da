"""Events as values.

`event_builder` builds them; the event recorder deduplicates them and writes them to the API server.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

MAX_MESSAGE_BYTES = 1024
"""Maximum length of a message in bytes, a limit of the API server."""


class EventReason(StrEnum):
    """Reason of an Event. Part of the API."""

    LEAK_SUSPECTED = "LeakSuspected"
    """A container's memory grows like a leak's, but not for long enough yet, or there may be another cause."""
    MEMORY_EXHAUSTING = "MemoryExhausting"
    """A container is about to reach its memory limit, or is above `usageThreshold`; the cause may not be a leak."""
    LEAK_CONFIRMED = "LeakConfirmed"
    """A container leaks memory; its pod will be rolled before it reaches the limit."""
    OTHER_MEMORY_GROWS = "OtherMemoryGrows"
    """Memory outside of a container's processes grows up to its limit; the policy reports this and rolls nothing."""
    LIMIT_SUGGESTED = "LimitSuggested"
    """Containers exited three times near one usage; the message has the value to set `exhaustion.limit` to."""
    ROLL_ANNOUNCED = "RollAnnounced"
    """A PodRoll was created; the pod is going to be replaced."""
    EVIDENCE_CAPTURED = "EvidenceCaptured"
    """Evidence of the pod was captured before the roll changed anything; lines that grew come first."""
    ROLL_BLOCKED = "RollBlocked"
    """A pod is due, but a gate blocks its roll."""
    WOULD_ROLL = "WouldRoll"
    """No gate blocks the roll of a pod, and its policy is in mode DryRun: nothing is changed."""
    REPLACEMENT_READY = "ReplacementReady"
    """The replacement of a released pod is Ready; the old pod is evicted next."""
    DRAINING = "Draining"
    """The replacement is Ready, and the old pod is detached from its Services to finish its open requests."""
    DRAIN_METRIC_MISSING = "DrainMetricMissing"
    """Prometheus has no sample of the drain's gauge since the pod was detached; the message has the remedy."""
    EVICTION_BLOCKED = "EvictionBlocked"
    """A PodDisruptionBudget does not allow the eviction now; memroll retries."""
    POD_ROLLED = "PodRolled"
    """The old pod is gone and its replacement is Ready."""
    ROLL_REVERTED = "RollReverted"
    """The roll was rolled back: the old pod belongs to its ReplicaSet again."""
    ROLL_FAILED = "RollFailed"
    """A roll failed before it changed anything that must be restored."""
    ROLL_ABORTED = "RollAborted"
    """A roll was canceled, or its cause disappeared before anything was changed."""
    ROLL_INEFFECTIVE = "RollIneffective"
    """A roll freed too little memory; further rolls of the workload are paused."""
    LEAK_PERSISTS = "LeakPersists"
    """The replacement leaks as the old pod did: rolls free memory, but do not fix the leak."""
    PROMETHEUS_UNAVAILABLE = "PrometheusUnavailable"
    """A query to Prometheus failed: no pod is assessed or rolled."""
    INSUFFICIENT_DATA = "InsufficientData"
    """A watched container can't be assessed; the message contains the remedy."""
    ROLL_RATE_LIMITED = "RollRateLimited"
    """The operator, or the namespace, has made its maximum number of rolls within an hour."""
    CANNOT_KEEP_UP = "CannotKeepUp"
    """Budgets, concurrency or maintenance windows leave too little time for all rolls; the message has the remedy."""
    INTERNAL_ERROR = "InternalError"
    """A bug of memroll ended the reconcile of a policy or a step of a roll; memroll retries, and its log has the
    details."""
    POLICY_MISCONFIGURED = "PolicyMisconfigured"
    """A setting of the policy can't have its effect; the message has the remedy."""
    POLICY_INVALID = "PolicyInvalid"
    """The policy is invalid; the message names the field."""
    TARGET_NOT_FOUND = "TargetNotFound"
    """The policy selects no pod."""


class EventPriority(IntEnum):
    """Order in which Events are written, and the reverse of that in which they are dropped."""

    ROLL = 0
    """About a roll: what was changed, and what a person must do."""
    POLICY = 1
    """About a policy."""
    POD = 2
    """About one of many pods."""


REASONS_OF_ROLLS = frozenset(
    {
        EventReason.ROLL_ANNOUNCED,
        EventReason.EVIDENCE_CAPTURED,
        EventReason.REPLACEMENT_READY,
        EventReason.DRAINING,
        EventReason.DRAIN_METRIC_MISSING,
        EventReason.EVICTION_BLOCKED,
        EventReason.POD_ROLLED,
        EventReason.ROLL_REVERTED,
        EventReason.ROLL_FAILED,
        EventReason.ROLL_ABORTED,
        EventReason.ROLL_INEFFECTIVE,
        EventReason.LEAK_PERSISTS,
        EventReason.INTERNAL_ERROR,
    }
)
"""Reasons of the Events about rolls, and of bugs."""


class EventType(StrEnum):
    """Type of an Event, as Kubernetes defines it."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Regarding:
    """Reference to the object that an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Event:
    """Event about an object. Events with equal `key` are repetitions of one event, which the recorder counts."""

    regarding: Regarding
    type: EventType
    reason: EventReason
    message: str
    subject: str = ""
    """Distinguishes Events with the same object and reason, for example by the UID of a roll or by a container."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Identity of the Event for deduplication."""
        return (self.regarding.uid, self.reason.value, self.subject)

    @property
    def priority(self) -> EventPriority:
        if self.reason in REASONS_OF_ROLLS:
            return EventPriority.ROLL
        return EventPriority.POD if self.regarding.kind == "Pod" else EventPriority.POLICY
