"""Lead time: how long before its limit a container is rolled.

Takes a window, the growth phase and the time to the limit; called by `exhaustion`, and by `verdict` for a leak that is
far from its limit. All windows are those of the policy (6 h by default).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.detection.peers import follows_to_limit

if TYPE_CHECKING:
    from memroll.detection.growth_phase import GrowthPhase
    from memroll.detection.parameters import DetectionParameters
    from memroll.detection.window import TrendWindow

LEAD_RATIO_OF_DURATION = 0.25
"""Ratio of the lead time to the duration of the growth phase (design note 0004).

Chosen on the design set of `make bench-detect`, as are the other numbers of this module.
"""
LEAD_RATIO_OF_START_AGE = 0.2
"""Ratio of the lead time to the age of the growth phase, which is longer than its duration."""
LONG_GROWTH_WINDOWS = 0.6
"""Duration of a growth phase from which on it is long, in windows."""
LONG_GROWTH_LEAD_WINDOWS = 0.21
"""Minimum lead time of a long growth phase, in windows: over an hour of 6 h, so that people can react."""
ACCELERATING_LEAD_WINDOWS = 0.25
"""The same if the growth accelerates: an hour and a half by its slope is an hour."""
LEAD_RATIO_OF_LIFETIME = 0.15
"""Ratio of the lead time to the predicted lifetime, for a pod without peers (design note 0003), or one that follows its
peers to the limit (design note 0023)."""
SLOW_LEAD_RATIO_OF_LIFETIME = 0.04
"""The same for growth in a window of days, beyond the longest lead time of all other growth: a burst that has not been
seen before reaches the limit half a day before the slope does (design note 0023)."""
MIN_LEAD_WINDOWS = 1 / 24
"""Minimum lead time, in windows (15 min of 6 h)."""
MAX_LEAD_WINDOWS = 1 / 3
"""Maximum lead time, in windows (2 h of 6 h; design note 0003)."""
MAX_YOUNG_LEAD_WINDOWS = 1 / 4
"""Maximum lead time of a pod younger than a day, in windows: growth for hours may be its first day, unless it follows
its peers to the limit."""
BURST_LIMIT_RATIO = 0.025
"""Ratio of the limit within which a burst, not the slope, reaches it."""
MIN_SLOPE_BYTES_PER_S = 1e-9
"""Minimum slope to divide by, in bytes per second."""


def lead_time_s(window: TrendWindow, phase: GrowthPhase, time_to_limit_s: float) -> float:
    """Return the lead time of a container, in seconds.

    Auto: a quarter of the time that the growth has lasted at this slope, at most a third of the window (2 h of 6 h), or
    the time that slow growth takes for the last 2.5 % of the limit, where a burst reaches it first. A pod without peers
    cannot be compared, and one that follows its peers is expected to reach the limit as they did: 15 % of its predicted
    lifetime, if that is more. Growth of days has at least 4 % of it, however long that is. Never less than a roll
    takes, and never less than a twenty-fourth of the window.
    """
    parameters, history = window.parameters, window.history
    rule = parameters.lead_time
    if rule.fixed_s is not None:
        return max(rule.fixed_s, rule.min_s)
    age_s = window.at_s - history.started_at_s
    slope = max(window.trend.slope_bytes_per_s, MIN_SLOPE_BYTES_PER_S)
    duration_s, start_age_s = (min(s, phase.time_at_slope_s(slope)) for s in (phase.duration_s, phase.start_age_s))
    if window.is_long:
        duration_s = window.at_s - window.start_s
    auto_s = max(LEAD_RATIO_OF_DURATION * duration_s, LEAD_RATIO_OF_START_AGE * start_age_s)
    if duration_s >= LONG_GROWTH_WINDOWS * parameters.window_s:
        accelerates = not window.is_long and phase.time_at_slope_s(slope) < phase.start_age_s
        min_windows = ACCELERATING_LEAD_WINDOWS if accelerates else LONG_GROWTH_LEAD_WINDOWS
        auto_s = max(auto_s, min_windows * parameters.window_s)
    is_expected = follows_to_limit(history, window.peers, parameters.window_s, window.at_s)
    if not window.peers or is_expected:
        auto_s = max(auto_s, LEAD_RATIO_OF_LIFETIME * (age_s + time_to_limit_s))
    is_young = bool(window.peers) and age_s < parameters.day_s and not is_expected
    max_s = (MAX_YOUNG_LEAD_WINDOWS if is_young else MAX_LEAD_WINDOWS) * parameters.window_s
    burst_s = BURST_LIMIT_RATIO * (history.limit_bytes or 0) / slope
    max_s = max(max_s, min(burst_s, parameters.window_s))
    if window.is_long:
        slow_s = SLOW_LEAD_RATIO_OF_LIFETIME * (age_s + time_to_limit_s)
        auto_s, max_s = max(auto_s, slow_s), max(max_s, slow_s)
    return max(min_lead_s(parameters), min(auto_s, max_s))


def min_lead_s(parameters: DetectionParameters) -> float:
    """Return the minimum lead time, in seconds: what a roll takes, and a twenty-fourth of the window."""
    return max(parameters.lead_time.min_s, MIN_LEAD_WINDOWS * parameters.window_s)
