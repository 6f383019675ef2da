"""Near the memory limit, looking would be what kills the service."""

from __future__ import annotations

import gc
import sys
import tracemalloc

import pytest

from memroll_probe import census, collected, containers, report, room
from memroll_probe.census import LOOK_BYTES_PER_OBJECT, Census
from memroll_probe.errors import NotNowError
from memroll_probe.tally import RISES
from tests.unit.probe.driving import watch_with

MIB = 2**20
OBJECTS = 300_000


class Entry:
    pass


KEPT = [Entry() for _ in range(50)]


@pytest.mark.parametrize("room_bytes", [None, 20 * MIB, 2**60])
def test_what_takes_half_of_the_room_may_be_done(room_bytes):
    room.require("it", 10 * MIB, room_bytes)


@pytest.mark.parametrize("room_bytes", [0, 12 * MIB, 20 * MIB - 1])
def test_what_takes_more_is_refused_with_both_figures(room_bytes):
    with pytest.raises(NotNowError, match=rf"it takes 10 MiB, and {room_bytes / MIB:.0f} MiB are left below the limit"):
        room.require("it", 10 * MIB, room_bytes)


def test_without_room_no_objects_are_counted_not_even_the_first_time():
    before = gc.get_stats()[2]["collections"]
    least = LOOK_BYTES_PER_OBJECT * len(gc.get_objects())
    looked = Census(lambda: least)
    with pytest.raises(NotNowError, match="a look at all objects takes"):
        looked.sample()
    assert gc.get_stats()[2]["collections"] == before


def test_what_was_counted_when_there_was_room_stays():
    left = [2**40]
    looked = Census(lambda: left[0])
    looked.sample()
    looked.sample()
    left[0] = 0
    with pytest.raises(NotNowError):
        looked.sample()
    assert looked.samples == 2


def test_without_room_a_report_tells_what_rises_and_not_who_holds_it(monkeypatch):
    watch = watch_with()
    name = f"{__name__}.Entry"
    for step in range(RISES + 1):
        watch.census.see({name: 10 * step})
    assert report.full(watch, use_deep=False)["types"][0]["referrers"]
    monkeypatch.setattr(watch.census, "_room_bytes", lambda: 0)
    told = report.full(watch, use_deep=False)
    assert (told["types"][0]["type"], told["types"][0]["referrers"]) == (name, [])
    assert [error for error in told["errors"] if error.startswith("referrers: a look at all objects takes")]


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(census.count_by_type, id="types"),
        pytest.param(containers.lengths, id="containers"),
        pytest.param(lambda: collected.of_types(frozenset((id(Entry),))), id="objects of a type"),
        pytest.param(lambda: containers.alive([id(KEPT)]), id="containers found again"),
        pytest.param(lambda: collected.referrers(KEPT[:3]), id="referrers"),
    ],
)
def test_a_look_takes_no_more_than_it_asks_room_for(look):
    """Lists, for these are looked at by each kind of look; none refers to another."""
    kept = [[] for _ in range(OBJECTS)]
    objects = len(gc.get_objects())
    look()  # what is made once is made
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        look()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept) <= objects <= sys.getallocatedblocks()
    assert peak - before < LOOK_BYTES_PER_OBJECT * objects + MIB
