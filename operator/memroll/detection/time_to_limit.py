"""Time to the limit: the distance of a recent peak to the limit, over the slope.

There are two estimates, because two peaks can be meant: the highest usage that recurs, for a leak that is far from its
limit, and the highest usage of all, for the last hours. `time_to_limit_s` is the smaller one, and the one that is
reported.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.window import TrendWindow

RECURRING_PEAK_RATIO = 1 / 12
"""Ratio of the window whose samples the recurring peak is taken from (30 min of 6 h). Chosen by hand."""
DAILY_PEAK_QUANTILE = 0.95
"""Quantile of the usage of a day that counts as its peak. Chosen by hand."""
MIN_PEAK_SPACINGS = 24.0
"""The same in sample spacings, if that is more: a quantile of a few samples jumps with each of them."""
RECURRING_PEAK_QUANTILE = 0.9
"""Quantile of these samples that counts as the recurring peak. Chosen by hand."""


def time_to_limit_s(window: TrendWindow, time_to_limit_at_max_peak_s: float) -> float:
    """Return the time to the limit, in seconds: the smaller of the two estimates."""
    return min(time_to_limit_at_max_peak_s, time_to_limit_at_recurring_peak_s(window))


def time_to_limit_at_recurring_peak_s(window: TrendWindow) -> float:
    """Return the time until the recurring peak reaches the limit, in seconds; infinity without a limit or growth."""
    limit, slope = window.history.limit_bytes, window.trend.slope_bytes_per_s
    if limit is None or slope <= 0:
        return float("inf")
    return max(0.0, (limit - recurring_peak_bytes(window)) / slope)


def recurring_peak_bytes(window: TrendWindow) -> float:
    """Return the highest usage that recurs, as of now: each recent sample is carried forward along the slope."""
    usage = window.history.usage
    back_s = RECURRING_PEAK_RATIO * window.window_s
    if MIN_PEAK_SPACINGS * (spacing_s := usage.between(window.start_s, window.at_s).spacing_s) > back_s:
        back_s = min(MIN_PEAK_SPACINGS * spacing_s, window.window_s)
    recent = usage.between(window.at_s - back_s, window.at_s)
    if not len(recent):
        known = usage.until(window.at_s)
        return float(known.values[-1]) if len(known) else 0.0
    ahead = max(0.0, window.trend.slope_bytes_per_s) * (window.at_s - recent.times_s)
    return float(np.quantile(recent.values + ahead, RECURRING_PEAK_QUANTILE))


def daily_peak_bytes(window: TrendWindow) -> float:
    """Return the usage that is exceeded for an hour of the last day, about; 0 without samples."""
    usage = window.history.usage.between(window.at_s - window.parameters.day_s, window.at_s)
    return float(np.quantile(usage.values, DAILY_PEAK_QUANTILE)) if len(usage) else 0.0


def time_to_limit_at_max_peak_s(window: TrendWindow, peak_bytes: float, slope_bytes_per_s: float) -> float:
    """Return the time until this peak reaches the limit, in seconds from now.

    The growth since the newest sample is subtracted: that sample may be as old as a scrape and a reconcile.
    """
    newest_s = window.history.usage.until(window.at_s).last_s
    unseen_s = window.at_s - newest_s if math.isfinite(newest_s) else 0.0
    return max(0.0, ((window.history.limit_bytes or 0) - peak_bytes) / slope_bytes_per_s - unseen_s)


def max_peak_bytes(history: ContainerHistory, at_s: float, back_s: float) -> float:
    """Return the highest usage of the last `back_s` seconds: a peak reaches the limit, not a mean.

    Without samples in that time, the newest one; 0 without any.
    """
    recent = history.usage.between(at_s - back_s, at_s)
    if len(recent):
        return float(recent.values.max())
    known = history.usage.until(at_s)
    return float(known.values[-1]) if len(known) else 0.0
