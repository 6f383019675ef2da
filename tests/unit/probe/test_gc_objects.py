"""Queries over all objects while other threads create tuples."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import time

import pytest

from memroll_probe import containers, gc_objects, object_slots
from memroll_probe.object_counts import ObjectCounts
from memroll_probe.referrers import ReferrerSearch

QUERY_S = 0.5


class Entry:
    pass


KEPT = [Entry() for _ in range(50)]
PAIRS = {number: (Entry(), number) for number in range(50)}


def make_tuples(stop, failures):
    """Create tuples that the collector tracks unfinished: each step of the generator lets other threads run."""
    while not stop.is_set():
        try:
            tuple(entry for entry in itertools.islice(itertools.cycle(KEPT), 3_000))
        except SystemError as error:
            failures.append(str(error))


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(lambda: ObjectCounts().sample(), id="object counts"),
        pytest.param(gc_objects.count_by_type_id, id="types"),
        pytest.param(lambda: object_slots.sample_objects(Entry), id="objects of a type"),
        pytest.param(lambda: object_slots.sample_objects(tuple), id="tuples"),
        pytest.param(containers.lengths, id="containers"),
        pytest.param(lambda: containers.find_alive([id(KEPT)]), id="containers found again"),
        pytest.param(lambda: ReferrerSearch(time.monotonic() + 1).find_paths(KEPT[:3]), id="referrers"),
    ],
)
def test_no_unfinished_tuple_is_referenced(query):
    """Creating a tuple fails in another thread if the probe refers to it before it is finished."""
    stop, failures = threading.Event(), []
    threads = [threading.Thread(target=make_tuples, args=(stop, failures)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        until, queries = time.monotonic() + QUERY_S, 0
        while time.monotonic() < until or queries < 3:
            query()
            queries += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_all_objects_of_a_type_are_found():
    kinds = frozenset((id(Entry),))
    found = gc_objects.find_by_type(kinds)
    assert {id(entry) for entry in KEPT} <= {id(entry) for entry in found}
    assert {type(entry) for entry in found} == {Entry}
    assert gc_objects.count_by_type_id()[id(Entry)] == len(found)


def test_a_tuple_is_left_out_and_its_holder_is_found():
    pair = PAIRS[7]
    assert any(pair is thing for thing in gc.get_referrers(pair[0]))
    found = gc_objects.find_referrers([pair[0]])
    assert not [thing for thing in found if type(thing) in (tuple, frozenset)]
    assert any(thing is PAIRS for thing in found)


def test_lengths_are_those_of_the_objects():
    lists = frozenset((id(list),))
    assert gc_objects.measure_lengths(lists, min_length=len(KEPT))[id(KEPT)] == len(KEPT)
    assert id(KEPT) not in gc_objects.measure_lengths(lists, min_length=len(KEPT) + 1)


def test_a_query_leaves_no_reference_behind():
    before = sys.getrefcount(KEPT)
    kinds = frozenset((id(list),))
    gc.disable()  # a reference that only a collection removes counts as left behind
    try:
        gc_objects.find_by_type(kinds)
        gc_objects.find_by_id(frozenset((id(KEPT),)), kinds)
        gc_objects.measure_lengths(kinds, 1)
        gc_objects.find_referrers([KEPT])
        assert sys.getrefcount(KEPT) == before
    finally:
        gc.enable()
