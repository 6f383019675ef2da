"""A robust slope with a lower bound, and the guards that tell a leak from its look-alikes.

Slope: Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63 (1968): the median of
the slopes of all pairs of points; a few bursts do not move it. Bound: Gilbert, "Statistical Methods for
Environmental Pollution Monitoring" (1987), section 16.4.2: order statistics of the same slopes at the ranks
that Kendall's variance gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from memroll.analysis.floor import Floor

Z_99_ONE_SIDED = 2.326
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True)
class Trend:
    """What a window's floor says. Bytes and bytes per second throughout; shares are 0 to 1."""

    slope_bytes_per_s: float
    """Sen's slope."""
    bound_bytes_per_s: float
    """The slope's 99 % one-sided lower bound."""
    rise_bytes: float
    """What the slope adds over the window."""
    noise_bytes: float
    """Scatter of the floor around the line: the scaled median absolute deviation."""
    step_share: float
    """The share of the climb that its largest single step makes: near 1 for a jump."""
    late_share: float
    """The climb of the last third over that of the first: near 1 for a line, near 0 for a curve that settles."""


def trend(points: Floor, window_s: float) -> Trend:
    """Fit the floor of a window. `points` needs at least two bins."""
    times, values = points.times_s, points.values_bytes
    slopes = _pairwise_slopes(points)
    slope = float(np.median(slopes))
    residuals = values - slope * (times - times[0])
    noise = MAD_TO_SIGMA * float(np.median(np.abs(residuals - np.median(residuals))))
    return Trend(
        slope_bytes_per_s=slope,
        bound_bytes_per_s=_lower_bound(slopes, values.size),
        rise_bytes=slope * window_s,
        noise_bytes=noise,
        step_share=_step_share(points),
        late_share=_late_share(points),
    )


def _pairwise_slopes(points: Floor) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    older, newer = np.triu_indices(points.times_s.size, k=1)
    rise = points.values_bytes[newer] - points.values_bytes[older]
    return np.sort(rise / (points.times_s[newer] - points.times_s[older]))


def _lower_bound(sorted_slopes: np.ndarray[tuple[int], np.dtype[np.float64]], n: int) -> float:
    """Return the slope at the rank that lies z standard deviations of Kendall's S below the middle."""
    deviation = Z_99_ONE_SIDED * float(np.sqrt(n * (n - 1) * (2 * n + 5) / 18))
    rank = int(np.floor((sorted_slopes.size - deviation) / 2))
    return float(sorted_slopes[max(rank, 0)])


def _step_share(points: Floor) -> float:
    """Return the largest bin-to-bin rise as a share of all rises together; 0 when nothing rises."""
    rises = np.clip(np.diff(points.values_bytes), 0, None)
    total = float(rises.sum())
    return float(rises.max()) / total if total > 0 else 0.0


def _late_share(points: Floor) -> float:
    """Return (last - two thirds) over (one third - first), each end taken as the mean of two bins."""
    values = points.values_bytes
    n = values.size
    cuts = [0, round((n - 2) / 3), round(2 * (n - 2) / 3), n - 2]
    first, one_third, two_thirds, last = (float(values[c : c + 2].mean()) for c in cuts)
    early = one_third - first
    late = last - two_thirds
    if early <= 0:
        return 1.0 if late > 0 else 0.0
    return max(0.0, late / early)
