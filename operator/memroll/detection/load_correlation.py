"""Part of a slope that load explains: a service that has more to do may hold more; growth besides that may be a leak.

Takes a `TrendWindow`, returns its slope without the part that load explains. The memory that a unit of load takes is
estimated from how the two change together from bin to bin: a leak, which grows whatever the load does, has no part in
that. (First differences, as in Granger and Newbold, "Spurious regressions in econometrics", Journal of Econometrics 2
(1974): two series that both rise look related in levels, not in changes.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.lower_envelope import MIN_BINS, LowerEnvelope, lower_envelope
from memroll.detection.trend import median_of_sorted, pairwise_slopes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.series import Series
    from memroll.detection.window import TrendWindow

BINS_PER_WINDOW = 72
"""Bins in a window: 5 min each, in a window of 6 h. Chosen by hand."""
MIN_RETURNED_RATIO = 0.5
"""Minimum ratio of the rise by which memory must have fallen before for CPU to explain it. Chosen by hand."""
MIN_UNEXPLAINED_RATIO = 0.4
"""Minimum ratio of a leak's slope that load does not explain. Chosen on the design set of `make bench-detect`."""
LAG_BINS = 6
"""Maximum number of bins by which memory follows load, over which changes are compared: half an hour (note 0004)."""


def unexplained_slope_ratio(window: TrendWindow) -> float:
    """Return the ratio of the slope that load does not explain. The slope must be above 0."""
    return unexplained_slope_bytes_per_s(window) / window.trend.slope_bytes_per_s


def unexplained_slope_bytes_per_s(window: TrendWindow) -> float:
    """Return the slope without the part that load explains; the slope itself if the load is unknown."""
    history, parameters = window.history, window.parameters
    own = window.trend.slope_bytes_per_s
    width_s = max(parameters.window_s / BINS_PER_WINDOW, history.rss.spacing_s)
    if not (len(history.load) and np.isfinite(width_s)):
        return own
    start_s = max(history.started_at_s + parameters.warm_up_s, window.at_s - parameters.day_s)
    bins = int((window.at_s - start_s) / width_s)
    if bins < MIN_BINS or len(history.load.between(start_s, window.at_s)) < bins / 2:
        return own
    start_s = window.at_s - bins * width_s
    envelope = lower_envelope(history.rss, start_s, window.at_s, bins=bins)
    load = _bin_means(history.load, envelope.times_s, width_s)
    known = np.isfinite(load)
    times, levels, load = envelope.times_s[known], envelope.values_bytes[known], load[known]
    if parameters.load_is_cpu and not _has_returned(levels, window.trend.rise_bytes):
        return own
    per_load = _bytes_per_load(levels, load)
    inside = times > window.start_s
    if np.count_nonzero(inside) < MIN_BINS:
        return own
    unexplained = LowerEnvelope(times[inside], levels[inside] - per_load * load[inside])
    return median_of_sorted(pairwise_slopes(unexplained))


def _has_returned(levels: NDArray[np.float64], rise_bytes: float) -> bool:
    """Return whether the level has fallen by half of the rise or more before.

    Memory that only ever rises may be the cause of the CPU: a garbage collector works harder, a leaked list is walked.
    """
    return float((np.maximum.accumulate(levels) - levels).max()) >= MIN_RETURNED_RATIO * rise_bytes


def _bin_means(series: Series, centres_s: NDArray[np.float64], width_s: float) -> NDArray[np.float64]:
    """Return the mean of the samples around each centre; NaN without samples."""
    totals = np.concatenate(([0.0], np.cumsum(series.values)))
    first = np.searchsorted(series.times_s, centres_s - width_s / 2, side="right")
    end = np.searchsorted(series.times_s, centres_s + width_s / 2, side="right")
    count = end - first
    return np.where(count > 0, (totals[end] - totals[first]) / np.maximum(count, 1), np.nan)


def _bytes_per_load(levels: NDArray[np.float64], load: NDArray[np.float64]) -> float:
    """Return the bytes by which the level changes with a unit of load: least squares of changes on changes.

    Not below 0, and not more than the level at any load allows: a load that hardly changed explains no doubling.
    """
    if levels.size <= LAG_BINS + 2 or float(load.min()) < 0:
        return 0.0
    upper = float((levels[load > 0] / load[load > 0]).min()) if (load > 0).any() else 0.0
    d_level, d_load = levels[LAG_BINS:] - levels[:-LAG_BINS], load[LAG_BINS:] - load[:-LAG_BINS]
    d_load = d_load - d_load.mean()
    power = float(d_load @ d_load)
    return min(upper, max(0.0, float(d_load @ d_level) / power)) if power > 0 else 0.0
