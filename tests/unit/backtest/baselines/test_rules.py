"""The baseline rules against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.backtest.baselines.precogmf import precogmf_alerts, smooth
from memroll.backtest.baselines.resin import resin_alerts
from memroll.backtest.baselines.rules import (
    RULES,
    covered_slopes,
    deriv_alerts,
    first_alert_s,
    predict_linear_alerts,
    usage_above,
    usage_at,
)
from memroll.detection.series import Series
from tests.unit.backtest.histories import HOUR, LIMIT, MIB, RULE, trace

MINUTES = np.arange(0, 48 * 60 + 1) * 60.0
BY_NAME = {rule.name: rule for rule in RULES}


def straight(start_mib, per_hour_mib, from_hour=0.0):
    return trace(MINUTES, (start_mib + per_hour_mib * np.clip(MINUTES / HOUR - from_hour, 0, None)) * MIB)


def alerts(function, history):
    times_s = history.evaluation_times_s(300.0)
    return dict(zip((times_s / HOUR).round(6).tolist(), function(history.history, RULE, times_s).tolist(), strict=True))


def first_hour(function, history):
    return next((hour for hour, alert in alerts(function, history).items() if alert), None)


def test_usage_is_the_newest_sample_and_none_before_the_first():
    series = Series(np.array([10.0, 20.0]), np.array([1.0, 2.0]))
    assert usage_at(series, np.array([5.0, 10.0, 19.0, 20.0, 99.0])).tolist() == [0, 1, 1, 2, 2]


def test_a_usage_rule_alerts_at_the_first_evaluation_above_its_ratio():
    # 800 MiB and 10 MiB/h: 819.2 MiB is met after 1.92 h, seen not at 1:55 (1.9167 h: 819.17) but at 2:00.
    assert first_hour(usage_above(0.80), straight(800, 10)) == 2.0
    assert first_hour(usage_above(0.95), straight(800, 10)) == pytest.approx(17 + 20 / 60)


def test_deriv_needs_slope_and_horizon():
    # 6 MiB/h, above 5: within 24 h of 1024 from 880 MiB on, which 600 MiB is after 46.67 h.
    assert first_hour(deriv_alerts, straight(600, 6)) == pytest.approx(46 + 40 / 60)
    assert first_hour(deriv_alerts, straight(1000, 4.9)) is None
    # Near the limit from the start: as soon as 80 % of the window is filled, except for one sample.
    assert first_hour(deriv_alerts, straight(700, 20)) == pytest.approx(4 + 50 / 60, abs=0.09)


def test_predict_linear_predicts_four_hours_ahead_from_70_percent_on():
    # 20 MiB/h: 4 h ahead is 80 MiB, so from 944 MiB on: 500 MiB after 22.2 h, and one evaluation later.
    assert first_hour(predict_linear_alerts, straight(500, 20)) == pytest.approx(22.25)
    # A step of 100 to 600 MiB: the line overshoots the limit, but the usage stays below 70 %.
    step = trace(MINUTES, np.where(MINUTES < 10 * HOUR, 100, 600) * MIB)
    assert first_hour(predict_linear_alerts, step) is None


def test_a_slope_needs_a_window_that_is_filled():
    series = Series(MINUTES[:301], MINUTES[:301] * 2.0)
    slopes = covered_slopes(series, 6 * HOUR, np.array([4.5 * HOUR, 5 * HOUR]))
    assert np.isnan(slopes[0])
    assert slopes[1] == pytest.approx(2.0)


def test_resin_alerts_when_a_high_bucket_is_used_for_longer_than_before():
    # Flat at 300 MiB, then 12 MiB/h from hour 36. The first bucket's edge above 300 is 307.2 MiB, met after 0.6 h; a
    # third of the window, 2 h, later it is filled as never before: 38.6 h, at the next evaluation.
    assert first_hour(resin_alerts, straight(300, 12, from_hour=36)) == pytest.approx(38.6, abs=0.11)


def test_resin_needs_four_windows_of_past_and_a_slope():
    assert first_hour(resin_alerts, straight(300, 12, from_hour=20)) == pytest.approx(30.0, abs=0.01)
    assert first_hour(resin_alerts, straight(300, 4, from_hour=36)) is None


def test_resin_tolerates_usage_as_in_earlier_windows():
    # Six hours at 300 MiB, six at 400, and so on: half of the windows are full of the high buckets.
    square = trace(MINUTES, np.where((MINUTES / HOUR) % 12 < 6, 300, 400) * MIB)
    assert first_hour(resin_alerts, square) is None


def test_resin_requires_growth_in_the_same_window():
    # It grows only in its first 6 h; what it gains later, 4 MiB/h, is below the threshold.
    hours = MINUTES / HOUR
    slow = 240 + 10 * np.clip(hours, 0, 6) + 4 * np.clip(hours - 36, 0, None)
    assert first_hour(resin_alerts, trace(MINUTES, slow * MIB)) is None


@pytest.mark.parametrize(("per_hour_mib", "expected"), [(15, False), (35, True)])
def test_precog_tolerates_trends_as_on_the_first_day(per_hour_mib, expected):
    # 25 MiB/h for 8 h that came to nothing, in the first day; later a line, less steep or steeper.
    hours = MINUTES / HOUR
    first = np.where(hours < 8, 25 * hours, 0)
    later = np.where(hours > 26, 40, 0) + per_hour_mib * np.clip(hours - 26, 0, None)
    assert (first_hour(precogmf_alerts, noisy(450 + first + later)) is not None) == expected


def test_precog_smooths_by_medians_of_earlier_samples():
    series = Series(MINUTES[:31], np.r_[np.full(10, 1.0), [100.0], np.full(4, 1.0), np.full(16, 3.0)])
    times, values = smooth(series, 300.0)
    assert times.tolist() == [300, 600, 900, 1200, 1500, 1800, 2100]
    assert values.tolist() == [1, 1, 1, 1, 1, 2, 3]


def noisy(curve_mib):
    return trace(MINUTES, (curve_mib + np.random.default_rng(5).normal(0, 1.0, MINUTES.size)) * MIB)


def test_precog_alerts_on_a_line_since_a_change_point_unlike_those_of_the_first_day():
    # A step at 26 h is the change point; the line from there is 6 h long at 32 h.
    hours = MINUTES / HOUR
    found = first_hour(precogmf_alerts, noisy(400 + np.where(hours > 26, 100, 0) + 15 * np.clip(hours - 26, 0, None)))
    assert found == pytest.approx(32, abs=1.2)


@pytest.mark.parametrize(
    ("curve", "why"),
    [
        (lambda h: 500 + 0 * h, "flat"),
        (lambda h: 100 + np.where(h > 26, 20, 0) + 8 * np.clip(h - 26, 0, None), "below 40 % of the limit"),
        (lambda h: 700 - np.where(h > 24.5, 200, 0) + 5 * np.clip(h - 24.5, 0, None), "lower than the first day"),
    ],
)
def test_precog_does_not_alert(curve, why):
    assert first_hour(precogmf_alerts, noisy(curve(MINUTES / HOUR))) is None, why


def test_precog_does_not_alert_on_the_first_day():
    assert first_hour(precogmf_alerts, noisy(450 + 70 * np.clip(MINUTES / HOUR, 0, 7.9))) is None
    assert first_hour(precogmf_alerts, trace(MINUTES[: 20 * 60], (400 + 25 * MINUTES[: 20 * 60] / HOUR) * MIB)) is None


@pytest.mark.parametrize("name", BY_NAME)
def test_without_a_limit_no_rule_alerts(name):
    history = straight(500, 20)
    free = trace(history.history.rss.times_s, history.history.rss.values, limit=None)
    assert first_alert_s(BY_NAME[name], free, RULE) is None


@pytest.mark.parametrize("name", BY_NAME)
def test_later_samples_change_nothing(name):
    hours = MINUTES / HOUR
    whole = noisy(400 + np.where(hours > 26, 100, 0) + 30 * np.clip(hours - 26, 0, None))
    alert_s = first_alert_s(BY_NAME[name], whole, RULE)
    assert alert_s is not None
    seen = whole.history.rss.until(alert_s)
    assert first_alert_s(BY_NAME[name], trace(seen.times_s, seen.values), RULE) == alert_s
    before = whole.history.rss.until(alert_s - 1)
    assert first_alert_s(BY_NAME[name], trace(before.times_s, before.values), RULE) is None


def test_an_alert_is_on_the_trace_s_own_clock():
    late = trace(MINUTES + 1e9, np.full(MINUTES.size, 0.9 * LIMIT))
    assert first_alert_s(BY_NAME["working-set-80"], late, RULE) == 1e9 + 300
