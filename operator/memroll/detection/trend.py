"""A robust slope with bounds that allow for autocorrelation, and the shape of the climb.

Slope: Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63 (1968): the median of the slopes
of all pairs of points; a few bursts do not move it. Bounds: Gilbert, "Statistical Methods for Environmental Pollution
Monitoring" (1987), section 16.4.2: order statistics of the same slopes at the ranks that Kendall's variance gives,
that variance corrected as by Hamed and Rao, "A modified Mann-Kendall trend test for autocorrelated data", J. of
Hydrology 204 (1998): memory that stands high now stands high in a minute, too, and is no second witness.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.lower_envelope import Floor

Z_99_ONE_SIDED = 2.326
Z_SIGNIFICANT = 1.960
"""Autocorrelations that differ from zero by less (two-sided 5 %) are left out of the correction."""
MAD_TO_SIGMA = 1.4826
LAGS_KNOWN = 4
"""Fewer values than this say nothing of their correlation."""


@dataclass(frozen=True, slots=True)
class Trend:
    """What a window's floor says. Bytes and bytes per second throughout; shares are 0 to 1."""

    slope_bytes_per_s: float
    """Sen's slope."""
    bound_bytes_per_s: float
    """The slope's 99 % one-sided lower bound."""
    upper_bytes_per_s: float
    """The slope's 99 % one-sided upper bound."""
    rise_bytes: float
    """What the slope adds over the window."""
    noise_bytes: float
    """Scatter of the floor around the line: the scaled median absolute deviation."""
    rest_share: float
    """What is left of the rise without its largest single step: near 0 for a jump, near 1 for a line."""
    late_share: float
    """The climb of the last third over that of the first: near 1 for a line, near 0 for a curve that settles."""
    late_of_expected: float
    """The climb of the last third over what the slope makes of a third: near 1 for a line."""
    inflation: float
    """How much autocorrelation widened the variance; at least 1."""


def trend(points: Floor, window_s: float) -> Trend:
    """Fit the floor of a window. `points` needs at least two bins."""
    times, values = points.times_s, points.values_bytes
    slopes = pairwise_slopes(points)
    slope = middle(slopes)
    residuals = values - slope * (times - times[0])
    noise = MAD_TO_SIGMA * median(np.abs(residuals - median(residuals)))
    inflation = max(1.0, variance_inflation(residuals))
    low, high = _bounds(slopes, values.size, inflation)
    first, last = thirds(values)
    expected = slope * float(times[-1] - times[0]) / 3
    return Trend(
        slope_bytes_per_s=slope,
        bound_bytes_per_s=low,
        upper_bytes_per_s=high,
        rise_bytes=slope * window_s,
        noise_bytes=noise,
        rest_share=_rest_share(values),
        late_share=_ratio(last, first),
        late_of_expected=_ratio(last, expected),
        inflation=inflation,
    )


def median(values: NDArray[np.float64]) -> float:
    """Return the median; for the few values at hand faster than numpy's, which looks for NaN."""
    return middle(np.sort(values))


def middle(ascending: NDArray[np.float64]) -> float:
    """Return the median of values in ascending order."""
    half = ascending.size // 2
    return float(ascending[half]) if ascending.size % 2 else float(ascending[half - 1] + ascending[half]) / 2


@lru_cache(maxsize=64)
def _pairs(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    older, newer = np.triu_indices(n, k=1)
    return older, newer


def pairwise_slopes(points: Floor) -> NDArray[np.float64]:
    """Return the slopes of all pairs of points, ascending, in bytes per second: shape (n * (n - 1) / 2,)."""
    older, newer = _pairs(len(points))
    rise = points.values_bytes[newer] - points.values_bytes[older]
    return np.sort(rise / (points.times_s[newer] - points.times_s[older]))


def variance_inflation(residuals: NDArray[np.float64]) -> float:
    """Return n/n*, by which autocorrelation multiplies the variance of Kendall's S (Hamed and Rao, eq. 10).

    `residuals`: the detrended values, shape (n,). Below 1 where neighbours alternate.
    """
    n = residuals.size
    ranks = _ranks(residuals)
    centred = ranks - ranks.mean()
    power = float(centred @ centred)
    if n < LAGS_KNOWN or power == 0:
        return 1.0
    rho = np.correlate(centred, centred, mode="full")[n:] / power
    lags = np.arange(1, n)
    told = np.abs(rho) >= Z_SIGNIFICANT / np.sqrt(n)
    weights = (n - lags) * (n - lags - 1) * (n - lags - 2)
    return 1.0 + 2.0 / (n * (n - 1) * (n - 2)) * float((weights * rho)[told].sum())


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], dtype=np.float64)


def _bounds(sorted_slopes: NDArray[np.float64], n: int, inflation: float) -> tuple[float, float]:
    """Return the slopes whose ranks lie z standard deviations of Kendall's S below and above the middle."""
    deviation = Z_99_ONE_SIDED * float(np.sqrt(inflation * n * (n - 1) * (2 * n + 5) / 18))
    below = int(np.floor((sorted_slopes.size - deviation) / 2))
    above = sorted_slopes.size - 1 - below
    return float(sorted_slopes[max(below, 0)]), float(sorted_slopes[min(above, sorted_slopes.size - 1)])


def _rest_share(values: NDArray[np.float64]) -> float:
    """Return the rise without the largest bin-to-bin rise, as a share of the rise; 0 when nothing rises."""
    rise = float(values[-2:].mean() - values[:2].mean())
    largest = float(np.diff(values).max())
    return (rise - largest) / rise if rise > 0 else 0.0


def thirds(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the climbs of the first and of the last third, each end taken as the mean of two bins."""
    n = values.size
    cuts = [0, round((n - 2) / 3), round(2 * (n - 2) / 3), n - 2]
    first, one_third, two_thirds, last = (float(values[max(c, 0) : c + 2].mean()) for c in cuts)
    return one_third - first, last - two_thirds


def _ratio(part: float, whole: float) -> float:
    """Return part / whole, not below 0; 1 where the whole is nothing and the part is something."""
    if whole <= 0:
        return 1.0 if part > 0 else 0.0
    return max(0.0, part / whole)
