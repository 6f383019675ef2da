"""Statistics against reference implementations of the same formulas: scipy and pymannkendall."""

from __future__ import annotations

import numpy as np
import pymannkendall
import pytest
from scipy import stats

from memroll.detection import trend as ours
from memroll.detection.lower_envelope import MAX_BINS, MIN_BINS, LowerEnvelope

ONE_SIDED_99 = 0.02
"""Two-sided alpha whose interval has 1 % on each side."""
SIZES = (8, 12, 13, MAX_BINS, 48)
"""Numbers of bins with an even number of pairs: the slope is the mean of two, so no residuals are equal except for
rounding."""


def envelope_of(seed: int, bins: int, phi: float = 0.0, per_bin: float = 0.0, *, gaps: bool = False) -> LowerEnvelope:
    """Build correlated bytes around a line, one value each quarter of an hour."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 2**20, bins)
    for i in range(1, bins):
        values[i] += phi * values[i - 1]
    steps = rng.integers(1, 5, bins) if gaps else np.ones(bins)
    return LowerEnvelope(1.7e9 + np.cumsum(steps) * 900.0, 2**29 + per_bin * np.arange(bins) + values)


def rank_of(slopes, value) -> int:
    return int(np.argmin(np.abs(slopes - value)))


@pytest.mark.parametrize("per_bin", [-3e6, 0.0, 3e6])
@pytest.mark.parametrize("bins", [2, 3, MIN_BINS, 17, MAX_BINS, 40])
@pytest.mark.parametrize("gaps", [False, True])
def test_the_slope_is_sen_s_as_in_scipy(bins, per_bin, gaps):
    for seed in range(10):
        envelope = envelope_of(seed, bins, per_bin=per_bin, gaps=gaps)
        theirs = stats.theilslopes(envelope.values_bytes, envelope.times_s)
        assert ours.fit_trend(envelope, 1.0).slope_bytes_per_s == pytest.approx(theirs.slope, rel=1e-9)


@pytest.mark.parametrize("bins", [MIN_BINS, 17, MAX_BINS, 40])
@pytest.mark.parametrize("gaps", [False, True])
def test_without_correlation_the_bounds_are_those_of_scipy_to_a_rank(bins, gaps):
    compared = 0
    for seed in range(30):
        envelope = envelope_of(seed, bins, gaps=gaps)
        found = ours.fit_trend(envelope, 1.0)
        if found.variance_inflation > 1:
            continue
        theirs = stats.theilslopes(envelope.values_bytes, envelope.times_s, alpha=1 - ONE_SIDED_99)
        slopes = ours.pairwise_slopes(envelope)
        assert abs(rank_of(slopes, found.slope_ci_lower_bytes_per_s) - rank_of(slopes, theirs.low_slope)) <= 1
        assert abs(rank_of(slopes, found.slope_ci_upper_bytes_per_s) - rank_of(slopes, theirs.high_slope)) <= 1
        compared += 1
    assert compared >= 10


@pytest.mark.parametrize("bins", [12, MAX_BINS])
def test_equal_values_widen_the_bounds_against_scipy_s_tie_correction_and_never_narrow_them(bins):
    wider = 0
    for seed in range(30):
        plain = envelope_of(seed, bins)
        envelope = LowerEnvelope(plain.times_s, np.round(plain.values_bytes / 2**21) * 2**21)
        theirs = stats.theilslopes(envelope.values_bytes, envelope.times_s, alpha=1 - ONE_SIDED_99)
        slopes, found = ours.pairwise_slopes(envelope), ours.fit_trend(envelope, 1.0)
        one_rank_in = slopes[rank_of(slopes, theirs.low_slope) + 1]
        assert found.slope_ci_lower_bytes_per_s <= max(one_rank_in, theirs.low_slope)
        wider += found.slope_ci_lower_bytes_per_s < theirs.low_slope
    assert wider


@pytest.mark.parametrize("bins", SIZES)
@pytest.mark.parametrize("phi", [-0.9, 0.0, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("per_bin", [0.0, 2e6])
def test_autocorrelation_inflates_the_variance_as_in_pymannkendall(bins, phi, per_bin):
    found = []
    for seed in range(10):
        envelope = envelope_of(seed, bins, phi, per_bin)
        with np.errstate(invalid="ignore"):  # it takes the root of a variance that may be negative
            theirs = pymannkendall.hamed_rao_modification_test(envelope.values_bytes)
        plain = bins * (bins - 1) * (2 * bins + 5) / 18
        slope = ours.fit_trend(envelope, 1.0).slope_bytes_per_s
        residuals = envelope.values_bytes - slope * (envelope.times_s - envelope.times_s[0])
        found.append(ours.variance_inflation(residuals))
        assert found[-1] == pytest.approx(theirs.var_s / plain, rel=1e-9)
        assert ours.fit_trend(envelope, 1.0).variance_inflation == max(1.0, found[-1])
    if phi >= 0.9 and bins >= MAX_BINS:
        assert max(found) > 1.5


@pytest.mark.parametrize("bins", SIZES)
def test_shared_ranks_are_scipy_s(bins):
    values = np.random.default_rng(bins).integers(0, bins // 2, bins).astype(float)
    assert ours._ranks(values).tolist() == stats.rankdata(values).tolist()


def test_the_scatter_is_scipy_s_scaled_median_absolute_deviation():
    for seed in range(10):
        envelope = envelope_of(seed, MAX_BINS, 0.5, 1e6)
        found = ours.fit_trend(envelope, 1.0)
        residuals = envelope.values_bytes - found.slope_bytes_per_s * (envelope.times_s - envelope.times_s[0])
        assert found.noise_bytes == pytest.approx(stats.median_abs_deviation(residuals, scale="normal"), rel=1e-4)


def test_the_z_of_the_bounds_leaves_one_in_a_hundred_on_its_side():
    assert stats.norm.sf(ours.Z_99_ONE_SIDED) == pytest.approx(ONE_SIDED_99 / 2, rel=1e-2)
