"""Looking at all objects while other threads are still making some."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import time

import pytest

from memroll_probe import collected, containers, stored
from memroll_probe.census import Census
from memroll_probe.referrers import Trail

LOOK_S = 0.5


class Entry:
    pass


KEPT = [Entry() for _ in range(50)]
PAIRS = {number: (Entry(), number) for number in range(50)}


def makers(stop, failures):
    """Make tuples that the collector sees half-made: each step of the generator lets other threads run."""
    while not stop.is_set():
        try:
            tuple(entry for entry in itertools.islice(itertools.cycle(KEPT), 3_000))
        except SystemError as error:
            failures.append(str(error))


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(lambda: Census().sample(), id="a census"),
        pytest.param(collected.count_by_type_id, id="types"),
        pytest.param(lambda: stored.objects_of(Entry), id="objects of a type"),
        pytest.param(lambda: stored.objects_of(tuple), id="tuples"),
        pytest.param(containers.lengths, id="containers"),
        pytest.param(lambda: containers.alive([id(KEPT)]), id="containers found again"),
        pytest.param(lambda: Trail(time.monotonic() + 1).hints(KEPT[:3]), id="referrers"),
    ],
)
def test_no_tuple_in_the_making_is_held(look):
    """What other threads make fails if the probe refers to it before it is done."""
    stop, failures = threading.Event(), []
    threads = [threading.Thread(target=makers, args=(stop, failures)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        until, looks = time.monotonic() + LOOK_S, 0
        while time.monotonic() < until or looks < 3:
            look()
            looks += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_what_is_looked_for_is_found():
    kinds = frozenset((id(Entry),))
    found = collected.of_types(kinds)
    assert {id(entry) for entry in KEPT} <= {id(entry) for entry in found}
    assert {type(entry) for entry in found} == {Entry}
    assert collected.count_by_type_id()[id(Entry)] == len(found)


def test_a_tuple_is_left_out_and_its_holder_is_found():
    pair = PAIRS[7]
    assert any(pair is thing for thing in gc.get_referrers(pair[0]))
    found = collected.referrers([pair[0]])
    assert not [thing for thing in found if type(thing) in (tuple, frozenset)]
    assert any(thing is PAIRS for thing in found)


def test_lengths_are_those_of_the_objects():
    lists = frozenset((id(list),))
    assert collected.lengths_of(lists, least=len(KEPT))[id(KEPT)] == len(KEPT)
    assert id(KEPT) not in collected.lengths_of(lists, least=len(KEPT) + 1)


def test_a_look_leaves_no_reference_behind():
    before = sys.getrefcount(KEPT)
    kinds = frozenset((id(list),))
    gc.disable()  # what only a collection would take away is left behind
    try:
        collected.of_types(kinds)
        collected.with_ids(frozenset((id(KEPT),)), kinds)
        collected.lengths_of(kinds, 1)
        collected.referrers([KEPT])
        assert sys.getrefcount(KEPT) == before
    finally:
        gc.enable()
