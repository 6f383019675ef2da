"""Leak checks: several windows of a container, each checked for its shape, then against its past and its peers.

Takes a container's history as of one instant, returns a `WindowResult` and whether it has persisted; `verdict` makes a
verdict of them. The windows: the policy's own, four times as long (for a leak under large collections, or a slow one),
and a third of it (for a fast one, with little time left). A pod younger than one day is reported only when it is close
to its limit: most of what looks like a leak in a pod's first day is its first day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.api.quantity import format_mib, humanize_duration
from memroll.detection import load_correlation, peers, seasonality
from memroll.detection.growth_phase import measure_growth_phase
from memroll.detection.reasons import VerdictReason
from memroll.detection.shape_checks import SHAPE_CHECKS, Check, usable_limit_bytes
from memroll.detection.time_to_limit import time_to_limit_at_recurring_peak_s
from memroll.detection.window import MIN_COVERED_RATIO, TrendWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters

MIN_NEW_HIGH_RISE_RATIO = 0.35
"""Minimum ratio of the rise above the same time of the previous day to the rise over the window.

Chosen on the design set of `make bench-detect`, as are the other numbers of this module.
"""
MIN_AGE_DEPENDENCE = 0.3
"""Minimum ratio of the slope that must depend on age."""
MAX_PEER_PLATEAU_WINDOWS = 1 / 3
"""Maximum time for which a peer may have stayed at the same level, in windows (2 h of 6 h)."""
NEAR_LIMIT_WINDOWS = 1 / 24
"""Time to the limit that counts as near, in windows (15 min of 6 h), if a roll does not take longer."""
MIN_SAME_AGE_GROWTH_DAYS = 0.8
"""Minimum age of a growth phase that all peers of one age share, in days.

A phase that fills a day is measured as 0.85 days: its lowest 15 % are left out (`growth_phase.START_RATIO`).
"""
MIN_LONG_STEPS = 5
"""Minimum effective number of steps of a leak of days: a few jumps are bursts whose memory is kept. Chosen by hand."""
MIN_GROWTH_WINDOWS = 0.75
"""Minimum age of a growth phase, in windows: loads rise within hours, and a younger phase may be one of them."""


def _peer_plateau_check(max_s: Callable[[TrendWindow], float]) -> Check:
    """Return the check that no peer stayed at this level, without growing on, for this many seconds or longer."""
    return Check(
        VerdictReason.PEER_PLATEAUED,
        lambda window: -peers.longest_plateau_s(window, window.peers),
        lambda window: -max_s(window),
        lambda n, _: peers.describe_plateau(-n),
    )


CONTEXT_CHECKS: tuple[Check, ...] = (
    Check(
        VerdictReason.DAILY_PATTERN,
        seasonality.rise_above_previous_day_bytes,
        lambda window: MIN_NEW_HIGH_RISE_RATIO * window.trend.rise_bytes,
        lambda n, m: f"{format_mib(n)} above the same hours of the day before, a leak over {format_mib(m)}",
    ),
    Check(
        VerdictReason.WITHIN_PREVIOUS_RANGE,
        seasonality.rise_above_past_day_bytes,
        lambda _: 0.0,
        lambda n, _: f"{format_mib(-n)} below what it held during the past day",
    ),
    Check(
        VerdictReason.SCALED_DAILY_PATTERN,
        seasonality.peak_of_scaled_day_bytes,
        usable_limit_bytes,
        lambda n, m: (
            f"the same pattern as the day before at a higher load: would end at {format_mib(n)}, "
            f"a leak above {format_mib(m)}"
        ),
    ),
    Check(
        VerdictReason.WEEKLY_PATTERN,
        seasonality.rise_above_previous_week_peak_bytes,
        lambda window: MIN_NEW_HIGH_RISE_RATIO * window.trend.rise_bytes,
        lambda n, m: f"{format_mib(n)} above the same hours of the week before, a leak over {format_mib(m)}",
    ),
    Check(
        VerdictReason.EXPLAINED_BY_LOAD,
        load_correlation.unexplained_slope_ratio,
        lambda _: load_correlation.MIN_UNEXPLAINED_RATIO,
        lambda n, m: f"load explains all but {max(n, 0):.0%} of the growth, a leak leaves over {m:.0%}",
    ),
    _peer_plateau_check(lambda window: MAX_PEER_PLATEAU_WINDOWS * window.parameters.window_s),
    Check(
        VerdictReason.COMMON_GROWTH,
        lambda window: peers.age_dependence(window, window.peers),
        lambda _: MIN_AGE_DEPENDENCE,
        lambda n, m: (
            f"pods of all ages grow together: {max(n, 0):.0%} of the slope depends on age, of a leak's over {m:.0%}"
        ),
    ),
)
"""Checks against the container's past, its load and its peers, in the order in which they are evaluated."""


LONG_CONTEXT_CHECKS: tuple[Check, ...] = (
    Check(
        VerdictReason.STEP_CHANGE,
        lambda window: window.stairs.steps,
        lambda _: MIN_LONG_STEPS,
        lambda n, m: f"grew in {n:.1f} large steps only, a leak of days in over {m:.0f}",
    ),
    Check(
        VerdictReason.WITHIN_PREVIOUS_RANGE,
        seasonality.rise_above_earlier_minima_bytes,
        lambda _: 0.0,
        lambda n, _: f"{format_mib(-n)} below what it held before this window",
    ),
    Check(
        VerdictReason.WEEKLY_PATTERN,
        seasonality.rise_above_previous_week_bytes,
        lambda window: MIN_NEW_HIGH_RISE_RATIO * window.trend.rise_bytes,
        lambda n, m: f"{format_mib(n)} above the same time of the week before, a leak over {format_mib(m)}",
    ),
    _peer_plateau_check(lambda window: peers.MIN_LONG_PLATEAU_DAYS * window.parameters.day_s),
)
"""Checks of a window of the long history, whose trend has no daily pattern."""


