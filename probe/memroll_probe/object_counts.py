"""Counts the objects of each type that survive a full collection, and finds the types that still grow.

Called by the sampler (`sample`), and by the report and the gauges (`growing_types`).
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll_probe import memory_headroom, process
from memroll_probe.containers import ContainerCounts, lengths
from memroll_probe.counter import GrowthCounter
from memroll_probe.errors import ResourceLimitError
from memroll_probe.gc_objects import count_by_type_id
from memroll_probe.naming import is_builtin, type_name
from memroll_probe.object_slots import types_by_id

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TYPES = 2_000
"""Maximum number of types that are counted, the most frequent ones. Chosen by hand."""
SCAN_BYTES_PER_OBJECT = 16
"""Memory of a scan of all objects, in bytes for each.

Measured: a list of all objects takes 9, and one of the containers is made in addition.
"""
OWN_PREFIXES = ("memroll_probe.", "tracemalloc.")


@dataclass(frozen=True)
class GrowingType:
    name: str
    count: int
    growth: int
    collections: int
    rising: bool


def count_by_type() -> dict[str, int]:
    """Count the objects that the collector tracks, by type name.

    Types are compared by identity, because a metaclass may define `__hash__`.
    """
    counts = count_by_type_id()
    kinds = types_by_id()
    named: Counter[str] = Counter()
    for key, count in counts.most_common(MAX_TYPES):
        if (kind := kinds.get(key)) is not None:
            named[type_name(kind)] += count
    return named


class ObjectCounts:
    def __init__(self, headroom_bytes: Callable[[], int | None] = process.headroom_bytes) -> None:
        self._headroom_bytes = headroom_bytes
        self._counters: dict[str, GrowthCounter] = {}
        self.containers = ContainerCounts()
        self.samples = 0

    def sample(self) -> None:
        """Collect garbage, and count objects and container lengths."""
        if not gc.isenabled():  # a service that disabled the collector does not accept its pauses
            raise ResourceLimitError("the garbage collector is disabled, so no full collections are made")
        self.require_headroom()
        gc.collect()
        self.add(count_by_type())
        self.containers.add(lengths())

    def require_headroom(self) -> None:
        """Raise ResourceLimitError if a list of all objects would not fit below the memory limit."""
        # Before the first count: no object that the collector tracks is smaller than a block.
        objects = sum(c.last for c in list(self._counters.values())) if self.samples else sys.getallocatedblocks()
        memory_headroom.require("a scan of all objects", SCAN_BYTES_PER_OBJECT * objects, self._headroom_bytes())

    def add(self, counts: dict[str, int]) -> None:
        """Add one count of each type. A type that is missing from the first counts starts at zero."""
        first = self.samples == 0
        self._counters = {
            name: self._counters.get(name) or GrowthCounter.starting_at(count if first else 0)
            for name, count in counts.items()
        }
        for name, counter in self._counters.items():
            if not first:
                counter.add(counts[name])
        self.samples += 1

    def growing_types(self, limit: int) -> list[GrowingType]:
        """Return the types that grew: first the rising ones, of these the service's own types before builtins."""
        found = [
            GrowingType(name, counter.last, counter.growth, counter.rises, counter.rising)
            for name, counter in list(self._counters.items())
            if counter.growth > 0 and not name.startswith(OWN_PREFIXES)
        ]
        return sorted(found, key=lambda g: (not g.rising, g.rising and is_builtin(g.name), -g.growth, g.name))[:limit]
