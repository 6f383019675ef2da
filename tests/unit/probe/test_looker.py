from __future__ import annotations

import math

import pytest

from memroll_probe.errors import NotNowError
from memroll_probe.looker import AGAIN_S, Job, Looker
from memroll_probe.settings import Settings


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Recorded:
    """Stands for the tracing and the census: notes when what is called, and costs or fails as told."""

    def __init__(self, clock, work_clock):
        self.clock, self.work_clock = clock, work_clock
        self.calls, self.cost_s, self.error = [], 0.0, None

    def note(self, what):
        self.calls.append((what, self.clock.now))
        self.work_clock.now += self.cost_s
        if self.error is not None:
            raise self.error

    def start(self, frames):
        self.note("start")

    def stop(self):
        self.note("stop")

    def end(self):
        self.note("end")

    def take_baseline(self):
        self.note("baseline")

    def look(self, time_left_s):
        self.note("look")

    def sample(self):
        self.note("sample")


@pytest.fixture
def made():
    def make(**settings):
        clock, work_clock = Clock(), Clock()
        recorded = Recorded(clock, work_clock)
        looker = Looker(Settings(**settings), recorded, recorded, clock, work_clock)
        looker.warm_up()
        return looker, recorded

    return make


def live(looker, recorded, until_s):
    """Live as the thread does, on a clock that jumps."""
    while True:
        pause_s = looker.step()
        if recorded.clock.now + pause_s > until_s:
            return
        recorded.clock.now += pause_s


def test_without_a_warm_up_time_nothing_is_traced(made):
    looker, recorded = made(interval_s=60.0)
    live(looker, recorded, 200)
    assert recorded.calls == [("sample", 60.0), ("sample", 120.0), ("sample", 180.0)]
    assert not looker.waiting


def test_tracing_starts_after_the_warm_up_and_the_baseline_when_it_has_settled(made):
    looker, recorded = made(warmup_s=300.0, settle_s=30.0, interval_s=60.0)
    assert looker.waiting
    live(looker, recorded, 400)
    assert [c for c in recorded.calls if c[0] != "sample"] == [("start", 300.0), ("baseline", 330.0), ("look", 390.0)]
    assert recorded.calls[1] == ("sample", 300.0), "the census has its baseline after the warm-up, too"
    assert not looker.waiting


def test_tracing_for_a_time_ends_by_itself(made):
    looker, recorded = made(warmup_s=100.0, settle_s=20.0, trace_s=90.0, interval_s=60.0)
    live(looker, recorded, 1000)
    traced = [c for c in recorded.calls if c[0] != "sample"]
    assert traced == [("start", 100.0), ("baseline", 120.0), ("look", 180.0), ("end", 210.0)]


def test_nothing_is_due_while_the_service_starts():
    clock = Clock()
    recorded = Recorded(clock, clock)
    looker = Looker(Settings(warmup_s=30.0, interval_s=60.0), recorded, recorded, clock, clock)
    live(looker, recorded, 1000)
    clock.now = 1000.0
    assert recorded.calls == []
    looker.warm_up()
    live(looker, recorded, 1035)
    assert recorded.calls == [("start", 1030.0), ("sample", 1030.0)]


def test_what_is_much_work_is_done_more_seldom(made):
    looker, recorded = made(interval_s=60.0, time_share=0.01)
    recorded.cost_s = 2.0
    live(looker, recorded, 500)
    assert recorded.calls == [("sample", 60.0), ("sample", 260.0), ("sample", 460.0)]


def test_an_interval_of_nothing_switches_the_census_off(made):
    looker, recorded = made(interval_s=0.0)
    assert looker.step() == math.inf
    assert recorded.calls == []


def test_a_failure_is_named_once_and_tried_again(made):
    looker, recorded = made(interval_s=60.0)
    recorded.error = RuntimeError("a secret")
    live(looker, recorded, 130)
    assert len(recorded.calls) == 2
    assert looker.troubles() == ["types: RuntimeError"]


def test_a_failure_that_is_over_is_no_longer_told(made):
    looker, recorded = made(interval_s=60.0)
    recorded.error = RuntimeError()
    live(looker, recorded, 70)
    recorded.error = None
    live(looker, recorded, 130)
    assert looker.troubles() == []


def test_a_baseline_for_which_there_is_no_room_is_tried_again(made):
    looker, recorded = made(settle_s=0.0, interval_s=0.0)
    looker.start_tracing()
    recorded.error = NotNowError("no room")
    looker.step()
    recorded.error = None
    assert looker.troubles() == ["baseline: no room"]
    live(looker, recorded, 60)
    assert recorded.calls == [("start", 0.0), ("baseline", 0.0), ("baseline", AGAIN_S)]


def test_stopped_by_hand_it_does_not_start_again(made):
    looker, recorded = made(warmup_s=10.0, interval_s=0.0)
    looker.stop_tracing()
    live(looker, recorded, 1000)
    assert recorded.calls == [("stop", 0.0)]


def test_work_may_say_when_it_is_due_again(made):
    looker, recorded = made(interval_s=0.0)
    ran = []
    looker.add(Job("port", lambda: ran.append(recorded.clock.now), due_at=5.0))
    live(looker, recorded, 100)
    assert ran == [5.0]