def _growth_start_age_s(window: TrendWindow) -> float:
    """Return the age of the growth phase, in seconds."""
    phase = measure_growth_phase(window.history, window.parameters, window.at_s)
    return 0.0 if phase is None else phase.start_age_s


def _same_age_growth_s(window: TrendWindow) -> float:
    """Return the age of a growth phase that pods of one age share, in seconds; infinity for any other growth."""
    alone = peers.common_growth(window, window.peers) < peers.CONCURRENT_SLOPE_RATIO
    if alone or np.isfinite(peers.age_dependence(window, window.peers)):
        return float("inf")
    return _growth_start_age_s(window)


def _known_s(window: TrendWindow) -> float:
    """Return the length of the known history, in seconds, without the warm-up."""
    return window.at_s - max(window.valid_from_s, window.history.rss.first_s)


def _needed_history_s(window: TrendWindow) -> float:
    """Return the length of history that a comparison with the time before the window needs, in seconds."""
    day_s = window.parameters.day_s
    return min(day_s + window.parameters.window_s, max(day_s, (1 + MIN_COVERED_RATIO) * window.window_s))


HISTORY_CHECKS: tuple[Check, ...] = (
    Check(
        VerdictReason.INSUFFICIENT_HISTORY,
        _known_s,
        _needed_history_s,
        lambda n, m: (
            f"known for {humanize_duration(n)} only, {humanize_duration(m)} needed to compare with the time before"
        ),
    ),
    Check(
        VerdictReason.GROWTH_TOO_RECENT,
        _growth_start_age_s,
        lambda window: MIN_GROWTH_WINDOWS * window.parameters.window_s,
        lambda n, m: f"grows for {humanize_duration(n)} only, a leak for over {humanize_duration(m)}",
    ),
    Check(
        VerdictReason.SAME_AGE_GROWTH,
        _same_age_growth_s,
        lambda window: MIN_SAME_AGE_GROWTH_DAYS * window.parameters.day_s,
        lambda n, m: (
            f"all pods of this age grow together, for {humanize_duration(n)} so far: "
            f"reported as a leak after {humanize_duration(m)}"
        ),
    ),
)
"""Checks that need time, evaluated only while the limit is far away."""


@dataclass(frozen=True, slots=True)
class WindowResult:
    """Result of all checks of one window."""

    window: TrendWindow
    reason: VerdictReason | None
    """Reason of the first failed check; None for a leak."""
    message: str = ""
    has_leak_shape: bool = False
    """True if all checks of the shape passed: only the past or the peers explain the growth."""

    @property
    def is_leak(self) -> bool:
        """True if all checks passed."""
        return self.reason is None


def is_near_limit(window: TrendWindow) -> bool:
    """Return whether the limit is too near to wait for more history."""
    parameters = window.parameters
    near_s = max(NEAR_LIMIT_WINDOWS * parameters.window_s, parameters.lead_time.min_s)
    return time_to_limit_at_recurring_peak_s(window) <= near_s


def check_window(window: TrendWindow, *, assume_near_limit: bool = False) -> WindowResult:
    """Evaluate all checks of one window; `assume_near_limit`: as if its limit were near."""
    for check in SHAPE_CHECKS:
        message = check.failure(window)
        if message is not None:
            return WindowResult(window, check.reason, message)
    if window.is_long:
        return _check_context(window, LONG_CONTEXT_CHECKS)
    near = assume_near_limit or is_near_limit(window)
    if window.is_short and not near:
        message = "a short window counts only when the limit is near"
        return WindowResult(window, VerdictReason.NOT_SIGNIFICANT, message)
    return _check_context(window, (*CONTEXT_CHECKS, *(() if near else HISTORY_CHECKS)))


def _check_context(window: TrendWindow, checks: tuple[Check, ...]) -> WindowResult:
    """Evaluate the checks of a window that has the shape of a leak."""
    for check in checks:
        message = check.failure(window)
        if message is not None:
            return WindowResult(window, check.reason, message, has_leak_shape=True)
    return WindowResult(window, None)


def check_windows(
    history: ContainerHistory,
    parameters: DetectionParameters,
    at_s: float,
    peers: tuple[ContainerHistory, ...],
    *,
    assume_near_limit: bool = False,
) -> Iterator[WindowResult]:
    """Check each window that has enough samples, the policy's own first."""
    for window_s in (*parameters.windows_s, *parameters.long_windows_s):
        window = TrendWindow(history, parameters, window_s, at_s, peers)
        if not window.insufficient_data:
            yield check_window(window, assume_near_limit=assume_near_limit)


def check_persistence(
    history: ContainerHistory, parameters: DetectionParameters, now_s: float, peers: tuple[ContainerHistory, ...]
) -> tuple[WindowResult | None, bool]:
    """Return the strongest result at `now_s`, and whether a leak was found half of `growth.for` and all of it ago, too.

    The result is None if no window has enough samples yet.
    """
    strongest = None
    for result in check_windows(history, parameters, now_s, peers):
        if result.window.is_short and not result.is_leak:
            continue  # a short window can show a leak, but not rule one out
        if strongest is None or result.has_leak_shape > strongest.has_leak_shape or result.is_leak:
            strongest = result
        if result.is_leak:
            break
    if strongest is None or not strongest.is_leak:
        return strongest, False
    near = is_near_limit(strongest.window)
    return strongest, all(
        any(r.is_leak for r in check_windows(history, parameters, now_s - ago_s, peers, assume_near_limit=near))
        for ago_s in (parameters.for_s / 2, parameters.for_s)
    )
