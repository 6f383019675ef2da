"""Limits of the wakes of a work queue by namespace: a tenant that changes its objects all the time delays no other.

A wake is a change of an object, for which its key is handled before its time. The work queue calls `admit` for each.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from memroll.clients.kube.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_BURST, FIRST_REFILL_S = 5, 10.0
"""Wakes of a namespace that are handled before the keys that wait in turn: number at once, and seconds per further
one. Chosen by hand: a person's change, and the roll-out of a few."""
BURST, REFILL_S = 50, 1.0
"""Wakes of a namespace that are due at once, and seconds per further one. Chosen by hand: as many as a namespace may
have policies by default."""
MAX_REMEMBERED = 4096
"""Maximum number of namespaces whose wakes are counted. Chosen by hand."""


class Wake(NamedTuple):
    """Admission of a wake."""

    delay_s: float = 0.0
    """Seconds after which the key is due."""
    first: bool = False
    """True if the key is handled before those that wait in turn."""


class WakeLimits:
    """Wakes of each namespace."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._buckets: OrderedDict[str, tuple[TokenBucket, TokenBucket]] = OrderedDict()

    def admit(self, namespace: str) -> Wake:
        """Count a wake; return when it is due, and whether it is handled first."""
        if namespace not in self._buckets:
            self._buckets[namespace] = (
                TokenBucket(FIRST_BURST, FIRST_REFILL_S, self._now),
                TokenBucket(BURST, REFILL_S, self._now),
            )
            if len(self._buckets) > MAX_REMEMBERED:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(namespace)
        first, due = self._buckets[namespace]
        return Wake(due.reserve(), first.take())
