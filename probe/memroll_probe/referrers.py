"""Who holds the objects of a type: names of modules, attributes and functions. Never a value, never a key."""

from __future__ import annotations

import gc
import time
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memroll_probe import collected, stored
from memroll_probe.naming import clean, type_name

if TYPE_CHECKING:
    from collections.abc import Iterable

DEPTH = 10
WIDTH = 50
LOOKED_AT = 300
MOST_HINTS = 3
READ_S = 0.2
"""For reading what was found, though the time is over: finding it is what takes long in a large process."""
CALLED = (types.FunctionType, types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)


@dataclass
class Node:
    """An object on the way up. A dict may prove to be where its holder keeps attributes: then `name` is one of them."""

    thing: Any
    path: str = ""
    before: str = ""
    name: str = ""


class Trail:
    """Walks from objects to what holds them, breadth first, until modules and classes are found."""

    def __init__(self, until: float) -> None:
        self._until = self._read_until = until
        self._modules = stored.names_of_modules()
        self._seen: set[int] = set()
        self._near: list[str] = []
        self._roots: list[str] = []

    def hints(self, objects: list[Any]) -> list[str]:
        """Return what holds the objects. The list must be the caller's only reference to them."""
        level = [Node(o) for o in objects]
        self._seen |= {id(objects)}
        for _ in range(DEPTH):
            if not level or len(self._roots) >= MOST_HINTS or time.monotonic() > self._until:
                break
            level = self._up(level)
        return list(dict.fromkeys(self._roots or self._near))[:MOST_HINTS]

    def _up(self, level: list[Node]) -> list[Node]:
        targets, nodes = [node.thing for node in level], {id(node.thing): node for node in level}
        self._seen |= {id(targets), *map(id, targets)}
        above: list[Node] = []
        found = collected.referrers(targets)[:LOOKED_AT]
        self._read_until = max(self._until, time.monotonic() + READ_S)
        for holder in found:
            if time.monotonic() > self._read_until:
                break
            if id(holder) in self._seen or type(holder) in (Node, types.FrameType):
                continue
            self._seen.add(id(holder))
            below = self._below(holder, nodes)
            if below is not None and (node := self._node(holder, below)) is not None:
                above.append(node)
        return above[:WIDTH]

    def _below(self, holder: Any, nodes: dict[int, Node]) -> Node | None:
        """Return what a holder holds of the level below, at once or in a tuple."""
        held = gc.get_referents(holder)
        if (found := _first(held, nodes)) is not None:
            return found
        for between in held:
            if time.monotonic() > self._read_until:
                break
            if type(between) is tuple and (found := _first(between, nodes)) is not None:
                return Node(between, _join(found.path, "tuple"))
        return None

    def _node(self, holder: Any, below: Node) -> Node | None:
        """Return the next step up, or None: a root was found, or what holds it is the probe's own doing."""
        if id(holder) in self._modules:
            module = self._modules[id(holder)]
            if not module.startswith("memroll_probe"):
                self._roots.append(_join(below.path, f"module {module} as {stored.key_of(holder, below.thing)}"))
            return None
        if type(holder) is dict:
            return Node(holder, _join(below.path, "dict"), below.path, stored.key_of(holder, below.thing))
        step, before = _step(holder, below)
        if step.startswith("memroll_probe"):
            return None
        path = _join(before, step)
        if stored.is_type(holder):
            self._roots.append(path)
            return None
        self._near.append(path)
        return Node(holder, path)


def _first(things: Iterable[Any], nodes: dict[int, Node]) -> Node | None:
    found = next(filter(nodes.__contains__, map(id, things)), None)
    return None if found is None else nodes[found]


def _step(holder: Any, below: Node) -> tuple[str, str]:
    """Return how a holder holds what is below it, and the path that this comes after."""
    kind = type(holder)
    if kind in CALLED:
        return f"{kind.__name__} {_name_of_call(holder)}", below.path
    owner = f"class {type_name(holder)}" if stored.is_type(holder) else type_name(kind)
    if type(below.thing) is dict and stored.is_dict_of(below.thing, holder):
        return f"attribute {below.name} of {owner}", below.before
    name = stored.attribute(holder, below.thing)
    return (f"attribute {name} of {owner}" if name else owner), below.path


def _name_of_call(called: Any) -> str:
    module = called.__module__ if type(called) is types.FunctionType else None
    return clean(f"{module}.{called.__qualname__}" if type(module) is str else called.__qualname__)


def _join(path: str, step: str) -> str:
    return clean(f"{path} in {step}" if path else step)
