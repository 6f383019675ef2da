"""Finds growing containers (dicts, lists, deques, sets) and the types of the objects below them.

Every leak is kept in some container, and the container's name shows where to fix it. The way from a growing container
down to a type is short. The way from an object up to its holder may lead through everything that refers to it, and each
step up scans all objects of the process.
"""

from __future__ import annotations

import gc
import types
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from memroll_probe.counter import GrowthCounter
from memroll_probe.gc_objects import find_by_id, measure_lengths
from memroll_probe.object_slots import is_type

if TYPE_CHECKING:
    from collections.abc import Iterable

# Exactly these: the length of a subclass may be code of the service's own.
MAPPINGS = (dict, defaultdict, OrderedDict)
SEQUENCES = (list, deque)
CONTAINER_TYPE_IDS = frozenset(map(id, (*MAPPINGS, *SEQUENCES, set)))
MIN_ITEMS = 20
"""Minimum length of a container that is tracked, in items. Chosen by hand."""
MAX_NEWEST_ITEMS = 3
"""Maximum number of items from which a search starts down. Chosen by hand."""
MAX_OBJECTS = 10_000
"""Maximum number of objects that a search visits. Chosen by hand."""
SHARED_TYPE_IDS = frozenset(
    map(id, (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType, types.FrameType))
)


def lengths() -> dict[int, int]:
    """Return the length of each container from MIN_ITEMS on, by its identity."""
    return measure_lengths(CONTAINER_TYPE_IDS, MIN_ITEMS)


class ContainerCounts:
    """Lengths of the containers, from one full collection to the next."""

    def __init__(self) -> None:
        self._counters: dict[int, GrowthCounter] = {}

    def add(self, counts: dict[int, int]) -> None:
        """Add the current lengths. A container that is gone is forgotten."""
        known = self._counters
        self._counters = {key: known.get(key) or GrowthCounter.starting_at(count) for key, count in counts.items()}
        for key in counts.keys() & known.keys():
            self._counters[key].add(counts[key])

    def rising(self, limit: int) -> dict[int, int]:
        """Return the growth of the rising containers that grew most, by identity."""
        found = [(key, counter.growth) for key, counter in list(self._counters.items()) if counter.rising]
        return dict(sorted(found, key=lambda entry: -entry[1])[:limit])


def find_alive(keys: Iterable[int]) -> dict[int, Any]:
    """Return the containers with these identities that still exist."""
    return {id(container): container for container in find_by_id(frozenset(keys), CONTAINER_TYPE_IDS)}


@dataclass
class DepthSearch:
    """Breadth-first search down from a container's newest items. Stops at other growing containers."""

    stops: frozenset[int]

    def find_depths(self, container: Any, wanted: dict[int, str]) -> dict[str, int]:
        """Return the depth below the container by type name. `wanted`: type names by the type's identity."""
        found: dict[str, int] = {}
        seen = {id(container), *self.stops}
        level = [item for item in newest_items(container) if id(item) not in seen]
        for depth in range(MAX_OBJECTS):
            for thing in level:
                if (name := wanted.get(id(type(thing)))) is not None:
                    found.setdefault(name, depth)
            seen.update(map(id, level))
            if not level or len(seen) >= MAX_OBJECTS or len(found) == len(wanted):
                break
            below = {id(thing): thing for thing in gc.get_referents(*level) if not is_shared(thing)}
            level = [thing for key, thing in below.items() if key not in seen]
        return found


def newest_items(container: Any) -> list[Any]:
    """Return some items, the last ones if there is an order. Each is read in one call: other threads may add some."""
    if type(container) in MAPPINGS:
        items = [
            *islice(reversed(container.values()), MAX_NEWEST_ITEMS),
            *islice(reversed(container), MAX_NEWEST_ITEMS),
        ]
    elif type(container) in SEQUENCES:
        items = [*islice(reversed(container), MAX_NEWEST_ITEMS)]
    else:
        items = [*islice(container, MAX_NEWEST_ITEMS)]
    return [item for item in items if not is_shared(item)]


def is_shared(thing: Any) -> bool:
    """Return whether an object is a module, function, class or the like: everything is reachable from these."""
    return id(type(thing)) in SHARED_TYPE_IDS or is_type(thing)
