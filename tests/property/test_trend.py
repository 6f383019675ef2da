"""Properties of the slope and its confidence bounds, on correlated noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.detection import trend as trends
from memroll.detection.lower_envelope import MAX_BINS, LowerEnvelope, lower_envelope
from memroll.detection.series import Series

MINUTES = 360
REPEATS = 1000
MEASURED = [(0.0, 0.01), (0.5, 0.02), (0.9, 0.02), (0.98, 0.10)]
"""Correlation from minute to minute, and the measured ratio of windows without a trend whose bound is above 0."""
MEASURED_REPEATS = 400
"""Number of windows of that measurement."""

VALUES = st.lists(st.integers(min_value=0, max_value=2**20), min_size=2, max_size=MAX_BINS)


def noise(phi: float, repeats: int) -> np.ndarray:
    """Return windows of correlated noise of variance 1, shape (repeats, MINUTES)."""
    rng = np.random.default_rng(7)
    made = np.empty((repeats, MINUTES))
    level = rng.normal(0, 1, repeats)
    for i in range(MINUTES):
        level = phi * level + rng.normal(0, np.sqrt(1 - phi**2), repeats)
        made[:, i] = level
    return made


def envelope_of(values) -> LowerEnvelope:
    return LowerEnvelope(np.arange(len(values)) * 900.0, np.array(values, dtype=float))


@pytest.mark.parametrize(("phi", "measured"), MEASURED)
def test_noise_without_a_trend_seldom_has_a_bound_above_zero(phi, measured):
    times = np.arange(1, MINUTES + 1) * 60.0
    corrected = plain = 0
    for values in noise(phi, REPEATS):
        envelope = lower_envelope(Series(times, values), 0.0, times[-1], bins=MAX_BINS)
        bound = trends.fit_trend(envelope, times[-1]).slope_ci_lower_bytes_per_s
        uncorrected, _ = trends._confidence_bounds(trends.pairwise_slopes(envelope), len(envelope), 1.0)
        assert bound <= uncorrected
        corrected, plain = corrected + (bound > 0), plain + (uncorrected > 0)
    sampling = 3 * np.sqrt(measured * (1 - measured) * (1 / REPEATS + 1 / MEASURED_REPEATS))
    assert abs(corrected / REPEATS - measured) < sampling
    assert corrected <= plain
    if phi > 0.95:
        assert corrected < 0.8 * plain


@given(VALUES)
def test_the_slope_lies_within_its_bounds(values):
    found = trends.fit_trend(envelope_of(values), 1.0)
    assert found.slope_ci_lower_bytes_per_s <= found.slope_bytes_per_s <= found.slope_ci_upper_bytes_per_s


@given(VALUES)
def test_negated_values_have_the_negated_slope(values):
    up, down = (trends.fit_trend(envelope_of(sign * np.array(values)), 1.0) for sign in (1, -1))
    assert down.slope_bytes_per_s == -up.slope_bytes_per_s
    assert (down.slope_ci_lower_bytes_per_s, down.slope_ci_upper_bytes_per_s) == (
        -up.slope_ci_upper_bytes_per_s,
        -up.slope_ci_lower_bytes_per_s,
    )


@given(VALUES, st.integers(min_value=-1000, max_value=1000))
def test_an_added_line_adds_to_the_slope_only(values, per_bin):
    plain = trends.fit_trend(envelope_of(values), 1.0)
    tilted = trends.fit_trend(envelope_of(np.array(values) + per_bin * 900.0 * np.arange(len(values))), 1.0)
    assert tilted.slope_bytes_per_s - plain.slope_bytes_per_s == pytest.approx(per_bin, abs=1e-6)
    assert tilted.noise_bytes == pytest.approx(plain.noise_bytes, rel=1e-6, abs=1e-3)


@given(st.integers(min_value=0, max_value=MAX_BINS - 1), st.integers(min_value=0, max_value=2**40))
def test_one_outlier_does_not_change_the_slope_of_a_line(where, outlier):
    values = 1000.0 * np.arange(MAX_BINS)
    values[where] = outlier
    assert trends.fit_trend(envelope_of(values), 1.0).slope_bytes_per_s == pytest.approx(1000 / 900, rel=0.05)
