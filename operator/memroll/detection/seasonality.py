"""Comparison of a window with the container's own past: the same time of the previous day, and its earlier levels.

Takes a `TrendWindow`, returns the statistics of the checks in `leak_checks` and `exhaustion`. "Day" is
`DetectionParameters.day_s`: four windows if the windows are shorter than an hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.lower_envelope import MAX_BINS, lower_envelope
from memroll.detection.trend import fit_trend, median_of_sorted, pairwise_slopes

if TYPE_CHECKING:
    from memroll.detection.window import TrendWindow

SAME_TIME_WINDOWS = 1 / 8
"""Windows before and after the same time of the previous day that are compared: 45 min of 6 h.

Chosen on the design set of `make bench-detect`, as are the other numbers of this module.
"""
DAYS_PER_WEEK = 7
"""Days after which a weekly pattern repeats."""
SAME_TIME_OF_WEEK_DAYS = 0.5
"""Days before and after the same time of the previous week that are compared: a whole day. Chosen by hand."""
SAME_TIME_OF_WEEK_WINDOWS = 1.0
"""Windows before and after the same time of the previous week whose highest level counts: a weekly batch begins earlier
or later. Chosen by hand."""
TRACKED_WINDOWS = 1 / 3
"""Last part of the usage that is compared with the previous day, in windows: 2 h of 6 h. Chosen by hand."""
MAX_TRACKED_LIMIT_RATIO = 0.01
"""Maximum ratio of the difference to the limit for the usage to follow the previous day. Chosen by hand."""
SAME_TIME_BINS = 4
"""Bins of that time."""
PAST_LEVEL_QUANTILE = 0.95
"""Quantile of the past day's levels that the present level must exceed."""
PREVIOUS_DAY_BINS = 6
"""Bins before and after the same time of the previous day, to project the day's peak from."""
MIN_SIMILAR_SLOPE_RATIO = 0.5
"""Minimum ratio of the previous day's slope to the present one for the two days to be alike."""
SCALED_DAY_SLOPE_RATIOS = (1 / 6, 2 / 3)
"""Ratios of the previous day's slope to the present one between which the day is the same at a higher load."""
PROJECTION_TIMES_TO_LIMIT = 1.5
"""Duration of the previous day's continuation that is projected, in times to the limit."""


def rise_above_previous_day_bytes(window: TrendWindow) -> float:
    """Return the level above the highest one at the same time of the previous day; infinity without samples of it."""
    centre_s = window.at_s - window.parameters.day_s
    around_s = SAME_TIME_WINDOWS * window.parameters.window_s
    envelope = lower_envelope(window.history.rss, centre_s - around_s, centre_s + around_s, bins=SAME_TIME_BINS)
    return window.level_bytes - float(envelope.values_bytes.max()) if len(envelope) else float("inf")


def rise_above_past_day_bytes(window: TrendWindow) -> float:
    """Return the level above the 95th percentile of the past day's before this window; infinity without samples."""
    parameters = window.parameters
    end_s = window.at_s - min(window.window_s, parameters.window_s)
    bins = round(MAX_BINS * (parameters.day_s / parameters.window_s))
    envelope = lower_envelope(window.history.rss, window.at_s - parameters.day_s, end_s, bins=bins)
    if not len(envelope):
        return float("inf")
    return window.level_bytes - float(np.quantile(envelope.values_bytes, PAST_LEVEL_QUANTILE))


def rise_above_earlier_minima_bytes(window: TrendWindow) -> float:
    """Return the level above the 95th percentile of the long history before this window; infinity without one."""
    earlier = window.history.minima.between(window.valid_from_s, window.start_s)
    if not len(earlier):
        return float("inf")
    return window.level_bytes - float(np.quantile(earlier.values, PAST_LEVEL_QUANTILE))


def rise_above_previous_week_bytes(window: TrendWindow) -> float:
    """Return the level above that of the same day of the previous week; infinity without samples of it."""
    centre_s = window.at_s - DAYS_PER_WEEK * window.parameters.day_s
    around_s = SAME_TIME_OF_WEEK_DAYS * window.parameters.day_s
    minima = window.history.minima.between(max(centre_s - around_s, window.valid_from_s), centre_s + around_s)
    return window.level_bytes - float(np.median(minima.values)) if len(minima) else float("inf")


