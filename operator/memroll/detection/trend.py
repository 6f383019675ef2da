"""Robust slope with confidence bounds that allow for autocorrelation, and the shape of the rise.

Takes the lower envelope of a window, returns its `Trend`. Slope: Sen, "Estimates of the regression coefficient based on
Kendall's tau", JASA 63 (1968): the median of the slopes of all pairs of points; a few bursts do not change it. Bounds:
Gilbert, "Statistical Methods for Environmental Pollution Monitoring" (1987), section 16.4.2: order statistics of the
same slopes at the ranks that Kendall's variance gives, with that variance corrected as by Hamed and Rao, "A modified
Mann-Kendall trend test for autocorrelated data", J. of Hydrology 204 (1998): consecutive samples are correlated, so
they are not independent evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.lower_envelope import LowerEnvelope

Z_99_ONE_SIDED = 2.326
"""Quantile of the standard normal distribution for a one-sided confidence of 99 %."""
Z_SIGNIFICANT = 1.960
"""Quantile for a two-sided confidence of 95 %: smaller autocorrelations are omitted from the correction."""
MAD_TO_SIGMA = 1.4826
"""Ratio of the standard deviation to the median absolute deviation of a normal distribution."""
GAP_RATIO = 1.5
"""Minimum ratio of the time between two points to the shortest one for points to be missing between them."""
MIN_POINTS_FOR_AUTOCORRELATION = 4
"""Minimum number of points to correct for autocorrelation: the formula needs lags and a divisor above 0."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Trend of a window's lower envelope. Bytes and bytes per second throughout."""

    slope_bytes_per_s: float
    """Sen's slope."""
    slope_ci_lower_bytes_per_s: float
    """One-sided 99 % lower confidence bound of the slope."""
    slope_ci_upper_bytes_per_s: float
    """One-sided 99 % upper confidence bound of the slope."""
    rise_bytes: float
    """Rise over the window at this slope."""
    noise_bytes: float
    """Scatter of the envelope around the line: the scaled median absolute deviation."""
    rise_ratio_without_largest_step: float
    """Ratio of the rise that remains without its largest single step: near 0 for a jump, near 1 for a line."""
    last_to_first_third_ratio: float
    """Rise of the last third over that of the first: near 1 for a line, near 0 for a curve that settles."""
    last_third_to_expected_ratio: float
    """Rise of the last third over the slope's rise in a third: near 1 for a line."""
    variance_inflation: float
    """Factor by which autocorrelation widened the variance; at least 1."""


def fit_trend(envelope: LowerEnvelope, window_s: float) -> Trend:
    """Fit the lower envelope of a window; it needs at least two points."""
    times, values = envelope.times_s, envelope.values_bytes
    slopes = pairwise_slopes(envelope)
    slope = median_of_sorted(slopes)
    residuals = values - slope * (times - times[0])
    noise = MAD_TO_SIGMA * median(np.abs(residuals - median(residuals)))
    inflation = max(1.0, variance_inflation(residuals))
    lower, upper = _confidence_bounds(slopes, values.size, inflation)
    first, last = rises_of_first_and_last_third(times, values)
    expected = slope * float(times[-1] - times[0]) / 3
    return Trend(
        slope_bytes_per_s=slope,
        slope_ci_lower_bytes_per_s=lower,
        slope_ci_upper_bytes_per_s=upper,
        rise_bytes=slope * window_s,
        noise_bytes=noise,
        rise_ratio_without_largest_step=_rise_ratio_without_largest_step(times, values),
        last_to_first_third_ratio=_ratio(last, first),
        last_third_to_expected_ratio=_ratio(last, expected),
        variance_inflation=inflation,
    )


def median(values: NDArray[np.float64]) -> float:
    """Return the median. Faster than numpy's for the few values here, because it does not check for NaN."""
    return median_of_sorted(np.sort(values))


def median_of_sorted(ascending: NDArray[np.float64]) -> float:
    """Return the median of values in ascending order."""
    half = ascending.size // 2
    return float(ascending[half]) if ascending.size % 2 else float(ascending[half - 1] + ascending[half]) / 2


