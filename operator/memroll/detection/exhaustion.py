"""Exhaustion checks: whether the container reaches its limit within the lead time, so that it must be rolled now.

Takes a container's history as of one instant, returns an `Urgency`; `verdict` requires it at two reconciles in a row. A
leak does not have to be rolled when it is recognized, only before it reaches the limit. Rolling just in time costs a
tenth of a pod's lifetime instead of half of it, and a suspected pod that is harmless gets time to stop growing.
Therefore only the last part before the limit counts: growth that has lasted and continues, and that nothing explains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.api.quantity import humanize_duration
from memroll.detection import explanations, seasonality
from memroll.detection.growth_phase import GrowthPhase, LongStairs, measure_growth_phase
from memroll.detection.lead_time import MAX_LEAD_WINDOWS, MIN_SLOPE_BYTES_PER_S, lead_time_s
from memroll.detection.parameters import LONG_WINDOWS
from memroll.detection.peers import follows_to_limit
from memroll.detection.reasons import VerdictReason
from memroll.detection.shape_checks import GROWS_AT_ALL, GROWTH_REASONS, SHAPE_CHECKS
from memroll.detection.slow_growth import time_to_limit_at_daily_peaks_s, time_to_step_s
from memroll.detection.time_to_limit import max_peak_bytes, time_to_limit_at_max_peak_s
from memroll.detection.window import TrendWindow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters
    from memroll.detection.trend import Trend

MIN_USAGE_RATIO = 0.8
"""Minimum ratio of the usage to the limit for a container to be due, however steep its trend.

Chosen on the design set of `make bench-detect`, as are the other numbers of this module.
"""
MIN_USAGE_RATIO_LONG_LEAD = 0.6
"""The same if a roll or the policy's lead time takes longer than `MAX_LEAD_WINDOWS` (design note 0003), or if the
container follows its peers to the limit (design note 0023)."""
WINDOW_RATIOS = (1.0, 1 / 3, 1 / 8)
"""Lengths of the windows that are checked, in windows of the policy (design note 0004)."""
SLOW_WINDOW_RATIOS = LONG_WINDOWS
"""Lengths of the windows that are checked for slow leaks, by the long history (design note 0023)."""
SHORTEST_WINDOW_RATIO = 1 / 18
"""Length of a window that only caps the slope of the others (20 min of 6 h): it shows that the growth has slowed."""
PEAK_WINDOWS = 1 / 8
"""Time whose highest usage counts, in windows (45 min of 6 h)."""
MIN_DAILY_RATIO = 0.25
"""Minimum ratio of the time to a daily peak at the limit to the time that the present peak takes to reach it."""
PEAK_TIMES_TO_LIMIT = 2.0
"""The same, in times to the limit: a burst within twice the remaining time may recur within it."""
SHORT_WARM_UP_RATIO = 1 / 3
"""Ratio of the warm-up that short windows leave out: a fast leak may reach the limit before the full warm-up."""
MIN_PLATEAU_WINDOW_RATIO = 0.5
"""Minimum ratio of an earlier plateau to a shorter window for that window to be ignored: it may lie within one."""
MIN_SPACINGS_TO_REPORT = 25
"""Minimum length, in sample spacings, of a window whose time to the limit is reported before it is due: in a shorter
one, a single sample moves it."""
MIN_BOUND_RATIO_TO_REPORT = 0.5
"""Minimum ratio of the lower bound of the slope to the slope for the same: under few large collections, the slope of a
window depends on where its bins begin. Chosen by hand."""
MAX_PLATEAU_TIMES_LONGEST = 1.5
"""Maximum ratio of the present plateau to the longest earlier one for the growth to count as paused, not ended."""


EXHAUSTION_CHECKS = (
    GROWS_AT_ALL,
    *(c for c in SHAPE_CHECKS if c.reason not in (*GROWTH_REASONS, VerdictReason.APPROACHING_PLATEAU)),
)
"""Checks of the shape, without `growth.perHour`: close to the limit only the time to it counts.

