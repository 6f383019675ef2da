"""Steps of series that an earlier read returned and that no longer change, in bounded memory.

The cache decides how much is read, never what is returned: where it has no room, or after a restart, the steps are read
again. What was used recently is never dropped for something new, so that more candidates than have room don't make it
useless for all.

An entry is one object of bytes, compressed in 10 to 40 microseconds. As tuples of strings, numbers and steps, it took
twice as much memory.
"""

from __future__ import annotations

import marshal
import struct
import threading
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from memroll.clients.prometheus.packed_steps import PackedSteps
from memroll.clients.prometheus.rows import InstanceKey

if TYPE_CHECKING:
    from memroll.clients.prometheus.query_plan import SeriesKind

MAX_BYTES = 64 * 2**20
"""Maximum size of the steps of one connection, in bytes: some 9,000 containers of RSS and working set in minutes."""
ENTRY_BYTES = 320
"""Size of an entry without its bytes: key, name of the pod, slot of the dictionary. Measured (design note 0025)."""
UNUSED_S = 3600.0
"""Time after which an entry that is not used is dropped, in seconds; chosen by hand."""
SWEEP_S = 60.0
"""Time between two searches for unused entries, in seconds, chosen by hand: one takes 10 ms for 40,000 entries."""
_HEADER = struct.Struct("<ddd")
"""Time of the last use, and range of the steps, in seconds."""


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

    def encode(self, used_s: float) -> bytes:
        """Return all of it as bytes."""
        body = marshal.dumps((self.running, tuple((*key, packed.data) for key, packed in self.instances)))
        return _HEADER.pack(used_s, self.start_s, self.end_s) + zlib.compress(body, level=1)

    def encode_again(self, before: bytes | None, used_s: float) -> bytes | None:
        """Return what was stored before, used at another time; None if it does not contain all of this."""
        if before is None or self.running:
            return None
        _, start_s, end_s = _HEADER.unpack_from(before)
        if not start_s <= self.start_s <= end_s == self.end_s:
            return None
        return _HEADER.pack(used_s, start_s, end_s) + before[_HEADER.size :]

    @classmethod
    def decode(cls, data: bytes) -> KnownSteps:
        _, start_s, end_s = _HEADER.unpack_from(data)
        # Bytes of this process: nobody else writes them.
        running, instances = marshal.loads(zlib.decompress(memoryview(data)[_HEADER.size :]))  # noqa: S302
        return cls(tuple((InstanceKey(*key), PackedSteps(steps)) for *key, steps in instances), start_s, end_s, running)


class StepCache:
    """Known steps of one connection. Used by several threads."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: dict[StepKey, bytes] = {}
        self._size_bytes = 0
        self._swept_s = 0.0

    @property
    def size_bytes(self) -> int:
        """Estimated size of all entries, in bytes."""
        return self._size_bytes

    def find(self, key: StepKey, start_s: float, end_s: float, running: frozenset[str]) -> KnownSteps | None:
        """Return what is known, if it can be completed to (start_s, end_s]."""
        with self._lock:
            data = self._entries.get(key)
        if data is None:
            return None
        known = KnownSteps.decode(data)
        usable = known.start_s <= start_s <= known.end_s <= end_s and known.running <= running
        return known if usable else None

    def store(self, key: StepKey, known: KnownSteps, at_s: float) -> None:
        """Keep the steps if there is room for them."""
        with self._lock:
            self._drop_unused(at_s)
            before = self._entries.get(key)
        data = known.encode_again(before, at_s) or known.encode(at_s)
        with self._lock:
            before = self._entries.get(key)
            free = self._max_bytes - self._size_bytes + (0 if before is None else _size(before))
            if _size(data) > free:
                self._drop(key)
                return
            self._entries[key] = data  # the key of before stays: there is no second copy of its strings
            self._size_bytes = self._max_bytes - free + _size(data)

    def _drop(self, key: StepKey) -> None:
        data = self._entries.pop(key, None)
        if data is not None:
            self._size_bytes -= _size(data)

    def _drop_unused(self, at_s: float) -> None:
        if abs(at_s - self._swept_s) < SWEEP_S:
            return
        self._swept_s = at_s
        unused = [key for key, data in self._entries.items() if abs(at_s - _HEADER.unpack_from(data)[0]) > UNUSED_S]
        for key in unused:
            self._drop(key)


def _size(data: bytes) -> int:
    return ENTRY_BYTES + len(data)
