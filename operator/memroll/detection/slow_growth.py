"""Predictions from the long history: the next daily peak, the next step of stairs.

Takes a window of the long history and a slope; `exhaustion` uses the times to the limit that it returns. A leak of days
reaches its limit at the peak of a day, or with a step, not where its mean does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.lower_envelope import LowerEnvelope, lower_envelope

if TYPE_CHECKING:
    from memroll.detection.growth_phase import LongStairs
    from memroll.detection.series import Series
    from memroll.detection.window import TrendWindow

DAILY_PEAK_BINS = 48
"""Bins of a day whose peaks are compared with the limit: half an hour each. Chosen by hand."""
RECURRING_BURSTS = 2
"""Number of bins of a day with a burst as high for it to be expected at any time. Chosen by hand."""
SHIFT_BINS = 4
"""Newest bins by which a day differs from the previous one: two hours. Chosen by hand."""
MIN_REGULAR_PLATEAU_RATIO = 0.75
"""Minimum ratio of the shortest plateau of regular stairs to their longest. Chosen by hand."""
MIN_STAIR_WINDOWS = 0.5
"""Minimum plateau of stairs whose next step is predicted, in windows: 3 h of 6 h. Chosen by hand."""


def time_to_limit_at_daily_peaks_s(window: TrendWindow, slope_bytes_per_s: float) -> float:
    """Return the time until the usage of an hour of the last day reaches the limit, in seconds from now.

    Each hour's usage grows by a day's growth from day to day: it reaches the limit at that hour of a later day. A day
    that is lower than the previous one so far is expected to stay lower.
    """
    day_s = window.parameters.day_s
    recent = window.history.usage.between(window.at_s - day_s, window.at_s)
    if not len(recent):
        return float("inf")
    envelope = lower_envelope(recent, window.at_s - day_s, window.at_s, bins=DAILY_PEAK_BINS)
    peaks = envelope.values_bytes + _recurring_burst(recent, envelope, day_s / DAILY_PEAK_BINS)
    peaks += _shift(window, envelope, slope_bytes_per_s)
    distance = np.maximum((window.history.limit_bytes or 0) - peaks, 0.0)
    days = np.maximum(np.ceil(distance / (slope_bytes_per_s * day_s)), 1.0)
    return max(0.0, float((envelope.times_s + days * day_s).min()) - window.at_s)


def _recurring_burst(usage: Series, envelope: LowerEnvelope, width_s: float) -> float:
    """Return the height above the envelope that two bins of the day reached, in bytes."""
    of_bin = np.searchsorted(envelope.times_s + width_s / 2, usage.times_s)
    first = np.searchsorted(np.minimum(of_bin, len(envelope) - 1), np.arange(len(envelope)))
    heights = np.sort(np.maximum.reduceat(usage.values, first) - envelope.values_bytes)
    return float(heights[-min(RECURRING_BURSTS, heights.size)])


def _shift(window: TrendWindow, today: LowerEnvelope, slope_bytes_per_s: float) -> float:
    """Return by how much the last hours are below the previous day's and a day's growth, in bytes; not above 0."""
    day_s = window.parameters.day_s
    before_s, width_s = window.at_s - day_s, day_s / DAILY_PEAK_BINS
    before = lower_envelope(window.history.usage, before_s - SHIFT_BINS * width_s, before_s, bins=SHIFT_BINS)
    if not len(before):
        return 0.0
    grown = float(np.median(today.values_bytes[-SHIFT_BINS:])) - float(np.median(before.values_bytes))
    return min(0.0, grown - slope_bytes_per_s * day_s)


def time_to_step_s(window: TrendWindow, stairs: LongStairs, usage_bytes: float) -> float:
    """Return the time to the next step of a leak that grows in regular stairs, if it reaches the limit; else infinity.

    Shorter stairs are as good as a line.
    """
    is_regular = stairs.shortest_plateau_s >= MIN_REGULAR_PLATEAU_RATIO * stairs.longest_plateau_s
    is_long = stairs.longest_plateau_s >= MIN_STAIR_WINDOWS * window.parameters.window_s
    if not (is_regular and is_long) or usage_bytes + stairs.step_bytes < (window.history.limit_bytes or 0):
        return float("inf")
    return max(0.0, stairs.shortest_plateau_s - stairs.plateau_s)
