"""Steps of series that an earlier read returned and that no longer change, in bounded memory.

The cache decides how much is read, never what is returned: where it has no room, or after a restart, the steps are read
again. What was used recently is never dropped for something new, so that more candidates than have room don't make it
useless for all.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from memroll.clients.prometheus.packed_steps import PackedSteps
    from memroll.clients.prometheus.query_plan import SeriesKind
    from memroll.clients.prometheus.rows import InstanceKey

MAX_BYTES = 64 * 2**20
"""Maximum size of the steps of one connection, in bytes: some 7,000 containers of RSS and working set."""
ENTRY_BYTES = 700
"""Size of an entry of one instance without its samples, in bytes, measured (design note 0025)."""
INSTANCE_BYTES = 500
"""The same for each further instance."""
UNUSED_S = 3600.0
"""Time after which an entry that is not used is dropped, in seconds; chosen by hand."""


class StepKey(NamedTuple):
    """Series of one kind of one container (or all) of a pod, or of the earlier pods that a pattern matches."""

    namespace: str
    pods: str
    container: str
    kind: SeriesKind
    metric: str
    step_s: float


@dataclass(frozen=True, slots=True)
class KnownSteps:
    """Steps that are known of all instances, in (start_s, end_s]."""

    instances: tuple[tuple[InstanceKey, PackedSteps], ...]
    start_s: float
    end_s: float
    running: frozenset[str] = frozenset()
    """Names of running pods that the pattern does not include. One that has gone since then would be missing."""

    @property
    def size_bytes(self) -> int:
        """Estimated size in memory."""
        return ENTRY_BYTES + sum(INSTANCE_BYTES + packed.size_bytes for _, packed in self.instances)


class StepCache:
    """Known steps of one connection. Used by several threads."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[StepKey, tuple[KnownSteps, float]] = OrderedDict()
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """Estimated size of all entries, in bytes."""
        return self._size_bytes

    def find(self, key: StepKey, start_s: float, end_s: float, running: frozenset[str]) -> KnownSteps | None:
        """Return what is known, if it can be completed to (start_s, end_s]."""
        with self._lock:
            found = self._entries.get(key)
        if found is None:
            return None
        known, _ = found
        usable = known.start_s <= start_s <= known.end_s <= end_s and known.running <= running
        return known if usable else None

    def store(self, key: StepKey, known: KnownSteps, at_s: float) -> None:
        """Keep the steps if there is room for them."""
        size = known.size_bytes
        with self._lock:
            self._drop(key)
            self._drop_unused(at_s)
            if self._size_bytes + size <= self._max_bytes:
                self._entries[key] = known, at_s
                self._size_bytes += size

    def _drop(self, key: StepKey) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self._size_bytes -= found[0].size_bytes

    def _drop_unused(self, at_s: float) -> None:
        while self._entries:
            key, (_, used_s) = next(iter(self._entries.items()))
            if abs(at_s - used_s) <= UNUSED_S:
                return
            self._drop(key)
