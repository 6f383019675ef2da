"""Queries over all objects of the garbage collector, except those that are still under construction.

The collector tracks a tuple before it is filled. Code that fills one fails with a SystemError if another reference to
it exists meanwhile: a `tuple(generator)` of the service would fail in another thread. (The documentation of
`gc.get_referrers` warns of "objects still under construction".) Python changes threads only between bytecodes, so each
query must run as one call into C, from the collector's list until such objects are dropped again. Therefore the queries
are chains of the builtin `map` and its like. They compare identities, because a class may define `__eq__`, `__hash__`
and `__class__`.
"""

from __future__ import annotations

import gc
from collections import Counter
from itertools import chain, compress, repeat, starmap
from operator import not_
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNFINISHED_TYPE_IDS = frozenset(map(id, (tuple, frozenset)))
"""Identities of the types whose objects may be under construction."""


def count_by_type_id() -> Counter[int]:
    """Count the objects by the identity of their type."""
    return Counter(map(id, map(type, chain.from_iterable(_all_objects()))))


def find_by_type(type_ids: frozenset[int]) -> list[Any]:
    """Return the objects whose types have these identities, except tuples and frozensets."""
    (found,) = map(list, _select((type_ids - UNFINISHED_TYPE_IDS).__contains__, _all_objects()))
    return found


def find_by_id(ids: frozenset[int], type_ids: frozenset[int]) -> list[Any]:
    """Return the objects of these types that have these identities, except tuples and frozensets.

    The type is tested first, so that no reference to an unfinished object is made.
    """
    lists = map(list, _select((type_ids - UNFINISHED_TYPE_IDS).__contains__, _all_objects()))
    (found,) = map(list, _select(ids.__contains__, lists, of=None))
    return found


def measure_lengths(type_ids: frozenset[int], min_length: int) -> dict[int, int]:
    """Return `len` of each object of these types by its identity, from `min_length` on.

    No reference is kept, so that no object is destroyed here because this was its last reference.
    """
    found = _repeat_each(3, map(list, _select(type_ids.__contains__, _all_objects())))
    lengths: Iterator[Any] = map(map, repeat(len), found)
    pairs: Iterator[Any] = map(zip, map(map, repeat(id), found), lengths)
    long_enough: Iterator[Any] = map(map, repeat(min_length.__le__), map(map, repeat(len), found))
    return dict(chain.from_iterable(map(compress, pairs, long_enough)))


def find_referrers(targets: list[Any]) -> list[Any]:
    """Return the objects that refer to the targets, directly or through one tuple. The tuples are left out.

    A tuple that has a referrer is finished, so the caller may read it from there.
    """
    unfinished = UNFINISHED_TYPE_IDS.__contains__
    (direct,) = map(list, _select(unfinished, starmap(gc.get_referrers, (targets,)), invert=True))
    # Exhausted before the next query: its list would otherwise be one of the referrers of the tuples.
    tuples = chain.from_iterable(_select(id(tuple).__eq__, starmap(gc.get_referrers, (targets,))))
    above = starmap(gc.get_referrers, filter(None, map(tuple, (tuples,))))
    return [*direct, *chain.from_iterable(_select(unfinished, above, invert=True))]


def _all_objects() -> Iterator[list[Any]]:
    """Return all objects as of the first `next`.

    Collects the youngest generation first, so that no collection runs finalizers in between.
    """
    none: dict[int, None] = {}
    return map(gc.get_objects, map(none.get, map(gc.collect, (0,))))


def _select(
    test: Callable[[int], Any], lists: Iterator[list[Any]], *, invert: bool = False, of: type | None = type
) -> Iterator[Iterator[Any]]:
    """Return of each list the objects whose type's identity passes the test; with `of=None`, their own identity.

    `invert`: return the objects that fail the test. The caller makes the lists by `map`: a list that existed before
    would be one of all objects.
    """
    twice = _repeat_each(2, lists)
    kinds: Iterator[Any] = map(map, repeat(of), twice) if of else twice
    ids: Iterator[Any] = map(map, repeat(id), kinds)
    passed: Iterator[Any] = map(map, repeat(test), ids)
    return map(compress, twice, map(map, repeat(not_), passed) if invert else passed)


def _repeat_each(times: int, lists: Iterator[list[Any]]) -> Iterator[list[Any]]:
    """Return each list that many times.

    `repeat` makes its reference after the list exists. `itertools.tee` would be in the list that it holds, and both
    would stay alive.
    """
    return chain.from_iterable(map(repeat, lists, repeat(times)))
