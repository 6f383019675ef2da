"""What is stored in an object, past its class's own ideas of it.

Nothing here asks an object anything that its class could answer with code of its own: no isinstance (it reads
`__class__`), no getattr, no ==, no hash.
"""

from __future__ import annotations

import contextlib
import gc
import operator
import sys
import types
from itertools import repeat
from typing import TYPE_CHECKING, Any

from memroll_probe.collected import of_types
from memroll_probe.naming import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_ATTRIBUTE = 64

_MODULE_DICT: Any = vars(types.ModuleType)["__dict__"]
# Seen through Any: the types of these descriptors are not told.
_MRO: Any = type.__dict__["__mro__"]
_CLASS_DICT: Any = type.__dict__["__dict__"]


def is_type(thing: Any) -> bool:
    return issubclass(type(thing), type)


def types_by_id() -> dict[int, type]:
    """Return all types, found as subclasses of `object`: they are far fewer than the objects."""
    found: dict[int, type] = {id(object): object}
    todo: list[type] = [object]
    while todo:
        below: list[type] = type.__subclasses__(todo.pop())
        for kind in below:
            if id(kind) not in found:
                found[id(kind)] = kind
                todo.append(kind)
    return found


def objects_of(kind: type) -> list[Any]:
    """Return up to three objects of a type, from the middle: a leak's first may be the service's own furniture."""
    found = of_types(frozenset((id(kind),)))
    places = sorted({len(found) * part // 4 for part in (1, 2, 3)}) if found else ()
    return [found[place] for place in places]


def holds(holder: Any, target: Any) -> bool:
    return any(map(operator.is_, gc.get_referents(holder), repeat(target)))


def names_of_modules() -> dict[int, str]:
    """Return the modules' names by the identity of their dicts. A lazy module is not loaded by this."""
    return {
        id(_MODULE_DICT.__get__(module)): clean(name)
        for name, module in list(sys.modules.items())
        if issubclass(type(module), types.ModuleType) and type(name) is str
    }


def is_dict_of(names: Any, owner: Any) -> bool:
    """Tell whether a dict is where an object or a class keeps its attributes."""
    if is_type(owner):
        return holds(_CLASS_DICT.__get__(owner), names)
    return any(entry.__get__(owner) is names for entry in _entries(owner, "__dict__", types.GetSetDescriptorType))


def attribute(owner: Any, target: Any) -> str:
    """Name the attribute of an object that is the target: a slot, or in its dict."""
    for entry in _entries(owner, "__dict__", types.GetSetDescriptorType):
        if (name := key_of(entry.__get__(owner), target)) != "":
            return name
    for entry in _entries(owner, "", types.MemberDescriptorType):
        with contextlib.suppress(AttributeError):  # a slot that was never filled
            if entry.__get__(owner) is target:
                return shown(entry.__name__)
    return ""


def key_of(names: dict[Any, Any], target: Any) -> str:
    """Return the name of a target in the dict of an object, a class or a module."""
    return next((shown(name) for name, value in list(names.items()) if value is target), "")


def shown(name: Any) -> str:
    """Show an attribute's name if it is one: what else was set by name may be data."""
    if type(name) is str and name.isidentifier() and len(name) <= LONGEST_ATTRIBUTE:
        return f"'{name}'"
    return "a name"


def _entries(owner: Any, name: str, kind: type) -> Iterator[Any]:
    for base in _MRO.__get__(type(owner)):
        for key, entry in list(_CLASS_DICT.__get__(base).items()):
            if type(entry) is kind and name in ("", key):
                yield entry
