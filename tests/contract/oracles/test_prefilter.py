"""Slopes of the prefilter against a plain least-squares fit of each window."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.prefilter import MIN_SAMPLES, least_squares_slopes
from memroll.detection.series import EMPTY, Series

START_S = 1.7e9


def with_gaps(seed: int, minutes: int = 1500) -> Series:
    """Build a walk of bytes, a sample a minute at odd seconds, with gaps of up to four hours."""
    rng = np.random.default_rng(seed)
    keep = rng.random(minutes) < 0.8
    for at in rng.integers(0, minutes, 4):
        keep[at : at + int(rng.integers(10, 240))] = False
    times = START_S + np.arange(minutes) * 60.0 + rng.uniform(0, 30, minutes)
    return Series(times[keep], (2**29 + np.cumsum(rng.normal(1e4, 2**20, minutes)))[keep])


@pytest.mark.parametrize("window_s", [600.0, 2700.0, 7200.0, 21600.0, 86400.0])
@pytest.mark.parametrize("seed", range(5))
def test_each_slope_is_that_of_a_least_squares_fit(seed, window_s):
    series = with_gaps(seed)
    times_s = START_S + np.random.default_rng(100 + seed).uniform(-3600, 1600 * 60, 60)
    fitted = 0
    for at_s, found in zip(times_s, least_squares_slopes(series, window_s, times_s), strict=True):
        inside = series.between(float(at_s) - window_s, float(at_s))
        if len(inside) < MIN_SAMPLES:
            assert np.isnan(found)
            continue
        theirs = np.polyfit(inside.times_s - at_s, inside.values, 1)[0]
        steepness = float(np.ptp(inside.values)) / window_s
        assert found == pytest.approx(theirs, rel=1e-6, abs=1e-6 * steepness)
        fitted += 1
    assert fitted > 20


def test_a_series_without_samples_has_no_slope():
    assert np.isnan(least_squares_slopes(EMPTY, 3600.0, np.array([0.0, 1e9]))).all()


def test_samples_at_the_start_of_a_window_are_left_out_and_those_at_its_end_are_in():
    line = Series(np.arange(5) * 60.0, np.array([99.0, 1.0, 2.0, 3.0, 99.0]))
    assert least_squares_slopes(line, 180.0, np.array([180.0]))[0] == pytest.approx(1 / 60)
