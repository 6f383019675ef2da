"""What load explains of a climb. A service that has more to do may hold more; what it holds beside that may leak.

How much memory a unit of load takes is read from how the two change together from bin to bin: a leak, which grows
whatever the load does, has no part in that. (First differences, as in Granger and Newbold, "Spurious regressions in
econometrics", Journal of Econometrics 2 (1974): two series that both rise look related in levels, not in changes.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.lower_envelope import BINS_MIN, Floor, floor
from memroll.detection.trend import middle, pairwise_slopes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.series import Series
    from memroll.detection.window import Look

BINS_PER_WINDOW = 72
UNEXPLAINED_SHARE_MIN = 0.4
"""A leak leaves more of its slope unexplained than this."""
LAG_BINS = 6
"""Memory follows load within so many bins; the changes over all of them are compared as well."""


def unexplained_share(look: Look) -> float:
    """Return the share of the slope that load does not explain. The slope must be above 0."""
    return unexplained_slope(look) / look.trend.slope_bytes_per_s


def unexplained_slope(look: Look) -> float:
    """Return the slope of what load does not explain, in bytes per second; the slope itself when no load is known."""
    subject, rule = look.subject, look.rule
    own = look.trend.slope_bytes_per_s
    width_s = max(rule.window_s / BINS_PER_WINDOW, subject.rss.spacing_s)
    if not (len(subject.load) and np.isfinite(width_s)):
        return own
    start_s = max(subject.started_at_s + rule.warm_up_s, look.at_s - rule.day_s)
    bins = int((look.at_s - start_s) / width_s)
    if bins < BINS_MIN or len(subject.load.between(start_s, look.at_s)) < bins / 2:
        return own
    start_s = look.at_s - bins * width_s
    points = floor(subject.rss, start_s, look.at_s, bins=bins)
    load = _means(subject.load, points.times_s, width_s)
    known = np.isfinite(load)
    points, load = Floor(points.times_s[known], points.values_bytes[known]), load[known]
    per_load = _bytes_per_load(points.values_bytes, load)
    inside = points.times_s > look.start_s
    if np.count_nonzero(inside) < BINS_MIN:
        return own
    rest = Floor(points.times_s[inside], points.values_bytes[inside] - per_load * load[inside])
    return middle(pairwise_slopes(rest))


def _means(series: Series, centres_s: NDArray[np.float64], width_s: float) -> NDArray[np.float64]:
    """Return the mean of the samples around each centre; NaN where there is none."""
    totals = np.concatenate(([0.0], np.cumsum(series.values)))
    first = np.searchsorted(series.times_s, centres_s - width_s / 2, side="right")
    end = np.searchsorted(series.times_s, centres_s + width_s / 2, side="right")
    count = end - first
    return np.where(count > 0, (totals[end] - totals[first]) / np.maximum(count, 1), np.nan)


def _bytes_per_load(level: NDArray[np.float64], load: NDArray[np.float64]) -> float:
    """Return how many bytes the level changes with a unit of load: least squares of changes on changes.

    Not below 0, and not more than leaves nothing for no load at all: a load that hardly moved explains no doubling.
    """
    if level.size <= LAG_BINS + 2 or float(load.min()) < 0:
        return 0.0
    most = float((level[load > 0] / load[load > 0]).min()) if (load > 0).any() else 0.0
    d_level, d_load = level[LAG_BINS:] - level[:-LAG_BINS], load[LAG_BINS:] - load[:-LAG_BINS]
    d_load = d_load - d_load.mean()
    power = float(d_load @ d_load)
    return min(most, max(0.0, float(d_load @ d_level) / power)) if power > 0 else 0.0
