from __future__ import annotations

import math

import pytest

from memroll_probe.errors import ResourceLimitError
from memroll_probe.sampler import MIN_RETRY_S, Sampler, ScheduledJob
from memroll_probe.settings import ProbeSettings


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Recorder:
    """Fake of the tracer and the object counts: records each call with its time, and costs time or fails."""

    def __init__(self, clock, work_clock):
        self.clock, self.work_clock = clock, work_clock
        self.calls, self.cost_s, self.error = [], 0.0, None

    def record(self, call):
        self.calls.append((call, self.clock.now))
        self.work_clock.now += self.cost_s
        if self.error is not None:
            raise self.error

    def start(self, frames):
        self.record("start")

    def stop(self):
        self.record("stop")

    def finish(self):
        self.record("finish")

    def take_baseline(self):
        self.record("baseline")

    def take_snapshot(self, remaining_s):
        self.record("snapshot")

    def sample(self):
        self.record("sample")


@pytest.fixture
def make_sampler():
    def make(**settings):
        clock, work_clock = Clock(), Clock()
        recorder = Recorder(clock, work_clock)
        sampler = Sampler(ProbeSettings(**settings), recorder, recorder, clock, work_clock)
        sampler.start_warm_up()
        return sampler, recorder

    return make


def run_until(sampler, recorder, until_s):
    """Run the jobs as the thread does, on a clock that jumps."""
    while True:
        pause_s = sampler.run_due_jobs()
        if recorder.clock.now + pause_s > until_s:
            return
        recorder.clock.now += pause_s


def test_without_a_warm_up_time_nothing_is_traced(make_sampler):
    sampler, recorder = make_sampler(interval_s=60.0)
    run_until(sampler, recorder, 200)
    assert recorder.calls == [("sample", 60.0), ("sample", 120.0), ("sample", 180.0)]
    assert not sampler.start_pending


def test_tracing_starts_after_the_warm_up_and_the_baseline_follows_after_the_settle_time(make_sampler):
    sampler, recorder = make_sampler(warmup_s=300.0, settle_s=30.0, interval_s=60.0)
    assert sampler.start_pending
    run_until(sampler, recorder, 400)
    assert [c for c in recorder.calls if c[0] != "sample"] == [
        ("start", 300.0),
        ("baseline", 330.0),
        ("snapshot", 390.0),
    ]
    assert recorder.calls[1] == ("sample", 300.0), "the object counts have their baseline after the warm-up, too"
    assert not sampler.start_pending


def test_tracing_finishes_after_the_trace_time(make_sampler):
    sampler, recorder = make_sampler(warmup_s=100.0, settle_s=20.0, trace_s=90.0, interval_s=60.0)
    run_until(sampler, recorder, 1000)
    traced = [c for c in recorder.calls if c[0] != "sample"]
    assert traced == [("start", 100.0), ("baseline", 120.0), ("snapshot", 180.0), ("finish", 210.0)]


def test_nothing_is_due_while_the_service_starts():
    clock = Clock()
    recorder = Recorder(clock, clock)
    sampler = Sampler(ProbeSettings(warmup_s=30.0, interval_s=60.0), recorder, recorder, clock, clock)
    run_until(sampler, recorder, 1000)
    clock.now = 1000.0
    assert recorder.calls == []
    sampler.start_warm_up()
    run_until(sampler, recorder, 1035)
    assert recorder.calls == [("start", 1030.0), ("sample", 1030.0)]


def test_expensive_work_runs_less_often(make_sampler):
    sampler, recorder = make_sampler(interval_s=60.0, time_ratio=0.01)
    recorder.cost_s = 2.0
    run_until(sampler, recorder, 500)
    assert recorder.calls == [("sample", 60.0), ("sample", 260.0), ("sample", 460.0)]


def test_an_interval_of_zero_disables_the_object_counts(make_sampler):
    sampler, recorder = make_sampler(interval_s=0.0)
    assert sampler.run_due_jobs() == math.inf
    assert recorder.calls == []


def test_a_failure_is_named_once_and_tried_again(make_sampler):
    sampler, recorder = make_sampler(interval_s=60.0)
    recorder.error = RuntimeError("a secret")
    run_until(sampler, recorder, 130)
    assert len(recorder.calls) == 2
    assert sampler.errors() == ["types: RuntimeError"]


def test_an_error_is_cleared_by_the_next_success(make_sampler):
    sampler, recorder = make_sampler(interval_s=60.0)
    recorder.error = RuntimeError()
    run_until(sampler, recorder, 70)
    recorder.error = None
    run_until(sampler, recorder, 130)
    assert sampler.errors() == []


def test_a_baseline_without_memory_headroom_is_tried_again(make_sampler):
    sampler, recorder = make_sampler(settle_s=0.0, interval_s=0.0)
    sampler.start_tracing()
    recorder.error = ResourceLimitError("no headroom")
    sampler.run_due_jobs()
    recorder.error = None
    assert sampler.errors() == ["baseline: no headroom"]
    run_until(sampler, recorder, 60)
    assert recorder.calls == [("start", 0.0), ("baseline", 0.0), ("baseline", MIN_RETRY_S)]


def test_tracing_that_was_stopped_on_request_does_not_start_again(make_sampler):
    sampler, recorder = make_sampler(warmup_s=10.0, interval_s=0.0)
    sampler.stop_tracing()
    run_until(sampler, recorder, 1000)
    assert recorder.calls == [("stop", 0.0)]


def test_a_job_without_an_interval_runs_once(make_sampler):
    sampler, recorder = make_sampler(interval_s=0.0)
    ran = []
    sampler.add(ScheduledJob("port", lambda: ran.append(recorder.clock.now), due_at=5.0))
    run_until(sampler, recorder, 100)
    assert ran == [5.0]