@lru_cache(maxsize=64)
def pairs(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of all pairs of n points: those of the older and of the newer ones."""
    older, newer = np.triu_indices(n, k=1)
    return older, newer


def pairwise_slopes(envelope: LowerEnvelope) -> NDArray[np.float64]:
    """Return the slopes of all pairs of points, ascending, in bytes per second: shape (n * (n - 1) / 2,)."""
    older, newer = pairs(len(envelope))
    rise = envelope.values_bytes[newer] - envelope.values_bytes[older]
    return np.sort(rise / (envelope.times_s[newer] - envelope.times_s[older]))


def variance_inflation(residuals: NDArray[np.float64]) -> float:
    """Return n/n*, by which autocorrelation multiplies the variance of Kendall's S (Hamed and Rao, eq. 10).

    `residuals`: the detrended values, shape (n,). Below 1 if neighbours alternate.
    """
    n = residuals.size
    ranks = _ranks(residuals)
    centred = ranks - ranks.mean()
    power = float(centred @ centred)
    if n < MIN_POINTS_FOR_AUTOCORRELATION or power == 0:
        return 1.0
    rho = np.correlate(centred, centred, mode="full")[n:] / power
    lags = np.arange(1, n)
    significant = np.abs(rho) >= Z_SIGNIFICANT / np.sqrt(n)
    weights = (n - lags) * (n - lags - 1) * (n - lags - 2)
    return 1.0 + 2.0 / (n * (n - 1) * (n - 2)) * float((weights * rho)[significant].sum())


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], dtype=np.float64)


def _confidence_bounds(sorted_slopes: NDArray[np.float64], n: int, inflation: float) -> tuple[float, float]:
    """Return the slopes whose ranks are z standard deviations of Kendall's S below and above the median."""
    deviation = Z_99_ONE_SIDED * float(np.sqrt(inflation * n * (n - 1) * (2 * n + 5) / 18))
    below = int(np.floor((sorted_slopes.size - deviation) / 2))
    above = sorted_slopes.size - 1 - below
    return float(sorted_slopes[max(below, 0)]), float(sorted_slopes[min(above, sorted_slopes.size - 1)])


def _rise_ratio_without_largest_step(times: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the rise without the largest rise between two bins, as a ratio of the rise; 0 if nothing rises.

    A gap between two bins is expected to rise as fast as the rest: only what it rises besides that is a step.
    """
    rise = float(values[-2:].mean() - values[:2].mean())
    steps, spans = np.diff(values), np.diff(times)
    gaps = spans > GAP_RATIO * spans.min()
    if gaps.any():
        expected = max(0.0, float(steps[~gaps].sum() / spans[~gaps].sum()))
        steps = steps - np.where(gaps, expected * (spans - spans.min()), 0.0)
    return (rise - float(steps.max())) / rise if rise > 0 else 0.0


def rises_of_first_and_last_third(times: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the rises of the first and of the last third; each of their ends is the mean of two bins.

    A third that a gap makes longer counts with its rise in the time of a third without one.
    """
    n = values.size
    cuts = [0, round((n - 2) / 3), round(2 * (n - 2) / 3), n - 2]
    (first, one_third, two_thirds, last), (start_s, a_s, b_s, end_s) = (
        [float(v[max(c, 0) : c + 2].mean()) for c in cuts] for v in (values, times)
    )
    width_s = float(np.diff(times).min())
    shares = (
        bins * width_s / spanned_s if spanned_s > GAP_RATIO * bins * width_s else 1.0
        for bins, spanned_s in ((cuts[1] - cuts[0], a_s - start_s), (cuts[3] - cuts[2], end_s - b_s))
    )
    return (one_third - first) * next(shares), (last - two_thirds) * next(shares)


def _ratio(part: float, whole: float) -> float:
    """Return part / whole, not below 0; 1 if the whole is not above 0 and the part is."""
    if whole <= 0:
        return 1.0 if part > 0 else 0.0
    return max(0.0, part / whole)
