"""The simpler rules against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.backtest.baselines.precogmf import precog, smoothed
from memroll.backtest.baselines.resin import resin
from memroll.backtest.baselines.rules import (
    RULES,
    above,
    covered_slopes,
    deriv,
    first_alarm_s,
    predict_linear,
    usage_at,
)
from memroll.detection.series import Series
from tests.unit.backtest.histories import HOUR, LIMIT, MIB, RULE, trace

MINUTES = np.arange(0, 48 * 60 + 1) * 60.0
BY_NAME = {rule.name: rule for rule in RULES}


def straight(start_mib, per_hour_mib, from_hour=0.0):
    return trace(MINUTES, (start_mib + per_hour_mib * np.clip(MINUTES / HOUR - from_hour, 0, None)) * MIB)


def alarms(function, judged):
    looks = judged.looks_s(300.0)
    return dict(zip((looks / HOUR).round(6).tolist(), function(judged.subject, RULE, looks).tolist(), strict=True))


def first_hour(function, judged):
    return next((hour for hour, alarm in alarms(function, judged).items() if alarm), None)


def test_usage_is_the_newest_sample_and_none_before_the_first():
    series = Series(np.array([10.0, 20.0]), np.array([1.0, 2.0]))
    assert usage_at(series, np.array([5.0, 10.0, 19.0, 20.0, 99.0])).tolist() == [0, 1, 1, 2, 2]


def test_a_share_of_the_limit_alarms_from_the_first_look_at_it():
    # 800 MiB and 10 MiB/h: 819.2 MiB is met after 1.92 h, seen at 1:55 (1.9167 h: 819.17) no, at 2:00 yes.
    assert first_hour(above(0.80), straight(800, 10)) == 2.0
    assert first_hour(above(0.95), straight(800, 10)) == pytest.approx(17 + 20 / 60)


def test_deriv_needs_slope_and_horizon():
    # 6 MiB/h, above 5: within 24 h of 1024 from 880 MiB on, which 600 MiB is after 46.67 h.
    assert first_hour(deriv, straight(600, 6)) == pytest.approx(46 + 40 / 60)
    assert first_hour(deriv, straight(1000, 4.9)) is None
    # Near the limit from the start: as soon as 80 % of the window is filled, but for a sample.
    assert first_hour(deriv, straight(700, 20)) == pytest.approx(4 + 50 / 60, abs=0.09)


def test_predict_linear_looks_four_hours_ahead_from_70_percent_on():
    # 20 MiB/h: 4 h ahead is 80 MiB, so from 944 MiB on: 500 MiB after 22.2 h, and one look later.
    assert first_hour(predict_linear, straight(500, 20)) == pytest.approx(22.25)
    # A step of 100 to 600 MiB: the line overshoots the limit, but the usage stays below 70 %.
    step = trace(MINUTES, np.where(MINUTES < 10 * HOUR, 100, 600) * MIB)
    assert first_hour(predict_linear, step) is None


def test_a_slope_needs_a_window_that_is_filled():
    series = Series(MINUTES[:301], MINUTES[:301] * 2.0)
    slopes = covered_slopes(series, 6 * HOUR, np.array([4.5 * HOUR, 5 * HOUR]))
    assert np.isnan(slopes[0])
    assert slopes[1] == pytest.approx(2.0)


def test_resin_alarms_when_a_high_bucket_is_full_for_longer_than_ever():
    # Flat at 300 MiB, then 12 MiB/h from hour 36. The first bucket's edge above 300 is 307.2 MiB, met after 0.6 h; a
    # third of the window, 2 h, later it is filled as never before: 38.6 h, at the next look.
    assert first_hour(resin, straight(300, 12, from_hour=36)) == pytest.approx(38.6, abs=0.11)


def test_resin_needs_four_windows_of_past_and_a_slope():
    assert first_hour(resin, straight(300, 12, from_hour=20)) == pytest.approx(30.0, abs=0.01)
    assert first_hour(resin, straight(300, 4, from_hour=36)) is None


def test_resin_takes_for_usual_what_the_past_held():
    # Six hours at 300 MiB, six at 400, and so on: half of the windows are full of the high buckets.
    square = trace(MINUTES, np.where((MINUTES / HOUR) % 12 < 6, 300, 400) * MIB)
    assert first_hour(resin, square) is None


def test_resin_asks_for_the_slope_of_the_same_window():
    # It grows only in its first 6 h; what it gains later, 4 MiB/h, is below the threshold.
    hours = MINUTES / HOUR
    slow = 240 + 10 * np.clip(hours, 0, 6) + 4 * np.clip(hours - 36, 0, None)
    assert first_hour(resin, trace(MINUTES, slow * MIB)) is None


@pytest.mark.parametrize(("per_hour_mib", "alarms_"), [(15, False), (35, True)])
def test_precog_tolerates_what_the_first_day_held(per_hour_mib, alarms_):
    # 25 MiB/h for 8 h that came to nothing, in the first day; later a line, less steep or steeper.
    hours = MINUTES / HOUR
    first = np.where(hours < 8, 25 * hours, 0)
    later = np.where(hours > 26, 40, 0) + per_hour_mib * np.clip(hours - 26, 0, None)
    assert (first_hour(precog, noisy(450 + first + later)) is not None) == alarms_


def test_precog_smooths_by_medians_of_what_is_past():
    series = Series(MINUTES[:31], np.r_[np.full(10, 1.0), [100.0], np.full(4, 1.0), np.full(16, 3.0)])
    times, values = smoothed(series, 300.0)
    assert times.tolist() == [300, 600, 900, 1200, 1500, 1800, 2100]
    assert values.tolist() == [1, 1, 1, 1, 1, 2, 3]


def noisy(curve_mib):
    return trace(MINUTES, (curve_mib + np.random.default_rng(5).normal(0, 1.0, MINUTES.size)) * MIB)


def test_precog_alarms_on_a_line_since_a_change_point_that_the_first_day_did_not_hold():
    # A step at 26 h is the change point; the line from there is 6 h long at 32 h.
    hours = MINUTES / HOUR
    found = first_hour(precog, noisy(400 + np.where(hours > 26, 100, 0) + 15 * np.clip(hours - 26, 0, None)))
    assert found == pytest.approx(32, abs=1.2)


@pytest.mark.parametrize(
    ("curve", "why"),
    [
        (lambda h: 500 + 0 * h, "flat"),
        (lambda h: 100 + np.where(h > 26, 20, 0) + 8 * np.clip(h - 26, 0, None), "below 40 % of the limit"),
        (lambda h: 700 - np.where(h > 24.5, 200, 0) + 5 * np.clip(h - 24.5, 0, None), "lower than the first day"),
    ],
)
def test_precog_holds(curve, why):
    assert first_hour(precog, noisy(curve(MINUTES / HOUR))) is None, why


def test_precog_says_nothing_in_its_first_day():
    assert first_hour(precog, noisy(450 + 70 * np.clip(MINUTES / HOUR, 0, 7.9))) is None
    assert first_hour(precog, trace(MINUTES[: 20 * 60], (400 + 25 * MINUTES[: 20 * 60] / HOUR) * MIB)) is None


@pytest.mark.parametrize("name", BY_NAME)
def test_without_a_limit_no_rule_alarms(name):
    judged = straight(500, 20)
    free = trace(judged.subject.rss.times_s, judged.subject.rss.values, limit=None)
    assert first_alarm_s(BY_NAME[name], free, RULE) is None


@pytest.mark.parametrize("name", BY_NAME)
def test_what_comes_later_changes_nothing(name):
    hours = MINUTES / HOUR
    whole = noisy(400 + np.where(hours > 26, 100, 0) + 30 * np.clip(hours - 26, 0, None))
    alarm_s = first_alarm_s(BY_NAME[name], whole, RULE)
    assert alarm_s is not None
    seen = whole.subject.rss.until(alarm_s)
    assert first_alarm_s(BY_NAME[name], trace(seen.times_s, seen.values), RULE) == alarm_s
    before = whole.subject.rss.until(alarm_s - 1)
    assert first_alarm_s(BY_NAME[name], trace(before.times_s, before.values), RULE) is None


def test_an_alarm_is_on_the_trace_s_own_clock():
    late = trace(MINUTES + 1e9, np.full(MINUTES.size, 0.9 * LIMIT))
    assert first_alarm_s(BY_NAME["working-set-80"], late, RULE) == 1e9 + 300
