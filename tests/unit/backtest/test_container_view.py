"""Containers of the report: groups by outcome, bounded plots, and the figures of each evaluation."""

from __future__ import annotations

import pytest

from memroll.backtest import policy
from memroll.backtest.container_view import EXPLANATIONS, SEVERITIES, figure_rows, groups
from memroll.backtest.outcome import TraceOutcome, group_by_outcome
from memroll.backtest.runner import BacktestJob, run
from memroll.pages.times import PageClock
from tests.unit.backtest.histories import LIMIT, line, trace


@pytest.fixture(scope="module")
def results():
    traces = [
        trace(*line(60, per_hour_mib=40, from_hour=30), name="leaking", oom_s=50.5 * 3600),
        trace(*line(1), name="young"),
        trace(*line(12), name="flat"),
    ]
    return run(BacktestJob(traces, policy.default_policy(), rules=()), 1, lambda _: None)


def test_each_outcome_has_a_severity_and_a_sentence():
    assert set(SEVERITIES) == set(EXPLANATIONS) == set(TraceOutcome)


def test_groups_are_in_the_order_of_the_outcomes_and_plots_are_bounded(results):
    found = groups(group_by_outcome(results), 2, PageClock())
    assert [(g.title, [c.name for c in g.containers]) for g in found] == [
        ("Rolled before the OOM kill", ["leaking"]),
        ("Not assessed", ["young"]),
        ("Healthy", ["flat"]),
    ]
    assert [c.plot is not None for g in found for c in g.containers] == [True, True, False]
    assert len({c.anchor for g in found for c in g.containers}) == 3


def test_a_moment_has_age_usage_and_its_part_of_the_limit(results):
    leaking = groups(group_by_outcome(results), 1, PageClock())[0].containers[0]
    (rolled,) = (m for m in leaking.moments if m.name == "rolled")
    usage = results[0].replay.rolled.verdict.usage_bytes
    assert rolled.usage_ratio == f"{usage / LIMIT:.0%}"
    assert rolled.verdict == results[0].replay.rolled.description
    assert rolled.age.endswith("h")
    killed = leaking.moments[-1]
    assert (killed.name, killed.usage, killed.verdict) == ("OOM-killed", "-", "-")


def test_the_figures_of_each_evaluation_are_shown(results):
    rolled = results[0].replay.rolled
    rows = {name: rest for name, *rest in figure_rows((rolled, rolled))}
    assert {"slope of the lower envelope", "99 % lower confidence bound of the slope", "lead time", "noise"} <= set(
        rows
    )
    assert all(len(values) == 2 for values in rows.values())
