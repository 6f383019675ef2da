"""Near the memory limit, the probe's own work could be what kills the service."""

from __future__ import annotations

import gc
import sys
import tracemalloc

import pytest

from memroll_probe import containers, gc_objects, memory_headroom, object_counts, report
from memroll_probe.counter import MIN_RISES
from memroll_probe.errors import ResourceLimitError
from memroll_probe.object_counts import SCAN_BYTES_PER_OBJECT, ObjectCounts
from tests.unit.probe.harness import state_with

MIB = 2**20
OBJECTS = 300_000


class Entry:
    pass


KEPT = [Entry() for _ in range(50)]


@pytest.mark.parametrize("headroom_bytes", [None, 20 * MIB, 2**60])
def test_work_that_takes_half_of_the_headroom_is_allowed(headroom_bytes):
    memory_headroom.require("it", 10 * MIB, headroom_bytes)


@pytest.mark.parametrize("headroom_bytes", [0, 12 * MIB, 20 * MIB - 1])
def test_work_that_takes_more_is_refused_with_both_figures(headroom_bytes):
    with pytest.raises(
        ResourceLimitError, match=rf"it takes 10 MiB, and {headroom_bytes / MIB:.0f} MiB are left below the limit"
    ):
        memory_headroom.require("it", 10 * MIB, headroom_bytes)


def test_without_headroom_no_objects_are_counted_not_even_the_first_time():
    before = gc.get_stats()[2]["collections"]
    headroom = SCAN_BYTES_PER_OBJECT * len(gc.get_objects())
    counts = ObjectCounts(lambda: headroom)
    with pytest.raises(ResourceLimitError, match="a scan of all objects takes"):
        counts.sample()
    assert gc.get_stats()[2]["collections"] == before


def test_earlier_counts_are_kept_when_the_headroom_is_used_up():
    headroom = [2**40]
    counts = ObjectCounts(lambda: headroom[0])
    counts.sample()
    counts.sample()
    headroom[0] = 0
    with pytest.raises(ResourceLimitError):
        counts.sample()
    assert counts.samples == 2


def test_without_headroom_a_report_has_the_rising_types_without_referrers(monkeypatch):
    state = state_with()
    name = f"{__name__}.Entry"
    for step in range(MIN_RISES + 1):
        state.object_counts.add({name: 10 * step})
    assert report.build_report(state, deep=False)["types"][0]["referrers"]
    monkeypatch.setattr(state.object_counts, "_headroom_bytes", lambda: 0)
    made = report.build_report(state, deep=False)
    assert (made["types"][0]["type"], made["types"][0]["referrers"]) == (name, [])
    assert [error for error in made["errors"] if error.startswith("referrers: a scan of all objects takes")]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(object_counts.count_by_type, id="types"),
        pytest.param(containers.lengths, id="containers"),
        pytest.param(lambda: gc_objects.find_by_type(frozenset((id(Entry),))), id="objects of a type"),
        pytest.param(lambda: containers.find_alive([id(KEPT)]), id="containers found again"),
        pytest.param(lambda: gc_objects.find_referrers(KEPT[:3]), id="referrers"),
    ],
)
def test_a_query_takes_no_more_memory_than_its_estimate(query):
    """Use lists: every query scans them, and none refers to another."""
    kept = [[] for _ in range(OBJECTS)]
    objects = len(gc.get_objects())
    query()  # caches are filled
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        query()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept) <= objects <= sys.getallocatedblocks()
    assert peak - before < SCAN_BYTES_PER_OBJECT * objects + MIB
