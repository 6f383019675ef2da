"""The objects that the garbage collector knows, without those that are still being made.

A tuple is known to the collector before it is filled, and whoever fills it fails with a SystemError if anybody else
refers to it meanwhile: `tuple(generator)` in another thread would, in the middle of the service. (The documentation of
`gc.get_referrers` warns of "objects still under construction".) Python changes threads between bytecodes only, so
from the collector's answer until such objects are dropped again all must happen in one call into C: hence the maps
of builtins, which look at identities since a class may have an `__eq__`, a `__hash__` and a `__class__` of its own.
"""

from __future__ import annotations

import gc
from collections import Counter
from itertools import chain, compress, repeat, starmap
from operator import not_
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNFINISHED = frozenset(map(id, (tuple, frozenset)))


def count_by_type_id() -> Counter[int]:
    """Count the objects by the identity of their type."""
    return Counter(map(id, map(type, chain.from_iterable(_everything()))))


def of_types(kinds: frozenset[int]) -> list[Any]:
    """Return the objects whose types have these identities. Tuples and frozensets are never among them."""
    (found,) = map(list, _where((kinds - UNFINISHED).__contains__, _everything()))
    return found


def with_ids(ids: frozenset[int], kinds: frozenset[int]) -> list[Any]:
    """Return the objects of these types that have these identities. The others are not held on the way to them."""
    lists = map(list, _where((kinds - UNFINISHED).__contains__, _everything()))
    (found,) = map(list, _where(ids.__contains__, lists, of=None))
    return found


def lengths_of(kinds: frozenset[int], least: int) -> dict[int, int]:
    """Return `len` of these objects by their identity, from `least` on.

    None is held, so none is destroyed here, as its last holder.
    """
    found = _repeated(3, map(list, _where(kinds.__contains__, _everything())))
    lengths: Iterator[Any] = map(map, repeat(len), found)
    pairs: Iterator[Any] = map(zip, map(map, repeat(id), found), lengths)
    wanted: Iterator[Any] = map(map, repeat(least.__le__), map(map, repeat(len), found))
    return dict(chain.from_iterable(map(compress, pairs, wanted)))


def referrers(targets: list[Any]) -> list[Any]:
    """Return what refers to the targets, and what refers to a tuple that does: the tuple itself is left out.

    A tuple that something refers to is finished, so the caller may take it from there.
    """
    unfinished = UNFINISHED.__contains__
    (direct,) = map(list, _where(unfinished, starmap(gc.get_referrers, (targets,)), but=True))
    # Taken to the end before the next question: its list would else be among what refers to the tuples.
    tuples = chain.from_iterable(_where(id(tuple).__eq__, starmap(gc.get_referrers, (targets,))))
    above = starmap(gc.get_referrers, filter(None, map(tuple, (tuples,))))
    return [*direct, *chain.from_iterable(_where(unfinished, above, but=True))]


def _everything() -> Iterator[list[Any]]:
    """Return all objects as of the first `next`, after a collection: none comes then, and runs finalizers, between."""
    none: dict[int, None] = {}
    return map(gc.get_objects, map(none.get, map(gc.collect, (0,))))


def _where(
    test: Callable[[int], Any], lists: Iterator[list[Any]], *, but: bool = False, of: type | None = type
) -> Iterator[Iterator[Any]]:
    """Return of each list the objects whose type's identity passes a test, or their own; or all but these.

    To be made a list of by `map`: one that was there before would find itself among all objects.
    """
    twice = _repeated(2, lists)
    kinds: Iterator[Any] = map(map, repeat(of), twice) if of else twice
    ids: Iterator[Any] = map(map, repeat(id), kinds)
    answers: Iterator[Any] = map(map, repeat(test), ids)
    return map(compress, twice, map(map, repeat(not_), answers) if but else answers)


def _repeated(times: int, lists: Iterator[list[Any]]) -> Iterator[list[Any]]:
    """Return each list so many times.

    By what is made when it is there: `itertools.tee` would be in the list that it holds, and both would stay on.
    """
    return chain.from_iterable(map(repeat, lists, repeat(times)))
