"""Seasonal slope: a daily load does not change it, whatever its size."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.seasonal_slope import Days, medians, seasonal_envelope, without_daily_pattern
from memroll.detection.series import EMPTY, Series

HOUR_S, DAY_S = 3600.0, 86_400.0
TIMES_S = np.arange(1, 3 * 24 + 1) * HOUR_S
DAILY = 50 * np.sin(2 * np.pi * TIMES_S / DAY_S)


@pytest.mark.parametrize("per_day", [0.0, 3.0, -4.0])
def test_the_slope_of_a_line_below_a_daily_load_is_that_of_the_line(per_day):
    series = Series(TIMES_S, 500 + per_day * TIMES_S / DAY_S + DAILY)
    assert Days.of(series, DAY_S).slope() == pytest.approx(per_day / DAY_S, abs=1e-9)


def test_the_daily_pattern_is_removed_and_the_line_is_kept():
    plain = without_daily_pattern(Series(TIMES_S, 500 + 3 * TIMES_S / DAY_S + DAILY), DAY_S)
    assert np.ptp(plain.values - 3 * TIMES_S / DAY_S) == pytest.approx(0, abs=1e-6)


def test_an_odd_day_does_not_change_the_slope():
    values = 500 + 3 * TIMES_S / DAY_S + DAILY
    values[30:34] += 200
    assert Days.of(Series(TIMES_S, values), DAY_S).slope() == pytest.approx(3 / DAY_S, rel=0.05)


def test_a_day_alone_has_no_pattern():
    series = Series(TIMES_S[:24], DAILY[:24])
    assert Days.of(series, DAY_S).slope() is None
    assert without_daily_pattern(series, DAY_S) is series
    assert without_daily_pattern(EMPTY, DAY_S) is EMPTY


def test_missing_hours_are_left_out():
    kept = np.ones(TIMES_S.size, bool)
    kept[[5, 20, 21, 22, 50]] = False
    series = Series(TIMES_S[kept], (500 + 3 * TIMES_S / DAY_S + DAILY)[kept])
    assert Days.of(series, DAY_S).slope() == pytest.approx(3 / DAY_S, rel=1e-6)


def test_the_envelope_has_at_most_the_given_bins():
    envelope = seasonal_envelope(Series(TIMES_S, DAILY), 0.0, 3 * DAY_S, DAY_S, bins=24)
    assert len(envelope) == 24


def test_the_pattern_is_removed_if_most_hours_are_missing():
    """The step of the history is the least distance of two minima; with the median one, two would share an hour."""
    kept = np.arange(TIMES_S.size) % 3 == 0
    kept[1] = True
    line = 500 + 3 * TIMES_S / DAY_S
    series = Series(TIMES_S[kept], (line + DAILY)[kept])
    assert series.spacing_s > HOUR_S
    plain = without_daily_pattern(series, DAY_S)
    hours = (series.times_s % DAY_S).astype(int)
    for hour in np.unique(hours):
        assert np.ptp((plain.values - line[kept])[hours == hour]) == pytest.approx(0, abs=1e-6)


def test_the_pattern_of_an_hour_is_its_median():
    values = np.array([[1.0, np.nan, 5.0], [3.0, np.nan, 2.0], [2.0, np.nan, np.nan]])
    assert medians(values).tolist()[::2] == [2.0, 3.5]
    assert np.isnan(medians(values)[1])
