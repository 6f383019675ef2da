from __future__ import annotations

import tracemalloc

import pytest

from memroll_probe.errors import ResourceLimitError
from memroll_probe.tracing import Tracer

KEPT: list = []


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def started(headroom_bytes=None, frames=1):
    tracer = Tracer(Clock(), lambda: headroom_bytes)
    tracer.start(frames)
    return tracer


def test_growth_is_measured_from_the_baseline_by_line():
    tracer = started()
    KEPT.append(bytearray(300_000))
    tracer.take_baseline()
    KEPT.append(bytearray(200_000))
    tracer.take_snapshot(60)
    KEPT.clear()
    first = tracer.growth(10)[0]
    assert first.file == __file__
    assert 200_000 <= first.bytes < 201_000


def test_before_the_baseline_growth_counts_from_the_start():
    tracer = started()
    KEPT.append(bytearray(300_000))
    tracer.take_snapshot(60)
    KEPT.clear()
    assert tracer.growth(1)[0].bytes >= 300_000


def test_finishing_keeps_the_growth_and_stops_tracing():
    tracer = started()
    tracer.take_baseline()
    KEPT.append(bytearray(200_000))
    tracer.finish()
    KEPT.append(bytearray(900_000))
    assert not tracemalloc.is_tracing()
    assert 200_000 <= tracer.growth(1)[0].bytes < 201_000
    KEPT.clear()
    tracer.start(1)
    assert tracer.growth(1) == [], "a new start discards the growth"


def test_without_headroom_for_a_snapshot_finishing_keeps_the_last_one():
    headroom_bytes = [2**40]
    tracer = Tracer(Clock(), lambda: headroom_bytes[0])
    tracer.start(1)
    last = tracer.take_snapshot(60)
    headroom_bytes[0] = 0
    tracer.finish()
    assert tracer.last_snapshot is last
    assert not tracemalloc.is_tracing()


def test_with_tracing_off_there_is_no_snapshot_and_no_growth():
    tracer = Tracer()
    with pytest.raises(ResourceLimitError, match="tracing is off"):
        tracer.take_snapshot(60)
    assert tracer.growth(10) == []
    assert not tracemalloc.is_tracing()


def test_near_the_memory_limit_no_snapshot_is_made():
    tracer = started(headroom_bytes=1_000)
    with pytest.raises(ResourceLimitError, match=r"a snapshot takes \d+ MiB, and 0 MiB are left below"):
        tracer.take_snapshot(60)


def test_with_enough_headroom_a_snapshot_is_made():
    assert started(headroom_bytes=2**40).take_snapshot(60).stride == 1


def test_without_time_the_last_snapshot_is_kept():
    tracer = started()
    last = tracer.take_snapshot(60)
    with pytest.raises(ResourceLimitError, match=r"a snapshot takes 0\.5 s, 0\.1 s are left"):
        tracer.take_snapshot(0.1)
    assert tracer.last_snapshot is last


def test_tracemalloc_that_runs_already_keeps_its_number_of_frames():
    tracemalloc.start(7)
    assert started(frames=2).describe(start_pending=False)["frames"] == 7


@pytest.mark.parametrize(
    ("steps", "start_pending", "state"),
    [
        pytest.param([], False, "off", id="never started"),
        pytest.param([], True, "warming", id="before the warm-up is over"),
        pytest.param(["start"], False, "warming", id="until the baseline"),
        pytest.param(["start", "take_baseline"], False, "tracing", id="from the baseline on"),
        pytest.param(["start", "take_baseline", "stop"], False, "off", id="stopped"),
        pytest.param(["start", "take_baseline", "finish"], False, "off", id="finished"),
        pytest.param(["start", "take_baseline", "finish", "start"], False, "warming", id="started again"),
    ],
)
def test_the_state(steps, start_pending, state):
    tracer = Tracer(Clock())
    for step in steps:
        getattr(tracer, step)(*([1] if step == "start" else []))
    assert tracer.describe(start_pending=start_pending)["state"] == state


def test_ages_are_in_seconds():
    tracer = Tracer(clock := Clock())
    tracer.start(1)
    clock.now += 30
    tracer.take_baseline()
    clock.now += 12
    described = tracer.describe(start_pending=False)
    assert (described["sinceSeconds"], described["baselineSeconds"], described["lookSeconds"]) == (42.0, 12.0, 12.0)
    assert described["tracedBytes"] > 0
    assert described["overheadBytes"] > 0
