"""Moments of a trace are in the order of time, whatever the usual order is."""

from __future__ import annotations

from memroll.backtest.moments import moments_of
from memroll.backtest.replay import Evaluation, ReplayResult
from memroll.backtest.runner import BacktestResult
from memroll.detection.reasons import VerdictReason
from memroll.detection.verdict import ContainerVerdict, Verdict
from tests.unit.backtest.histories import trace

VERDICT = ContainerVerdict(Verdict.LEAKING, VerdictReason.NOT_GROWING, "")


def names(oom_s=None, **at_s):
    found = ReplayResult(**{stage: Evaluation(at, VERDICT) for stage, at in at_s.items()})
    return [m.name for m in moments_of(BacktestResult(trace([0.0, 9.0], [1, 1], oom_s=oom_s), found, {}))]


def test_moments_are_ordered_by_time():
    assert names(suspected=1.0, confirmed=5.0, rolled=3.0) == ["suspected", "rolled", "confirmed"]
    assert names(suspected=1.0, confirmed=5.0, rolled=6.0, oom_s=5.5) == [
        "suspected",
        "confirmed",
        "OOM-killed",
        "rolled",
    ]


def test_moments_of_one_time_are_in_the_usual_order():
    assert names(rolled=2.0, confirmed=2.0, suspected=2.0, oom_s=2.0) == [
        "suspected",
        "confirmed",
        "rolled",
        "OOM-killed",
    ]


def test_a_trace_without_any_has_none():
    assert names() == []
