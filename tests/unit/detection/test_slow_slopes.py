"""Slow slopes from samples are those that PromQL's `min_over_time` and `offset` give."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.series import EMPTY, Series
from memroll.detection.slow_slopes import slow_bins, slow_slopes
from tests.unit.detection.days import HOUR_S, MIB, PARAMETERS, parameters

DAY_S = 24 * HOUR_S
GROWTH = 3.0


def ramp(times_s: np.ndarray) -> Series:
    return Series(times_s, 1e8 + GROWTH * times_s)


def test_bins_are_half_an_hour_and_offsets_a_day_and_three_for_a_window_of_six_hours():
    assert (slow_bins(PARAMETERS).bin_s, slow_bins(PARAMETERS).offsets_s) == (1800.0, (DAY_S, 3 * DAY_S))


def test_for_short_windows_the_offsets_are_4_and_12_windows():
    found = slow_bins(parameters(window_s=60.0))
    assert (found.bin_s, found.offsets_s) == (5.0, (240.0, 720.0))


def test_a_ramp_has_its_slope_once_the_earlier_bins_have_samples():
    series = ramp(np.arange(0.0, 5 * DAY_S, 60.0))
    times_s = np.array([600.0, DAY_S - 60, 1.5 * DAY_S, 4 * DAY_S])
    day, three = slow_slopes(series, PARAMETERS, times_s)
    assert day == pytest.approx([np.nan, np.nan, GROWTH, GROWTH], nan_ok=True)
    assert three == pytest.approx([np.nan, np.nan, np.nan, GROWTH], nan_ok=True)


def by_prom_ql(series: Series, bin_s: float, at_s: float) -> float:
    """Return `min_over_time(rss[bin])` at a time, by its definition; NaN without a sample."""
    values = [v for t, v in zip(series.times_s, series.values, strict=True) if at_s - bin_s < t <= at_s]
    return min(values, default=np.nan)


@pytest.mark.parametrize("scrape_s", [15.0, 60.0, 300.0, 2400.0])
def test_each_minimum_is_that_of_a_half_open_bin(scrape_s):
    random = np.random.default_rng(3)
    times_s = np.arange(0.0, 4 * DAY_S, scrape_s)
    times_s = times_s[random.random(times_s.size) > 0.3]
    series = Series(times_s, random.integers(0, 1000, times_s.size) * float(MIB))
    at_s = np.sort(random.choice(np.arange(0, 4 * DAY_S, 300.0), 20, replace=False))
    bins = slow_bins(PARAMETERS)
    found = slow_slopes(series, PARAMETERS, at_s)
    assert found.shape == (2, 20)
    for offset_s, slopes in zip(bins.offsets_s, found, strict=True):
        expected = [
            (by_prom_ql(series, bins.bin_s, t) - by_prom_ql(series, bins.bin_s, t - offset_s)) / offset_s for t in at_s
        ]
        assert slopes == pytest.approx(expected, nan_ok=True)


def test_a_sample_at_the_start_of_a_bin_is_not_part_of_it():
    series = Series(np.array([0.0, 1.0, DAY_S, DAY_S + 1800]), np.array([1.0, 5.0, 0.0, 9.0]))
    day, _ = slow_slopes(series, PARAMETERS, np.array([DAY_S + 1800]))
    assert day * DAY_S == pytest.approx([9.0 - 5.0])


@pytest.mark.parametrize("series", [EMPTY, Series(np.array([5.0]), np.array([1.0]))])
def test_without_samples_nothing_is_known(series):
    assert np.isnan(slow_slopes(series, PARAMETERS, np.array([DAY_S, 2 * DAY_S]))).all()
    assert slow_slopes(series, PARAMETERS, np.array([])).shape == (2, 0)
