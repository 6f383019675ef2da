"""Reads attributes, slots and types of objects without running code of their classes.

Nothing here triggers code that a class can define: no isinstance (it reads `__class__`), no getattr, no ==, no hash.
Called by containers, referrers and report.
"""

from __future__ import annotations

import contextlib
import gc
import operator
import sys
import types
from itertools import repeat
from typing import TYPE_CHECKING, Any

from memroll_probe.gc_objects import find_by_type
from memroll_probe.naming import sanitize

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ATTRIBUTE_CHARS = 64
"""Maximum length of an attribute's name in characters: a longer one may be data. Chosen by hand."""

_MODULE_DICT: Any = vars(types.ModuleType)["__dict__"]
# Any, because typeshed does not type these descriptors.
_MRO: Any = type.__dict__["__mro__"]
_CLASS_DICT: Any = type.__dict__["__dict__"]


def is_type(thing: Any) -> bool:
    return issubclass(type(thing), type)


def types_by_id() -> dict[int, type]:
    """Return all types by identity, found as subclasses of `object`: they are far fewer than the objects."""
    found: dict[int, type] = {id(object): object}
    todo: list[type] = [object]
    while todo:
        subclasses: list[type] = type.__subclasses__(todo.pop())
        for kind in subclasses:
            if id(kind) not in found:
                found[id(kind)] = kind
                todo.append(kind)
    return found


def sample_objects(kind: type) -> list[Any]:
    """Return up to three objects of a type, from the middle: the oldest ones may be permanent and no leak."""
    found = find_by_type(frozenset((id(kind),)))
    places = sorted({len(found) * part // 4 for part in (1, 2, 3)}) if found else ()
    return [found[place] for place in places]


def refers_to(holder: Any, target: Any) -> bool:
    return any(map(operator.is_, gc.get_referents(holder), repeat(target)))


def module_names_by_id() -> dict[int, str]:
    """Return the modules' names by the identity of their dicts. Does not load lazy modules."""
    return {
        id(_MODULE_DICT.__get__(module)): sanitize(name)
        for name, module in list(sys.modules.items())
        if issubclass(type(module), types.ModuleType) and type(name) is str
    }


def is_attribute_dict(names: Any, owner: Any) -> bool:
    """Return whether an object or a class keeps its attributes in this dict."""
    if is_type(owner):
        return refers_to(_CLASS_DICT.__get__(owner), names)
    return any(entry.__get__(owner) is names for entry in _entries(owner, "__dict__", types.GetSetDescriptorType))


def attribute_name(owner: Any, target: Any) -> str:
    """Return the name of the attribute of an object that is the target: in its dict, or a slot. Empty if none is."""
    for entry in _entries(owner, "__dict__", types.GetSetDescriptorType):
        if (name := key_name(entry.__get__(owner), target)) != "":
            return name
    for entry in _entries(owner, "", types.MemberDescriptorType):
        with contextlib.suppress(AttributeError):  # a slot that was never filled
            if entry.__get__(owner) is target:
                return display_name(entry.__name__)
    return ""


def key_name(names: dict[Any, Any], target: Any) -> str:
    """Return the name of a target in the attribute dict of an object, a class or a module."""
    return next((display_name(name) for name, value in list(names.items()) if value is target), "")


def display_name(name: Any) -> str:
    """Return an attribute's name in quotes if it is an identifier: other keys of an attribute dict may be data."""
    if type(name) is str and name.isidentifier() and len(name) <= MAX_ATTRIBUTE_CHARS:
        return f"'{name}'"
    return "a name"


def _entries(owner: Any, name: str, kind: type) -> Iterator[Any]:
    for base in _MRO.__get__(type(owner)):
        for key, entry in list(_CLASS_DICT.__get__(base).items()):
            if type(entry) is kind and name in ("", key):
                yield entry
