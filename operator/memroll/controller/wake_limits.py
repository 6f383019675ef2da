"""Limits of the wakes of a work queue by namespace: a tenant that changes its objects all the time delays no other.

A wake is a change of an object, for which its key is handled before its time. The work queue calls `admit` for each.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from memroll.clients.kube.recent_entries import RecentEntries
from memroll.clients.kube.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REMEMBERED = 4096
"""Maximum number of namespaces whose wakes are counted. Chosen by hand."""


class Rate(NamedTuple):
    """Rate of wakes of a namespace."""

    burst: int
    """Number at once."""
    refill_s: float
    """Seconds per further one."""


FIRST = Rate(5, 10.0)
"""Rate of the wakes that are handled before keys that wait in turn. Chosen by hand: a person's change, or a few."""
POLICIES = Rate(50, 2.0)
"""Rate of the wakes of policies that are due at once. Chosen by hand: as many as a namespace may have by default."""
ROLLS = Rate(200, 0.5)
"""Rate of the wakes of PodRolls that are due at once. Chosen by hand: more than memroll keeps of a namespace, which are
all new after a start of the process."""


class Wake(NamedTuple):
    """Admission of a wake."""

    delay_s: float = 0.0
    """Seconds after which the key is due."""
    first: bool = False
    """True if the key is handled before those that wait in turn."""


class WakeLimits:
    """Wakes of each namespace. `due`: rate of those that are due at once."""

    def __init__(self, due: Rate, now: Callable[[], float] = time.monotonic) -> None:
        self._buckets: RecentEntries[str, tuple[TokenBucket, TokenBucket]] = RecentEntries(
            lambda: (TokenBucket(*FIRST, now), TokenBucket(*due, now)), MAX_REMEMBERED
        )

    def admit(self, namespace: str, *, is_new: bool = False) -> Wake:
        """Count a wake; return when it is due, and whether it is handled first.

        The wake of a new key is not: after a start of the process, all keys are new.
        """
        first, due = self._buckets[namespace]
        return Wake(due.reserve(), not is_new and first.take())
