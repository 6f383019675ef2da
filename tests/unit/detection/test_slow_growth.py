"""Predictions from the long history, and verdicts on leaks of days and weeks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.growth_phase import LongStairs, measure_long_stairs
from memroll.detection.leak_checks import MIN_LONG_STEPS
from memroll.detection.long_history import with_long_history
from memroll.detection.slow_growth import time_to_limit_at_daily_peaks_s, time_to_step_s
from memroll.detection.verdict import Verdict, verdict_for
from memroll.detection.window import TrendWindow
from tests.builders import MIB
from tests.unit.detection.days import PARAMETERS, lived

HOUR_S, DAY_S, LIMIT_MIB = 3600.0, 86_400.0, 1000


def history(curve, days, seed=1):
    """Build the history of a container from a function of its age in days to MiB, sampled every 2 minutes."""
    times_s = np.arange(120.0, days * DAY_S + 1, 120.0)
    noise = np.random.default_rng(seed).normal(0, 1, times_s.size)
    values = np.clip(curve(times_s / DAY_S) + noise, 1, LIMIT_MIB) * MIB
    return with_long_history(lived_at(times_s, values), PARAMETERS.long_step_s)


def lived_at(times_s, values):
    some = lived(lambda h: h * 0 + 100)
    series = replace(some.rss, times_s=times_s, values=values)
    return replace(some, rss=series, working_set=series, started_at_s=0.0, limit_bytes=LIMIT_MIB * MIB)


def long_window(found, days):
    return TrendWindow(found, PARAMETERS, PARAMETERS.long_windows_s[0], days * DAY_S)


def daily(age, amplitude=100):
    return amplitude * np.sin(2 * np.pi * age)


@pytest.mark.parametrize("life_days", [7, 14, 21])
@pytest.mark.parametrize("swing_mib", [0, 100])
def test_a_leak_of_weeks_is_confirmed_a_day_before_its_limit(life_days, swing_mib):
    def curve(age):
        return 200 + (800 - swing_mib) * age / life_days + daily(age, swing_mib)

    found = history(curve, life_days - 1)
    verdict = verdict_for(found, PARAMETERS, (life_days - 1) * DAY_S)
    assert verdict.verdict is Verdict.LEAKING, verdict
    assert verdict.time_to_limit_s == pytest.approx(DAY_S, rel=0.6)


@pytest.mark.parametrize("life_days", [7, 14, 21])
def test_a_leak_of_weeks_is_due_in_its_last_hours_and_not_two_days_before(life_days):
    def due(left_days):
        at_s = (life_days - left_days) * DAY_S
        found = history(lambda age: 200 + 800 * age / life_days, life_days - left_days)
        return verdict_for(found, PARAMETERS, at_s).due

    assert due(0.1)
    assert not due(2)


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("a daily load near the limit", lambda age: 870 + daily(age)),
        ("a cache that settles", lambda age: 300 + 600 * (1 - np.exp(-age / 2))),
        ("a data set that stopped growing", lambda age: 300 + 60 * np.minimum(age, 9)),
        ("a flat pod at 96 %", lambda age: 960 + 0 * age),
    ],
)
def test_a_harmless_pod_of_two_weeks_is_healthy(name, curve):
    for hour in range(0, 24, 3):
        at_days = 13 + hour / 24
        verdict = verdict_for(history(curve, at_days), PARAMETERS, at_days * DAY_S)
        assert not verdict.is_at_risk, (name, hour, verdict)


def test_each_hour_grows_from_day_to_day_until_it_reaches_the_limit():
    """The peak of 960 MiB, 6 h ago, grows by 50 MiB a day: it reaches the limit in 18 h."""
    found = history(lambda age: 610 + 50 * age + daily(age), 5.5)
    left_s = time_to_limit_at_daily_peaks_s(long_window(found, 5.5), 50 * MIB / DAY_S)
    assert left_s == pytest.approx(18 * HOUR_S, abs=3 * HOUR_S)


def test_a_day_that_stays_lower_than_the_one_before_moves_the_prediction_back():
    def curve(age):
        return 610 + 50 * age + daily(age) - np.where(age > 5.3, 60, 0)

    high = time_to_limit_at_daily_peaks_s(
        long_window(history(lambda a: curve(a) + 60 * (a > 5.3), 5.5), 5.5), 1e-3 * MIB
    )
    low = time_to_limit_at_daily_peaks_s(long_window(history(curve, 5.5), 5.5), 1e-3 * MIB)
    assert low >= high


def test_regular_stairs_reach_the_limit_with_their_next_step():
    window = long_window(history(lambda age: 400 + 0 * age, 4), 4)
    stairs = LongStairs(
        plateau_s=5 * HOUR_S,
        longest_plateau_s=12 * HOUR_S,
        shortest_plateau_s=11 * HOUR_S,
        step_bytes=60 * MIB,
        steps=6,
    )
    assert time_to_step_s(window, stairs, 950 * MIB) == pytest.approx(6 * HOUR_S)
    assert time_to_step_s(window, stairs, 900 * MIB) == np.inf
    irregular = replace(stairs, shortest_plateau_s=2 * HOUR_S)
    assert time_to_step_s(window, irregular, 950 * MIB) == np.inf
    short = replace(stairs, longest_plateau_s=2 * HOUR_S, shortest_plateau_s=2 * HOUR_S)
    assert time_to_step_s(window, short, 950 * MIB) == np.inf


def test_stairs_are_measured_on_the_long_history():
    found = history(lambda age: 300 + 50 * np.floor(age * 2), 5)
    stairs = measure_long_stairs(found, 5.2 * DAY_S, PARAMETERS.long_step_s)
    assert stairs.longest_plateau_s == pytest.approx(12 * HOUR_S, abs=HOUR_S)
    assert stairs.shortest_plateau_s == pytest.approx(12 * HOUR_S, abs=HOUR_S)
    assert stairs.step_bytes == pytest.approx(50 * MIB, rel=0.1)
    assert stairs.steps == pytest.approx(9, abs=0.5)
    empty = measure_long_stairs(lived(lambda h: h * 0 + 100), 1e9, PARAMETERS.long_step_s)
    assert (empty.step_bytes, empty.shortest_plateau_s) == (0.0, np.inf)


def kept_bursts(age):
    """Return three bursts within three days whose memory is kept, and load that follows the day."""
    return 400 + daily(age, 20) + 130 * sum(age > day for day in (1.7, 2.4, 3.2))


def test_a_few_kept_bursts_are_few_steps_whatever_rises_besides():
    stairs = long_window(history(kept_bursts, 4), 4).stairs
    assert stairs.steps < MIN_LONG_STEPS
    assert verdict_for(history(kept_bursts, 4), PARAMETERS, 4 * DAY_S).verdict is not Verdict.LEAKING


def test_a_high_start_up_does_not_hide_the_steps_of_a_leak():
    def curve(age):
        return 100 + 500 * (age > 0.2) + 60 * age

    assert long_window(history(curve, 5), 5).stairs.steps > MIN_LONG_STEPS
    assert verdict_for(history(curve, 6), PARAMETERS, 6 * DAY_S).verdict is Verdict.LEAKING
