"""Which containers grow, and what is in them: whatever leaks is kept in one, and its name is where to look.

From a growing container down to a type is a short way. From an object of that type up to its holder may be a long one
through everything that refers to it, and each step up is a look at all objects of the process.
"""

from __future__ import annotations

import gc
import types
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from memroll_probe.collected import lengths_of, with_ids
from memroll_probe.stored import is_type
from memroll_probe.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable

# Exactly these: the length of a subclass may be code of the service's own.
MAPPINGS = (dict, defaultdict, OrderedDict)
SEQUENCES = (list, deque)
KINDS = frozenset(map(id, (*MAPPINGS, *SEQUENCES, set)))
LEAST_ITEMS = 20
NEWEST = 3
MOST_OBJECTS = 10_000
SHARED = frozenset(
    map(id, (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType, types.FrameType))
)


def lengths() -> dict[int, int]:
    """Return how much is in each container that is not small, by its identity."""
    return lengths_of(KINDS, LEAST_ITEMS)


class Containers:
    """What became of the containers from one full collection to the next."""

    def __init__(self) -> None:
        self._tallies: dict[int, Tally] = {}

    def see(self, counts: dict[int, int]) -> None:
        """Take in the lengths as they are now; one that is gone is forgotten."""
        known = self._tallies
        self._tallies = {key: known.get(key) or Tally.first(count) for key, count in counts.items()}
        for key in counts.keys() & known.keys():
            self._tallies[key].see(counts[key])

    def rising(self, most: int) -> dict[int, int]:
        """Return those that grew most, by identity, and by how much."""
        found = [(key, tally.growth) for key, tally in list(self._tallies.items()) if tally.rising]
        return dict(sorted(found, key=lambda entry: -entry[1])[:most])


def alive(keys: Iterable[int]) -> dict[int, Any]:
    """Return the containers with these identities, as far as they still exist."""
    return {id(container): container for container in with_ids(frozenset(keys), KINDS)}


@dataclass
class Descent:
    """Walks down from the newest items of a container, and stops at other growing ones: they speak for themselves."""

    stops: frozenset[int]

    def depths(self, container: Any, wanted: dict[int, str]) -> dict[str, int]:
        """Return how far below the container the types are found, by name. `wanted` has them by identity."""
        found: dict[str, int] = {}
        seen = {id(container), *self.stops}
        level = [item for item in newest(container) if id(item) not in seen]
        for depth in range(MOST_OBJECTS):
            for thing in level:
                if (name := wanted.get(id(type(thing)))) is not None:
                    found.setdefault(name, depth)
            seen.update(map(id, level))
            if not level or len(seen) >= MOST_OBJECTS or len(found) == len(wanted):
                break
            below = {id(thing): thing for thing in gc.get_referents(*level) if not is_shared(thing)}
            level = [thing for key, thing in below.items() if key not in seen]
        return found


def newest(container: Any) -> list[Any]:
    """Return some items, the last where there is an order: each in one call, for others may change it meanwhile."""
    if type(container) in MAPPINGS:
        items = [*islice(reversed(container.values()), NEWEST), *islice(reversed(container), NEWEST)]
    elif type(container) in SEQUENCES:
        items = [*islice(reversed(container), NEWEST)]
    else:
        items = [*islice(container, NEWEST)]
    return [item for item in items if not is_shared(item)]


def is_shared(thing: Any) -> bool:
    """Tell whether a thing is the service's furniture: from there, everything is below everything."""
    return id(type(thing)) in SHARED or is_type(thing)
