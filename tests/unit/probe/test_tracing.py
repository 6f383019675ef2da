from __future__ import annotations

import tracemalloc

import pytest

from memroll_probe.errors import NotNowError
from memroll_probe.tracing import Tracing

KEPT: list = []


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def started(room_bytes=None, frames=1):
    tracing = Tracing(Clock(), lambda: room_bytes)
    tracing.start(frames)
    return tracing


def test_growth_is_measured_from_the_baseline_by_line():
    tracing = started()
    KEPT.append(bytearray(300_000))
    tracing.take_baseline()
    KEPT.append(bytearray(200_000))
    tracing.look(60)
    KEPT.clear()
    first = tracing.growth(10)[0]
    assert first.file == __file__
    assert 200_000 <= first.bytes < 201_000


def test_before_the_baseline_growth_counts_from_the_start():
    tracing = started()
    KEPT.append(bytearray(300_000))
    tracing.look(60)
    KEPT.clear()
    assert tracing.growth(1)[0].bytes >= 300_000


def test_what_grew_until_the_end_is_kept_and_nothing_is_traced_any_more():
    tracing = started()
    tracing.take_baseline()
    KEPT.append(bytearray(200_000))
    tracing.end()
    KEPT.append(bytearray(900_000))
    assert not tracemalloc.is_tracing()
    assert 200_000 <= tracing.growth(1)[0].bytes < 201_000
    KEPT.clear()
    tracing.start(1)
    assert tracing.growth(1) == [], "another time begins at nothing"


def test_without_room_for_a_snapshot_the_end_keeps_the_last_look():
    room_bytes = [2**40]
    tracing = Tracing(Clock(), lambda: room_bytes[0])
    tracing.start(1)
    last = tracing.look(60)
    room_bytes[0] = 0
    tracing.end()
    assert tracing.last is last
    assert not tracemalloc.is_tracing()


def test_off_it_neither_looks_nor_tells_growth():
    tracing = Tracing()
    with pytest.raises(NotNowError, match="tracing is off"):
        tracing.look(60)
    assert tracing.growth(10) == []
    assert not tracemalloc.is_tracing()


def test_near_the_memory_limit_no_snapshot_is_made():
    tracing = started(room_bytes=1_000)
    with pytest.raises(NotNowError, match=r"a snapshot takes \d+ MiB, and 0 MiB are left below"):
        tracing.look(60)


def test_a_limit_with_room_is_no_obstacle():
    assert started(room_bytes=2**40).look(60).stride == 1


def test_without_time_the_last_look_stays():
    tracing = started()
    last = tracing.look(60)
    with pytest.raises(NotNowError, match=r"a snapshot takes 0\.5 s, 0\.1 s are left"):
        tracing.look(0.1)
    assert tracing.last is last


def test_what_somebody_else_traces_is_used_as_it_is():
    tracemalloc.start(7)
    assert started(frames=2).describe(waiting=False)["frames"] == 7


@pytest.mark.parametrize(
    ("steps", "waiting", "state"),
    [
        pytest.param([], False, "off", id="never asked for"),
        pytest.param([], True, "warming", id="before the warm-up is over"),
        pytest.param(["start"], False, "warming", id="until the baseline"),
        pytest.param(["start", "take_baseline"], False, "tracing", id="from the baseline on"),
        pytest.param(["start", "take_baseline", "stop"], False, "off", id="stopped"),
        pytest.param(["start", "take_baseline", "end"], False, "off", id="ended"),
        pytest.param(["start", "take_baseline", "end", "start"], False, "warming", id="started again"),
    ],
)
def test_the_state(steps, waiting, state):
    tracing = Tracing(Clock())
    for step in steps:
        getattr(tracing, step)(*([1] if step == "start" else []))
    assert tracing.describe(waiting=waiting)["state"] == state


def test_ages_are_told_in_seconds():
    tracing = Tracing(clock := Clock())
    tracing.start(1)
    clock.now += 30
    tracing.take_baseline()
    clock.now += 12
    told = tracing.describe(waiting=False)
    assert (told["sinceSeconds"], told["baselineSeconds"], told["lookSeconds"]) == (42.0, 12.0, 12.0)
    assert told["tracedBytes"] > 0
    assert told["overheadBytes"] > 0
