"""Growth phase of a container: how long its memory has been growing, and whether the growth has paused.

Takes a container's history, returns the `GrowthPhase` at one instant. The exhaustion checks scale the lead time with
its duration: a leak that reaches the limit within a few hours has been growing for hours as well, while half an hour of
rising load is no evidence about the next two hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.lower_envelope import lower_envelope

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters

BINS_PER_WINDOW = 72
"""Bins in a window: 5 min each, in a window of 6 h. Chosen by hand."""
LEVEL_BINS = 4
"""Number of newest bins whose minimum is the present level. Chosen by hand."""
START_RATIO = 0.15
"""Ratio of the phase's rise below which its level counts as before the start (`start_age_s`).

Chosen on the design set of `make bench-detect`, as are the next three.
"""
LOW_RATIO = 0.25
"""Ratio of the phase's rise below which its level does not count for the duration (`duration_s`)."""
MIN_NEW_HIGH_RATIO = 0.02
"""Minimum ratio of the range of levels by which a level must exceed the highest one to be a new high."""
NEWEST_STEPS = 4
"""Number of newest steps of the long history that the next one is predicted from. Chosen by hand."""
MIN_GAP_BINS = 3.0
"""Minimum time between two bins that is a gap, in bins: 15 min of 6 h. Chosen by hand."""
MAX_GAP_WINDOWS = 0.5
"""Maximum length of a gap within a phase, in windows (3 h of 6 h): growth before a longer one may be another phase."""
LONG_PHASE_RATIO = 0.5
"""Ratio of the last window from which on a phase is measured over the whole day instead: it began before the window."""


@dataclass(frozen=True, slots=True)
class GrowthPhase:
    """Growth up to the present level. Bytes and seconds.

    Measured from the lowest level of the last window; if the growth filled half of that window or more, from the lowest
    level of the past day. A burst on top of an old rise has lasted for as long as the burst. Gaps do not count.
    """

    level_bytes: float
    """Present level: the minimum of the newest bins of the lower envelope."""
    duration_s: float
    """Time since the level left the lowest quarter of the rise."""
    start_age_s: float
    """Time since the level left the lowest 15 % of the rise: longer than `duration_s`, and less certain."""
    previous_max_level_bytes: float
    """Highest level before the last two windows; 0 if there is no earlier history."""
    previous_max_usage_bytes: float
    """Highest usage in the same time."""
    plateau_s: float
    """Time since the last new high of the level."""
    longest_plateau_s: float
    """Longest earlier time between two new highs, within this phase and the last window."""
    rise_bytes: float = float("inf")
    """Rise of the level from the lowest one in the time that `duration_s` is measured in."""

    def time_at_slope_s(self, slope_bytes_per_s: float) -> float:
        """Return the time that the whole rise takes at this slope.

        For a straight line that is how long it has grown. A short steep rise on top of a slow one, or of a start-up,
        has lasted for as long as that rise.
        """
        return self.rise_bytes / slope_bytes_per_s


def measure_growth_phase(history: ContainerHistory, parameters: DetectionParameters, at_s: float) -> GrowthPhase | None:
    """Measure the growth phase that is going on at `at_s`; None with fewer than two samples."""
    window_s = parameters.window_s
    rss = history.rss.between(at_s - parameters.lookback_s, at_s)
    width_s = max(window_s / BINS_PER_WINDOW, rss.spacing_s)
    if not np.isfinite(width_s):
        return None
    bins = max(LEVEL_BINS, int((at_s - rss.first_s) / width_s) + 1)
    envelope = lower_envelope(rss, at_s - bins * width_s, at_s, bins=bins)
    times, levels = envelope.times_s + width_s / 2, envelope.values_bytes
    previous = levels[times <= at_s - 2 * window_s]
    previous_usage = history.usage.between(at_s - parameters.lookback_s, at_s - 2 * window_s)
    seen, since_s = _without_gaps(times, width_s, MAX_GAP_WINDOWS * window_s)
    in_window, in_day = (times > max(times[-1] - back_s, since_s) for back_s in (window_s, parameters.day_s))
    duration_s, start_age_s = _durations_s(seen[in_window], levels[in_window], at_s)
    measured = in_window
    if duration_s >= LONG_PHASE_RATIO * (at_s - seen[in_window][0]):
        measured = in_day
        duration_s, start_age_s = _durations_s(seen[in_day], levels[in_day], at_s)
    highs_s = _new_highs_s(seen[in_window], levels[in_window])
    plateaus_s = np.diff(highs_s[highs_s >= at_s - duration_s])
    return GrowthPhase(
        level_bytes=float(levels[-LEVEL_BINS:].min()),
        duration_s=duration_s,
        start_age_s=start_age_s,
        previous_max_level_bytes=float(previous.max()) if previous.size else 0.0,
        previous_max_usage_bytes=float(previous_usage.values.max()) if len(previous_usage) else 0.0,
        plateau_s=at_s - float(highs_s[-1]),
        longest_plateau_s=float(plateaus_s.max()) if plateaus_s.size else 0.0,
        rise_bytes=float(levels[-LEVEL_BINS:].min() - levels[measured].min()),
    )


