"""Mutations of JSON objects: wrong types, odd values, missing keys, deep nesting, huge texts and numbers.

A JSON value and a source of random numbers go in, a changed copy comes out. Used by the fuzzer and by
`tests/property/test_hostile_objects.py`.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

MAX_DEPTH = 300
"""Maximum nesting of a mutated value: a few of them stay below the limit of the JSON decoder."""


def _nest(depth: int, *, as_list: bool) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value] if as_list else {"a": value}
    return value


ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7.5, -0.0, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**400, -(10**400),
    1e308, 1e-320, float("nan"), float("inf"), float("-inf"),
    "", " ", "x", "True", "null", "\x00", "\ud800", "\udfff\ud800", "\u202e", "é", "²", "٣", "..", ".", "/", "a/b",
    "%00", "-1", "0", "1e99", "1E", "9" * 5000, "0x10", "1_000", "Infinity", "NaN", "128Mi", "99999h" * 20, "100%",
    "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "2026-02-30T00:00:00Z", "2026-01-01", "2026-W01", "12:00",
    "99999999999999h", "In", "NotIn", "Exists", "memroll-released", "memroll-detached", "\\" * 2000, '"' * 500,
    "[" * 5000, "x" * 20_000,
    [], {}, [None], [[]], {"": None}, {"a": {}}, ["a", 1], [{}] * 50, {str(i): "x" for i in range(200)},
)  # fmt: skip


def mutate(value: Any, random: Random) -> Any:
    """Return a copy with one to four changes."""
    changed = copy.deepcopy(value)
    for _ in range(random.randint(1, 4)):
        changed = _mutate_once(changed, random)
    return changed


def _mutate_once(value: Any, random: Random) -> Any:
    places = list(_places(value))
    if not places:
        return _odd(value, random)
    holder, key = random.choice(places)
    match random.randrange(6):
        case 0:
            del holder[key]
        case 1:
            other, other_key = random.choice(places)
            holder[key] = copy.deepcopy(other[other_key])
        case 2 if isinstance(holder, list):
            holder.extend(copy.deepcopy(holder[key]) for _ in range(random.choice((1, 3, 60))))
        case 2:
            holder[str(random.choice(ODD_VALUES))[:300]] = holder[key]
        case _:
            holder[key] = _odd(holder[key], random)
    return value


def _places(value: Any) -> Any:
    """Yield each container of the value with each of its keys."""
    pending = [value]
    while pending:
        holder = pending.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            yield holder, key
            pending.append(holder[key])


def _odd(old: Any, random: Random) -> Any:
    """Return another value, or the old one in another form."""
    match random.randrange(8):
        case 0:
            return [old]
        case 1:
            return {"a": old}
        case 2:
            return _nest(random.randint(1, MAX_DEPTH), as_list=random.random() < 0.5)
        case 3 if isinstance(old, str):
            at = random.randint(0, len(old))
            return old[:at] + str(random.choice(ODD_VALUES))[:200] + old[at:]
        case 4 if isinstance(old, int) and abs(old) < 2**70:
            return old * random.choice((-1, 10, 1000, 2**32))
        case _:
            return copy.deepcopy(random.choice(ODD_VALUES))
