"""How many objects of each type survive a full collection, and which types still rise."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll_probe import process, room
from memroll_probe.collected import count_by_type_id
from memroll_probe.containers import Containers, lengths
from memroll_probe.errors import NotNowError
from memroll_probe.naming import is_builtin, type_name
from memroll_probe.stored import types_by_id
from memroll_probe.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_TYPES = 2_000
# Measured: a list of all objects takes 9 bytes for each, and one of the containers is made beside it.
LOOK_BYTES_PER_OBJECT = 16
OURS = ("memroll_probe.", "tracemalloc.")


@dataclass(frozen=True)
class Growing:
    name: str
    count: int
    growth: int
    collections: int
    rising: bool


def count_by_type() -> dict[str, int]:
    """Count the objects that the collector knows.

    By identity, for a metaclass may have a `__hash__` of its own.
    """
    counts = count_by_type_id()
    kinds = types_by_id()
    named: Counter[str] = Counter()
    for key, count in counts.most_common(MOST_TYPES):
        if (kind := kinds.get(key)) is not None:
            named[type_name(kind)] += count
    return named


class Census:
    def __init__(self, room_bytes: Callable[[], int | None] = process.room_bytes) -> None:
        self._room_bytes = room_bytes
        self._kinds: dict[str, Tally] = {}
        self.containers = Containers()
        self.samples = 0

    def sample(self) -> None:
        if not gc.isenabled():  # whoever switched it off does not want the pauses
            raise NotNowError("the garbage collector is disabled, so no full collections are made")
        self.require_room()
        gc.collect()
        self.see(count_by_type())
        self.containers.see(lengths())

    def require_room(self) -> None:
        """Raise NotNowError where a list of all objects would not fit below the memory limit."""
        # Before the first count: no object that the collector knows is smaller than a block.
        objects = sum(kind.last for kind in list(self._kinds.values())) if self.samples else sys.getallocatedblocks()
        room.require("a look at all objects", LOOK_BYTES_PER_OBJECT * objects, self._room_bytes())

    def see(self, counts: dict[str, int]) -> None:
        """Take in one count. A type that was not there before began at none."""
        first = self.samples == 0
        self._kinds = {
            name: self._kinds.get(name) or Tally.first(count if first else 0) for name, count in counts.items()
        }
        for name, kind in self._kinds.items():
            if not first:
                kind.see(counts[name])
        self.samples += 1

    def growing(self, most: int) -> list[Growing]:
        """Return what grew: what still rises first, and the service's own types before dicts and lists."""
        found = [
            Growing(name, kind.last, kind.growth, kind.rises, kind.rising)
            for name, kind in list(self._kinds.items())
            if kind.growth > 0 and not name.startswith(OURS)
        ]
        return sorted(found, key=lambda g: (not g.rising, g.rising and is_builtin(g.name), -g.growth, g.name))[:most]