@dataclass(frozen=True, slots=True)
class LongStairs:
    """New highs of the long history, the steps of a leak that grows in stairs. Bytes and seconds."""

    plateau_s: float
    """Time since the last new high."""
    longest_plateau_s: float
    """Longest earlier time between two new highs."""
    shortest_plateau_s: float
    """Shortest of the newest times between two new highs; infinity with fewer than two."""
    step_bytes: float
    """Highest of the newest steps; 0 without any."""
    steps: float
    """Effective number of steps: equal ones count one each, but a few high ones and many low ones are few."""


def measure_long_stairs(history: ContainerHistory, at_s: float, step_s: float, since_s: float = -np.inf) -> LongStairs:
    """Measure the steps of the long history; their number also without those before `since_s`, such as a start-up."""
    minima = history.minima.until(at_s)
    if not len(minima):
        return LongStairs(0.0, 0.0, float("inf"), 0.0, 0.0)
    highs_s = _new_highs_s(minima.times_s - step_s, minima.values)
    between_s, newest = np.diff(highs_s), slice(-NEWEST_STEPS, None)
    heights = np.diff(minima.values[np.searchsorted(minima.times_s - step_s, highs_s)])
    return LongStairs(
        plateau_s=at_s - float(highs_s[-1]),
        longest_plateau_s=float(between_s.max()) if between_s.size else 0.0,
        shortest_plateau_s=float(between_s[newest].min()) if between_s.size else float("inf"),
        step_bytes=float(heights[newest].max()) if heights.size else 0.0,
        steps=max(_effective_number(heights), _effective_number(heights[highs_s[1:] > since_s])),
    )


def _effective_number(heights: NDArray[np.float64]) -> float:
    """Return the number of equal steps that are as unequal as these: the inverse of the sum of their squared shares."""
    return float(heights.sum() ** 2 / (heights**2).sum()) if heights.size else 0.0


def _without_gaps(times: NDArray[np.float64], width_s: float, max_gap_s: float) -> tuple[NDArray[np.float64], float]:
    """Return the times with all before a gap moved to its end, and the start of the last gap longer than `max_gap_s`.

    Neither growth nor a pause was seen in a gap. The start is the time of the last bin before it; minus infinity
    without one.
    """
    steps = np.diff(times)
    gaps_s = np.where(steps > MIN_GAP_BINS * width_s, steps - width_s, 0.0)
    long_gaps = np.flatnonzero(gaps_s > max_gap_s)
    since_s = float(times[long_gaps[-1]]) if long_gaps.size else -np.inf
    return times + np.append(np.cumsum(gaps_s[::-1])[::-1], 0.0), since_s


def _durations_s(times: NDArray[np.float64], levels: NDArray[np.float64], at_s: float) -> tuple[float, float]:
    """Return the times since the level left the lowest quarter, and the lowest 15 %, of the rise in these points."""
    top, base = float(levels[-LEVEL_BINS:].min()), float(levels.min())
    below = (np.flatnonzero(levels <= base + ratio * (top - base)) for ratio in (LOW_RATIO, START_RATIO))
    duration_s, start_age_s = (at_s - float(times[indices[-1]]) for indices in below)
    return duration_s, start_age_s


def _new_highs_s(times: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the times of new highs that exceed the last one by a ratio of the range: noise on a plateau makes none."""
    step = MIN_NEW_HIGH_RATIO * float(np.ptp(levels))
    highs, top = [times[0]], float(levels[0])
    for at_s, level in zip(times[1:].tolist(), levels[1:].tolist(), strict=True):
        if level > top + step:
            highs.append(at_s)
            top = level
    return np.array(highs)
