"""Plot of a trace: its curves, the line that decided behind them, and OOM kills of processes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.backtest import plot, policy
from memroll.backtest.runner import BacktestJob, run
from memroll.pages.times import PageClock
from tests.unit.backtest.histories import HOUR, line, trace


@pytest.fixture(scope="module")
def leaking():
    times, values = line(60, per_hour_mib=40, from_hour=30)
    (result,) = run(
        BacktestJob([trace(times, values, oom_s=float(times[-1]))], policy.default_policy(), rules=()),
        1,
        lambda _: None,
    )
    return result


def test_the_samples_are_drawn_over_the_fitted_line(leaking):
    kinds = [curve.kind for curve in plot.draw(leaking, PageClock()).curves]
    assert kinds == ["bound", "slope", "envelope", "rss"]


def test_the_number_of_points_is_bounded(leaking):
    (samples,) = (c for c in plot.draw(leaking, PageClock()).curves if c.kind == "rss")
    assert samples.path.count("L") < plot.MAX_POINTS < len(leaking.trace.history.rss)


def test_the_description_has_the_moments(leaking):
    drawn = plot.draw(leaking, PageClock())
    assert [m.name for m in drawn.moments] == ["suspected", "confirmed", "rolled", "OOM-killed"]
    assert "rolled at 49h" in drawn.description
    assert drawn.description.startswith("Memory of t over 51h")


def test_kills_of_processes_are_marked_and_the_last_one_is_a_moment(leaking):
    oom_s = leaking.trace.oom_s
    history = replace(leaking.trace.history, oom_kills_s=(10 * HOUR, 20 * HOUR, oom_s))
    drawn = plot.draw(replace(leaking, trace=replace(leaking.trace, history=history)), PageClock())
    assert len(drawn.kills) == 2
    assert all(0 < left < 98 for left in drawn.kills)
    many = replace(history, oom_kills_s=tuple(map(float, range(1, 200))))
    drawn = plot.draw(replace(leaking, trace=replace(leaking.trace, history=many)), PageClock())
    assert len(drawn.kills) == plot.MAX_KILLS
