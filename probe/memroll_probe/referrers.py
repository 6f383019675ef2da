"""Finds what refers to the objects of a type: names of modules, attributes and functions, never values or keys.

Called by report, for types that no growing container explains.
"""

from __future__ import annotations

import gc
import time
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memroll_probe import gc_objects, object_slots
from memroll_probe.naming import sanitize, type_name

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_DEPTH = 10
"""Maximum number of steps up from an object. Chosen by hand."""
MAX_WIDTH = 50
"""Maximum number of objects that the next step starts from. Chosen by hand."""
MAX_HOLDERS_READ = 300
"""Maximum number of referrers read in a step. Chosen by hand."""
MAX_PATHS = 3
"""Maximum number of paths, as in the report's schema."""
MIN_READ_S = 0.2
"""Minimum time to read what was found, in seconds, even past the deadline.

Finding the referrers is what takes long in a large process. Chosen by hand.
"""
CALLABLES = (types.FunctionType, types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)


@dataclass
class ReferrerNode:
    """Object on the way up.

    A dict may prove to be the attribute dict of its holder. Then `name` is the attribute, and `before` the path below
    the dict.
    """

    thing: Any
    path: str = ""
    before: str = ""
    name: str = ""


class ReferrerSearch:
    """Breadth-first search from objects up to what refers to them, until modules and classes are found."""

    def __init__(self, deadline: float) -> None:
        self._deadline = self._read_deadline = deadline
        self._modules = object_slots.module_names_by_id()
        self._seen: set[int] = set()
        self._partial_paths: list[str] = []
        self._root_paths: list[str] = []

    def find_paths(self, objects: list[Any]) -> list[str]:
        """Return paths up from the objects. The list must be the caller's only reference to them."""
        level = [ReferrerNode(o) for o in objects]
        self._seen |= {id(objects)}
        for _ in range(MAX_DEPTH):
            if not level or len(self._root_paths) >= MAX_PATHS or time.monotonic() > self._deadline:
                break
            level = self._step_up(level)
        return list(dict.fromkeys(self._root_paths or self._partial_paths))[:MAX_PATHS]

    def _step_up(self, level: list[ReferrerNode]) -> list[ReferrerNode]:
        targets, nodes = [node.thing for node in level], {id(node.thing): node for node in level}
        self._seen |= {id(targets), *map(id, targets)}
        above: list[ReferrerNode] = []
        found = gc_objects.find_referrers(targets)[:MAX_HOLDERS_READ]
        self._read_deadline = max(self._deadline, time.monotonic() + MIN_READ_S)
        for holder in found:
            if time.monotonic() > self._read_deadline:
                break
            if id(holder) in self._seen or type(holder) in (ReferrerNode, types.FrameType):
                continue
            self._seen.add(id(holder))
            below = self._find_below(holder, nodes)
            if below is not None and (node := self._make_node(holder, below)) is not None:
                above.append(node)
        return above[:MAX_WIDTH]

    def _find_below(self, holder: Any, nodes: dict[int, ReferrerNode]) -> ReferrerNode | None:
        """Return the node of the level below that a holder refers to, directly or through a tuple."""
        referents = gc.get_referents(holder)
        if (found := _first(referents, nodes)) is not None:
            return found
        for between in referents:
            if time.monotonic() > self._read_deadline:
                break
            if type(between) is tuple and (found := _first(between, nodes)) is not None:
                return ReferrerNode(between, _join(found.path, "tuple"))
        return None

    def _make_node(self, holder: Any, below: ReferrerNode) -> ReferrerNode | None:
        """Return the next step up; None at a root, or if the probe itself is the holder."""
        if id(holder) in self._modules:
            module = self._modules[id(holder)]
            if not module.startswith("memroll_probe"):
                name = object_slots.key_name(holder, below.thing)
                self._root_paths.append(_join(below.path, f"module {module} as {name}"))
            return None
        if type(holder) is dict:
            name = object_slots.key_name(holder, below.thing)
            return ReferrerNode(holder, _join(below.path, "dict"), below.path, name)
        step, before = _describe_step(holder, below)
        if step.startswith("memroll_probe"):
            return None
        path = _join(before, step)
        if object_slots.is_type(holder):
            self._root_paths.append(path)
            return None
        self._partial_paths.append(path)
        return ReferrerNode(holder, path)


def _first(things: Iterable[Any], nodes: dict[int, ReferrerNode]) -> ReferrerNode | None:
    found = next(filter(nodes.__contains__, map(id, things)), None)
    return None if found is None else nodes[found]


def _describe_step(holder: Any, below: ReferrerNode) -> tuple[str, str]:
    """Return how a holder refers to the node below it, and the path that this is appended to."""
    kind = type(holder)
    if kind in CALLABLES:
        return f"{kind.__name__} {_callable_name(holder)}", below.path
    owner = f"class {type_name(holder)}" if object_slots.is_type(holder) else type_name(kind)
    if type(below.thing) is dict and object_slots.is_attribute_dict(below.thing, holder):
        return f"attribute {below.name} of {owner}", below.before
    name = object_slots.attribute_name(holder, below.thing)
    return (f"attribute {name} of {owner}" if name else owner), below.path


def _callable_name(called: Any) -> str:
    module = called.__module__ if type(called) is types.FunctionType else None
    return sanitize(f"{module}.{called.__qualname__}" if type(module) is str else called.__qualname__)


def _join(path: str, step: str) -> str:
    return sanitize(f"{path} in {step}" if path else step)
