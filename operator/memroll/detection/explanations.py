"""Explanations of growth close to the limit: its own past, the day before, load, and peers that stopped there.

Takes a window that has the shape of a leak and would be due, returns the reason for which it is not; called by
`exhaustion`. Growth that nothing explains is due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.quantity import format_mib, humanize_duration
from memroll.detection import fluctuation, load_correlation, peers, seasonality
from memroll.detection.lead_time import min_lead_s
from memroll.detection.leak_checks import LONG_CONTEXT_CHECKS
from memroll.detection.reasons import VerdictReason
from memroll.detection.trend import median

if TYPE_CHECKING:
    from memroll.detection.growth_phase import GrowthPhase
    from memroll.detection.window import TrendWindow

MIN_DURATION_WINDOWS = 1 / 8
"""Minimum duration of the growth phase, in windows (45 min of 6 h)..."""
MIN_DURATION_AGE_RATIO = 0.5
"""...or this ratio of the container's age, if that is less."""
MIN_NEW_HIGH_LIMIT_RATIO = 0.01
"""Minimum ratio of the limit by which the level or the usage must exceed its earlier maximum."""
MIN_PEER_PLATEAU_TIMES_TO_LIMIT = 4.0
"""Minimum time for which a peer must have stayed at this level to rule out a leak, in times to the limit..."""
MIN_PEER_PLATEAU_WINDOWS = 5 / 6
"""...and in windows (5 h of 6 h); the longer one counts."""
MIN_COMMON_GROWTH_AGE_DAYS = 7.0
"""Minimum age of a pod, in days, for growth that it shares with pods of other ages to be that of a job or a load: a
trigger may make all pods of a younger workload leak at once. Chosen on the design set, as is the next."""
MAX_COMMON_AGE_DEPENDENCE = 0.1
"""Maximum ratio of the slope that depends on age (`peers.age_dependence`) for the growth to be shared."""
MIN_HELD_DAYS = 3.0
"""Minimum time for which a container must have held its level, in days, for a rise to be sudden. Chosen on the design
set (`slow-harmless`), as are the next four."""
MAX_SUDDEN_HELD_RATIO = 1 / 20
"""Maximum time that a sudden rise has taken, as a ratio of that time..."""
MAX_SUDDEN_WINDOWS = 1.0
"""...and in windows (6 h): leaks of eight hours or more keep their lead time."""
MAX_EARLIER_RISE_RATIO = 0.25
"""Maximum ratio of what the level had risen before, above the median of the earlier minima, to the sudden rise."""
SUDDEN_LEAD_WINDOWS = 1 / 12
"""Lead time of a sudden rise, in windows (30 min of 6 h; design note 0023)."""

Explanation = tuple[VerdictReason | None, str]
"""Reason for which a container is not due, and the message; None and an empty message if it is."""
DUE: Explanation = (None, "")


def explain_slow_growth(window: TrendWindow) -> Explanation:
    """Return what explains the growth in a window of the long history: the weeks before, or a peer."""
    for check in LONG_CONTEXT_CHECKS:
        message = check.failure(window)
        if message is not None:
            return check.reason, message
    return DUE


def explain_growth(window: TrendWindow, phase: GrowthPhase, usage_bytes: float, left_s: float) -> Explanation:
    """Return what explains the growth in a window of hours, with this usage and time to the limit."""
    parameters, limit = window.parameters, window.history.limit_bytes or 0
    age_s = window.at_s - window.history.started_at_s
    duration_s = min(phase.duration_s, phase.time_at_slope_s(window.trend.slope_bytes_per_s))
    if duration_s < min(MIN_DURATION_WINDOWS * parameters.window_s, MIN_DURATION_AGE_RATIO * age_s):
        return VerdictReason.STEP_CHANGE, f"grows for only {humanize_duration(duration_s)}"
    margin = MIN_NEW_HIGH_LIMIT_RATIO * limit
    previous = phase.previous_max_level_bytes
    if previous >= phase.level_bytes - margin and phase.previous_max_usage_bytes >= usage_bytes - margin:
        return VerdictReason.WITHIN_PREVIOUS_RANGE, f"has been at {format_mib(previous)} before"
    peak = seasonality.peak_of_similar_day_bytes(window, usage_bytes, left_s)
    if peak < window.usable_limit_bytes:
        message = f"grew as fast at this hour of the day before, and would end at {format_mib(peak)}"
        return VerdictReason.DAILY_PATTERN, message
    return _explain_by_others(window, phase, left_s)


def _explain_by_others(window: TrendWindow, phase: GrowthPhase, left_s: float) -> Explanation:
    """Return what explains the growth besides its own past: load, peers, or that the workload fluctuates as much."""
    parameters = window.parameters
    if load_correlation.unexplained_slope_ratio(window) < load_correlation.MIN_UNEXPLAINED_RATIO:
        return VerdictReason.EXPLAINED_BY_LOAD, "load explains most of the growth"
    plateau_s = peers.longest_plateau_s(window, window.peers)
    if plateau_s >= max(MIN_PEER_PLATEAU_TIMES_TO_LIMIT * left_s, MIN_PEER_PLATEAU_WINDOWS * parameters.window_s):
        return VerdictReason.PEER_PLATEAUED, peers.describe_plateau(plateau_s)
    lead_s = min_lead_s(parameters)
    if left_s > lead_s and _grows_with_others(window):
        lead = humanize_duration(lead_s)
        return VerdictReason.COMMON_GROWTH, f"pods of all ages grow together: rolled when {lead} are left"
    sudden_s = max(lead_s, SUDDEN_LEAD_WINDOWS * parameters.window_s)
    if left_s > sudden_s and _is_sudden(window, phase):
        lasted, lead = humanize_duration(phase.start_age_s), humanize_duration(sudden_s)
        message = f"held its level for days, grows for {lasted}: rolled when {lead} are left"
        return VerdictReason.GROWTH_TOO_RECENT, message
    if left_s > lead_s and (ratio := fluctuation.largest_fall_ratio(window, phase)) > fluctuation.MAX_FALL_RATIO:
        return VerdictReason.FLUCTUATING, fluctuation.describe(ratio, phase, lead_s)
    return DUE


def _grows_with_others(window: TrendWindow) -> bool:
    """Return whether a pod that ran for a week grows as pods of other ages do, at the same time."""
    age_s = window.at_s - window.history.started_at_s
    if age_s < MIN_COMMON_GROWTH_AGE_DAYS * window.parameters.day_s:
        return False
    return peers.age_dependence(window, window.peers) < MAX_COMMON_AGE_DEPENDENCE


def _is_sudden(window: TrendWindow, phase: GrowthPhase) -> bool:
    """Return whether a container that held its level for days has grown for hours only, as for a job of the month.

    Unless peers that went up to their limit show where its growth ends.
    """
    parameters, minima, lasted_s = window.parameters, window.history.minima, phase.start_age_s
    held = minima.between(window.valid_from_s, window.at_s - lasted_s)
    held_s = held.last_s - held.first_s if len(held) else 0.0
    if held_s < MIN_HELD_DAYS * parameters.day_s:
        return False
    if lasted_s > min(MAX_SUDDEN_HELD_RATIO * held_s, MAX_SUDDEN_WINDOWS * parameters.window_s):
        return False
    earlier = phase.level_bytes - phase.rise_bytes - median(held.values)
    if earlier > MAX_EARLIER_RISE_RATIO * phase.rise_bytes:
        return False
    return not peers.follows_to_limit(window.history, window.peers, parameters.window_s, window.at_s)