def rise_above_previous_week_peak_bytes(window: TrendWindow) -> float:
    """Return the level above the highest one at the same time of the previous week; infinity without samples of it."""
    centre_s = window.at_s - DAYS_PER_WEEK * window.parameters.day_s
    around_s = SAME_TIME_OF_WEEK_WINDOWS * window.parameters.window_s
    minima = window.history.minima.between(max(centre_s - around_s, window.valid_from_s), centre_s + around_s)
    return window.level_bytes - float(minima.values.max()) if len(minima) else float("inf")


def tracks_previous_day(window: TrendWindow, slope_bytes_per_s: float) -> bool:
    """Return whether the usage of the last hours is that of the same hours of the previous day, plus a day's growth."""
    parameters, usage = window.parameters, window.history.usage
    back_s, day_s = TRACKED_WINDOWS * parameters.window_s, parameters.day_s
    now = usage.between(window.at_s - back_s, window.at_s)
    before_s = window.at_s - day_s
    before = usage.between(before_s - 2 * back_s, before_s + back_s / 2)
    if not len(now) or not len(before) or before.first_s > before_s - back_s:
        return False
    grown = slope_bytes_per_s * day_s + MAX_TRACKED_LIMIT_RATIO * (window.history.limit_bytes or 0)
    return float(now.values.max()) <= float(before.values.max()) + grown


def peak_of_similar_day_bytes(window: TrendWindow, usage_bytes: float, time_to_limit_s: float) -> float:
    """Return the peak usage if this day continues like the previous one; infinity if the days differ.

    They are alike if memory grew at the same hours of the previous day as well, with half of this slope or more. The
    growth of the previous day in the time that follows, 1.5 times that to the limit, is scaled to this slope.
    """
    at_s, ahead_s = window.at_s - window.parameters.day_s, PROJECTION_TIMES_TO_LIMIT * time_to_limit_s
    before = lower_envelope(window.history.rss, at_s - window.window_s, at_s, bins=PREVIOUS_DAY_BINS)
    after = lower_envelope(window.history.rss, at_s, at_s + ahead_s, bins=PREVIOUS_DAY_BINS)
    if len(before) < PREVIOUS_DAY_BINS or not len(after):
        return float("inf")
    previous, now = median_of_sorted(pairwise_slopes(before)), window.trend.slope_bytes_per_s
    if previous < MIN_SIMILAR_SLOPE_RATIO * now:
        return float("inf")
    gained = max(0.0, float(after.values_bytes.max() - before.values_bytes[-1]))
    return usage_bytes + gained * now / previous


def peak_of_scaled_day_bytes(window: TrendWindow) -> float:
    """Return the peak level if this day is the previous one at a higher load; infinity if it is not.

    That is how a Monday looks: the same hours of the previous day grew as well, significantly, but at a sixth to two
    thirds of this slope. Their growth from this hour on is scaled to this slope.
    """
    parameters = window.parameters
    at_s = window.at_s - parameters.day_s
    if window.window_s > parameters.window_s:
        return float("inf")
    before = lower_envelope(window.history.rss, at_s - window.window_s, at_s, bins=MAX_BINS // 2)
    if len(before) < MAX_BINS // 2 or before.times_s[0] - window.valid_from_s < 0:
        return float("inf")
    previous, now = fit_trend(before, window.window_s), window.trend.slope_bytes_per_s
    significant = previous.slope_ci_lower_bytes_per_s > (parameters.threshold_bytes_per_s or 0.0) / 2
    low, high = SCALED_DAY_SLOPE_RATIOS
    if not significant or not low < previous.slope_bytes_per_s / now < high:
        return float("inf")
    after = lower_envelope(window.history.rss, at_s, window.at_s - parameters.day_s / 2, bins=MAX_BINS // 2)
    gained = max(0.0, float(after.values_bytes.max() - before.values_bytes[-1])) if len(after) else 0.0
    return window.level_bytes + gained * now / previous.slope_bytes_per_s
