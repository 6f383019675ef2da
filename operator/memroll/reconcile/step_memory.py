"""Memory of the steps of rolls: what a step need not read again, because an earlier one has. Bounded in time and size.

`reconcile.roll` remembers the last observation before anything is changed: the steps that only capture evidence need no
newer one. The roll controller remembers records, and policies, which no longer decide anything once a pod is released.
Nothing that is remembered decides on a change of the cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy
    from memroll.model.pods import Workload
    from memroll.rolling.observation import Observation

MAX_OBSERVATION_AGE_S = 10.0
"""Maximum age in seconds of an observation with which evidence is captured. Chosen by hand."""
MAX_RECORD_AGE_S = 2.0
"""Maximum age in seconds of a record that is not read again by the step that follows at once. Chosen by hand."""
MAX_WAITING_AGE_S = 10.0
"""Maximum age in seconds of a record that is not read again by a later step. Chosen by hand: a fast roll, and the time
by which a cancellation is seen late if the watch is down."""
MAX_POLICY_AGE_S = 60.0
"""Maximum age in seconds of a remembered policy. Chosen by hand."""
MAX_REMEMBERED = 1000
"""Maximum number of values that are remembered of each kind; chosen by hand, far above the rolls at one time."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class Recent(Generic[K, V]):
    """Values by key, each until it is too old; without the oldest ones when there are too many."""

    max_age_s: float
    max_values: int = MAX_REMEMBERED
    _values: dict[K, tuple[datetime, V]] = field(default_factory=dict)

    def put(self, key: K, value: V, now: datetime) -> None:
        self._values.pop(key, None)
        self._values[key] = now, value
        while len(self._values) > self.max_values:
            del self._values[next(iter(self._values))]

    def get(self, key: K, now: datetime) -> V | None:
        """Return a value that is young enough; forget one that is not, also when the clock was set back."""
        at, value = self._values.get(key, (None, None))
        if at is not None and 0 <= (now - at).total_seconds() <= self.max_age_s:
            return value
        self._values.pop(key, None)
        return None

    def take(self, key: K, now: datetime) -> V | None:
        """Return a value that is young enough, once."""
        value = self.get(key, now)
        self._values.pop(key, None)
        return value


@dataclass(frozen=True, slots=True)
class CreatedRoll:
    """Roll that this process has just created, with what its plan was made from."""

    roll: PodRoll
    """The record as the API server has returned it."""
    policy: MemoryPolicy
    workload: Workload | None
    hash_selector: str = ""
    """Sentence about what selects the pod by its template hash, or empty."""


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Memory of one process for the steps of all rolls."""

    observations: Recent[str, Observation] = field(default_factory=lambda: Recent(MAX_OBSERVATION_AGE_S))
    """Observations by the uid of the roll."""
    workloads: Recent[str, Workload] = field(default_factory=lambda: Recent(MAX_OBSERVATION_AGE_S))
    """Workloads by the uid of the roll, for the step that finds the old pod gone."""
    rolls: Recent[tuple[str, str], PodRoll] = field(default_factory=lambda: Recent(MAX_RECORD_AGE_S))
    """Records as the last step wrote them, by namespace and name, for a next step that follows at once."""
    waiting: Recent[tuple[str, str], PodRoll] = field(default_factory=lambda: Recent(MAX_WAITING_AGE_S))
    """Records as the last step wrote or read them, for a step that comes later, while the watch shows no newer ones.

    A record of either kind that somebody has changed meanwhile is found out by the next write. A change of the cluster
    without a write is preceded by a read."""
    planned: Recent[tuple[str, str], CreatedRoll] = field(default_factory=lambda: Recent(MAX_OBSERVATION_AGE_S))
    """Rolls that this process has planned, by namespace and name, with what was read for their plans. Their
    announcements need not read that again: before the first change, all of it is."""
    policies: Recent[tuple[str, str], MemoryPolicy] = field(default_factory=lambda: Recent(MAX_POLICY_AGE_S))
    """Policies by namespace and name."""
