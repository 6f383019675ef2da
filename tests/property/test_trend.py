"""What the slope and its bounds promise, on noise of which nothing but its correlation is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.detection import trend as trends
from memroll.detection.lower_envelope import BINS_MAX, Floor, floor
from memroll.detection.series import Series

MINUTES = 360
REPEATS = 1000
MEASURED = [(0.0, 0.01), (0.5, 0.02), (0.9, 0.02), (0.98, 0.10)]
"""Of how much trendless noise, by its correlation from minute to minute, the bound was found above zero before..."""
MEASURED_REPEATS = 400
"""...on so many windows."""

VALUES = st.lists(st.integers(min_value=0, max_value=2**20), min_size=2, max_size=BINS_MAX)


def noise(phi: float, repeats: int) -> np.ndarray:
    """Return windows of correlated noise of variance 1, shape (repeats, MINUTES)."""
    rng = np.random.default_rng(7)
    made = np.empty((repeats, MINUTES))
    level = rng.normal(0, 1, repeats)
    for i in range(MINUTES):
        level = phi * level + rng.normal(0, np.sqrt(1 - phi**2), repeats)
        made[:, i] = level
    return made


def points_of(values) -> Floor:
    return Floor(np.arange(len(values)) * 900.0, np.array(values, dtype=float))


@pytest.mark.parametrize(("phi", "measured"), MEASURED)
def test_noise_without_a_trend_seldom_has_a_bound_above_zero(phi, measured):
    times = np.arange(1, MINUTES + 1) * 60.0
    corrected = plain = 0
    for values in noise(phi, REPEATS):
        points = floor(Series(times, values), 0.0, times[-1], bins=BINS_MAX)
        bound = trends.trend(points, times[-1]).bound_bytes_per_s
        uncorrected, _ = trends._bounds(trends.pairwise_slopes(points), len(points), 1.0)
        assert bound <= uncorrected
        corrected, plain = corrected + (bound > 0), plain + (uncorrected > 0)
    sampling = 3 * np.sqrt(measured * (1 - measured) * (1 / REPEATS + 1 / MEASURED_REPEATS))
    assert abs(corrected / REPEATS - measured) < sampling
    assert corrected <= plain
    if phi > 0.95:
        assert corrected < 0.8 * plain


@given(VALUES)
def test_the_slope_lies_within_its_bounds(values):
    found = trends.trend(points_of(values), 1.0)
    assert found.bound_bytes_per_s <= found.slope_bytes_per_s <= found.upper_bytes_per_s


@given(VALUES)
def test_what_is_turned_upside_down_falls_as_fast(values):
    up, down = (trends.trend(points_of(sign * np.array(values)), 1.0) for sign in (1, -1))
    assert down.slope_bytes_per_s == -up.slope_bytes_per_s
    assert (down.bound_bytes_per_s, down.upper_bytes_per_s) == (-up.upper_bytes_per_s, -up.bound_bytes_per_s)


@given(VALUES, st.integers(min_value=-1000, max_value=1000))
def test_a_line_on_top_adds_to_the_slope_and_to_nothing_else(values, per_bin):
    plain = trends.trend(points_of(values), 1.0)
    tilted = trends.trend(points_of(np.array(values) + per_bin * 900.0 * np.arange(len(values))), 1.0)
    assert tilted.slope_bytes_per_s - plain.slope_bytes_per_s == pytest.approx(per_bin, abs=1e-6)
    assert tilted.noise_bytes == pytest.approx(plain.noise_bytes, rel=1e-6, abs=1e-3)


@given(st.integers(min_value=0, max_value=BINS_MAX - 1), st.integers(min_value=0, max_value=2**40))
def test_one_wild_value_leaves_a_line_its_slope(where, wild):
    values = 1000.0 * np.arange(BINS_MAX)
    values[where] = wild
    assert trends.trend(points_of(values), 1.0).slope_bytes_per_s == pytest.approx(1000 / 900, rel=0.05)