The caps on the slope cover growth that bends, and short windows are too noisy to project it.
"""


@dataclass(frozen=True, slots=True)
class Urgency:
    """Result of the exhaustion checks: how long to the limit, and why the container is not due."""

    reason: VerdictReason | None
    """Reason of the first failed check; None if the container is due."""
    message: str
    usage_bytes: float
    """Peak usage that the time to the limit is computed from."""
    time_to_limit_s: float = float("inf")
    lead_time_s: float | None = None
    trend: Trend | None = None

    @property
    def due(self) -> bool:
        """True if the container must be rolled now."""
        return self.reason is None


def check_exhaustion(
    history: ContainerHistory, parameters: DetectionParameters, at_s: float, peers: tuple[ContainerHistory, ...]
) -> Urgency:
    """Evaluate the exhaustion checks at `at_s`."""
    usage = max_peak_bytes(history, at_s, PEAK_WINDOWS * parameters.window_s)
    limit = history.limit_bytes
    if limit is None:
        return Urgency(VerdictReason.NO_MEMORY_LIMIT, "without a memory limit there is no deadline", usage)
    min_ratio = _min_usage_ratio(history, parameters, at_s, peers)
    if usage < min_ratio * limit:
        return Urgency(VerdictReason.NOT_GROWING, f"usage below {min_ratio:.0%} of the limit", usage)
    phase = measure_growth_phase(history, parameters, at_s)
    nearest = Urgency(VerdictReason.TOO_FEW_SAMPLES, "too few recent samples", usage)
    if phase is None:
        return nearest
    ratios = (*WINDOW_RATIOS, *SLOW_WINDOW_RATIOS, SHORTEST_WINDOW_RATIO)
    windows = {r: _window(history, parameters, r, at_s, peers) for r in ratios}
    for window, found in _check_all(windows, phase, usage):
        if found.due:
            return found
        if nearest.reason is VerdictReason.TOO_FEW_SAMPLES or (
            not _is_rough(window) and found.time_to_limit_s < nearest.time_to_limit_s
        ):
            nearest = found
    return nearest


def _check_all(
    windows: dict[float, TrendWindow], phase: GrowthPhase, usage: float
) -> Iterator[tuple[TrendWindow, Urgency]]:
    """Check each window that has enough samples, except the shortest one."""
    for ratio, window in windows.items():
        if ratio == SHORTEST_WINDOW_RATIO or window.insufficient_data:
            continue
        found = _check_window(window, [w for r, w in windows.items() if r < ratio], phase, usage)
        is_short = ratio <= WINDOW_RATIOS[0]
        yield window, _unless_daily(found, windows[SLOW_WINDOW_RATIOS[0]]) if is_short and found.due else found


def _is_rough(window: TrendWindow) -> bool:
    """Return whether a single sample can move the slope of a window: it has few, or its bounds are far apart."""
    trend, shortest_s = window.trend, MIN_SPACINGS_TO_REPORT * window.history.rss.spacing_s
    is_wide = trend.slope_ci_lower_bytes_per_s < MIN_BOUND_RATIO_TO_REPORT * trend.slope_bytes_per_s
    return window.window_s < shortest_s or is_wide


def _min_usage_ratio(
    history: ContainerHistory, parameters: DetectionParameters, at_s: float, peers: tuple[ContainerHistory, ...]
) -> float:
    """Return the ratio of the limit below which no container is due."""
    lead_time = parameters.lead_time
    is_long = max(lead_time.min_s, lead_time.fixed_s or 0.0) > MAX_LEAD_WINDOWS * parameters.window_s
    if is_long or follows_to_limit(history, peers, parameters.window_s, at_s):
        return MIN_USAGE_RATIO_LONG_LEAD
    return MIN_USAGE_RATIO


def _window(
    history: ContainerHistory,
    parameters: DetectionParameters,
    ratio: float,
    at_s: float,
    peers: tuple[ContainerHistory, ...],
) -> TrendWindow:
    warm_up_s = parameters.warm_up_s if ratio >= 1.0 else SHORT_WARM_UP_RATIO * parameters.warm_up_s
    return TrendWindow(history, parameters, ratio * parameters.window_s, at_s, peers, warm_up_s)


def _check_window(window: TrendWindow, shorter: list[TrendWindow], phase: GrowthPhase, usage: float) -> Urgency:
    """Evaluate all checks of one window, the cheapest first."""
    for check in EXHAUSTION_CHECKS:
        message = check.failure(window)
        if message is not None:
            return Urgency(check.reason, message, usage)
    stairs = window.stairs if window.is_long else None
    slope = min([window.trend.slope_bytes_per_s, *_slope_caps(shorter, stairs or phase)])
    if slope <= 0:
        return Urgency(VerdictReason.GROWTH_SLOWING, "the growth has stopped", usage)
    left_s = time_to_limit_at_max_peak_s(window, usage, slope)
    back_s = min(PEAK_TIMES_TO_LIMIT * left_s, window.parameters.window_s)
    usage = max(usage, max_peak_bytes(window.history, window.at_s, back_s))
    left_s = time_to_limit_at_max_peak_s(window, usage, slope)
    if stairs is not None:
        daily_s = max(time_to_limit_at_daily_peaks_s(window, slope), MIN_DAILY_RATIO * left_s)
        left_s = min(left_s, daily_s, time_to_step_s(window, stairs, usage))
    found = Urgency(None, "", usage, left_s, lead_time_s(window, phase, left_s), window.trend)
    reason, message = _reason_not_due(window, phase, found)
    return found if reason is None else Urgency(reason, message, usage, left_s, found.lead_time_s, window.trend)


def _unless_daily(found: Urgency, slow: TrendWindow) -> Urgency:
    """Return a result that is not due if the usage follows that of the previous day, and its peaks are far off."""
    if slow.insufficient_data or found.lead_time_s is None:
        return found
    slope = max(slow.trend.slope_bytes_per_s, MIN_SLOPE_BYTES_PER_S)
    if not seasonality.tracks_previous_day(slow, slope):
        return found
    left_s = time_to_limit_at_daily_peaks_s(slow, slope)
    if left_s <= found.lead_time_s:
        return found
    message = f"follows the day before, whose peaks reach the limit in {humanize_duration(left_s)}"
    return replace(found, reason=VerdictReason.DAILY_PATTERN, message=message, time_to_limit_s=left_s)


def _slope_caps(shorter: list[TrendWindow], phase: GrowthPhase | LongStairs) -> list[float]:
    """Return the upper confidence bounds of the shorter windows' slopes: the growth can't be faster than that now.

    A window shorter than twice the growth's own plateaus is ignored: it may lie within one.
    """
    caps = []
    for window in shorter:
        may_be_paused = (
            phase.longest_plateau_s > MIN_PLATEAU_WINDOW_RATIO * window.window_s
            and phase.plateau_s <= MAX_PLATEAU_TIMES_LONGEST * phase.longest_plateau_s
        )
        if not may_be_paused and not window.insufficient_data:
            caps.append(window.trend.slope_ci_upper_bytes_per_s)
    return caps


def _reason_not_due(window: TrendWindow, phase: GrowthPhase, found: Urgency) -> tuple[VerdictReason | None, str]:
    """Return the reason and the message of the first failed check, or None if the container is due."""
    left_s = found.time_to_limit_s
    assert found.lead_time_s is not None
    if left_s > found.lead_time_s:
        lead = humanize_duration(found.lead_time_s)
        return VerdictReason.LEAKING, f"{humanize_duration(left_s)} to the limit, rolled when {lead} are left"
    if window.is_long:
        return explanations.explain_slow_growth(window)
    return explanations.explain_growth(window, phase, found.usage_bytes, left_s)
