"""Figures of the tables, over outcomes that are written down here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.backtest.replay import Evaluation, ReplayResult
from memroll.backtest.runner import BacktestResult
from memroll.detection.series import Series
from memroll.detection.verdict import ContainerVerdict, Verdict
from tests.bench.detect import outcome
from tests.bench.detect.outcome import Outcome, outcome_of
from tests.bench.detect.sets import Case
from tests.unit.backtest.histories import LIMIT, line, trace

HOUR = 3600.0
DAY = 86_400.0
LEAK = Outcome(
    set="s",
    kind="k",
    leaks=True,
    start_s=0.0,
    end_s=10 * DAY,
    onset_s=DAY,
    oom_s=10 * DAY,
    ahead_s=DAY,
    reported_s=8 * DAY,
    confirmed_s=8 * DAY,
    rolled_s=9.5 * DAY,
    unreclaimable_at_roll=0.9,
    assessed=True,
)
HARMLESS = replace(
    LEAK, leaks=False, onset_s=None, oom_s=None, reported_s=None, confirmed_s=None, rolled_s=None, ahead_s=HOUR
)
LOST = replace(LEAK, reported_s=9.5 * DAY, rolled_s=None, unreclaimable_at_roll=None)


def test_harmless_pods_count_by_their_days():
    some = [HARMLESS, replace(HARMLESS, rolled_s=DAY, reported_s=DAY, confirmed_s=DAY), LEAK]
    assert outcome.harmless_days(some) == 20
    assert outcome.rolled_per_1000(some) == outcome.reported_per_1000(some) == 50
    assert outcome.falsely_confirmed(some) == 0.5


def test_leaks_are_saved_by_a_roll_before_their_oom_kill():
    assert outcome.leaks([LEAK, LOST, HARMLESS]) == 2
    assert outcome.saved([LEAK, LOST, HARMLESS]) == 0.5
    assert outcome.hour_ahead([LEAK, replace(LEAK, rolled_s=10 * DAY - HOUR / 2)]) == 0.5
    assert np.isnan(outcome.saved([replace(LEAK, oom_s=60.0, rolled_s=None)])), "no rule can save it"


def test_a_leak_is_reported_in_time_as_its_set_requires():
    assert outcome.reported_ahead([LEAK, LOST]) == 0.5
    assert outcome.reported_ahead([replace(LOST, ahead_s=HOUR)]) == 1.0
    assert outcome.reported_ahead([replace(LOST, reported_s=None, ahead_s=HOUR)]) == 0.0


def test_the_life_that_a_roll_wastes():
    some = [replace(LEAK, rolled_s=10 * DAY * (1 - part)) for part in (0.01, 0.02, 0.5)]
    assert outcome.wasted(some) == pytest.approx(0.02)
    assert outcome.wasted_p95(some) == pytest.approx(0.452)
    assert np.isnan(outcome.wasted([LOST, HARMLESS]))


def test_the_unreclaimable_memory_at_the_roll():
    some = [LEAK, replace(LEAK, unreclaimable_at_roll=0.7), LOST]
    assert outcome.unreclaimable(some) == pytest.approx(0.8)
    assert outcome.rolled_late(some) == 0.5


def test_rolls_before_the_onset_and_containers_without_a_verdict():
    assert outcome.before_onset([LEAK, replace(LEAK, rolled_s=DAY / 2)]) == 0.5
    assert outcome.not_assessed([LEAK, replace(LEAK, assessed=False)]) == 0.5


def test_figures_without_containers_are_unknown():
    assert all(np.isnan(figure([])) for _, figure, _ in outcome.FIGURES)


def test_an_outcome_has_the_truth_at_the_roll():
    times, values = line(10)
    known = trace(times, values, oom_s=10 * HOUR)
    evaluation = Evaluation(2 * HOUR, ContainerVerdict(Verdict.EXHAUSTING, "Exhausting", "", due=True))
    result = BacktestResult(known, ReplayResult().with_evaluation(evaluation), {})
    truth = Series(np.array([0.0, 2 * HOUR, 3 * HOUR]), np.array([0.1, 0.6, 0.9]) * LIMIT)
    found = outcome_of(Case(known, "s", "k", leaks=True, unreclaimable=truth), result)
    assert found.unreclaimable_at_roll == pytest.approx(0.6)
    assert (found.rolled_s, found.reported_s, found.confirmed_s) == (2 * HOUR, 2 * HOUR, None)
    by_rss = outcome_of(Case(known, "s", "k", leaks=True), result)
    assert by_rss.unreclaimable_at_roll == pytest.approx(values[120] / LIMIT)
