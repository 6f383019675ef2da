"""Events as values: built here, deduplicated and written by the cluster's recorder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MESSAGE_BYTES_MAX = 1024


class Reason(StrEnum):
    """Every reason an event of memroll can have; part of the API."""

    LEAK_SUSPECTED = "LeakSuspected"
    """A container's memory grows like a leak, but not for long enough, or something else may explain it."""
    MEMORY_EXHAUSTING = "MemoryExhausting"
    """A container is about to run out of memory; whether by a leak is not known."""
    LEAK_CONFIRMED = "LeakConfirmed"
    """A container's memory grows like a leak; it will be rolled just in time."""
    ROLL_ANNOUNCED = "RollAnnounced"
    """A PodRoll was created; the pod is going to be replaced."""
    EVIDENCE_CAPTURED = "EvidenceCaptured"
    """What was found of a pod before anything was changed: the lines that grew first."""
    ROLL_HELD = "RollHeld"
    """A pod is due but a gate holds it."""
    REPLACEMENT_READY = "ReplacementReady"
    """The replacement of a released pod is Ready; the old pod may leave."""
    DRAINING = "Draining"
    """The replacement is Ready and the old pod is out of its Services; it finishes what it has."""
    EVICTION_BLOCKED = "EvictionBlocked"
    """A PodDisruptionBudget does not allow the eviction now; memroll waits."""
    POD_ROLLED = "PodRolled"
    """The old pod is gone and its replacement serves."""
    ROLL_ROLLED_BACK = "RollRolledBack"
    """The replacement did not become Ready: the old pod is back under its ReplicaSet."""
    ROLL_FAILED = "RollFailed"
    """A roll ended without replacing the pod and without anything to put back."""
    ROLL_ABORTED = "RollAborted"
    """A roll was stopped: vetoed, or its reason disappeared before anything was touched."""
    ROLL_INEFFECTIVE = "RollIneffective"
    """A roll freed next to nothing: rolling does not help, and the workload is on hold."""
    LEAK_PERSISTS = "LeakPersists"
    """The replacement leaks as the old pod did: rolling goes on and buys time, no more."""
    PROMETHEUS_UNAVAILABLE = "PrometheusUnavailable"
    """Prometheus can't be read: nothing is judged and nothing is rolled."""
    NOT_ENOUGH_DATA = "NotEnoughData"
    """A selected container can't be judged; the message says what to do."""
    RUNAWAY_GUARD = "RunawayGuard"
    """The operator has rolled as much as it may in an hour, whatever the policies say."""
    POLICY_INVALID = "PolicyInvalid"
    """The policy can't be used as it is; the message names the field."""
    TARGET_NOT_FOUND = "TargetNotFound"
    """The policy selects no pod."""


class EventType(StrEnum):
    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Regarding:
    """The object an event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Two events with equal `key` are one event seen again: counted, not multiplied."""

    regarding: Regarding
    type: EventType
    reason: Reason
    message: str
    subject: str = ""
    """What tells this occurrence from others with the same object and reason: a roll's uid, a container."""

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.regarding.uid, self.reason.value, self.subject)
