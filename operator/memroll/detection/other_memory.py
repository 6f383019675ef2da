"""Growth of unreclaimable memory outside of the RSS: memory volumes, kernel memory, page tables, swap.

Takes a container's history, returns whether that memory grows up to the limit; called by `verdict` for containers whose
RSS does not. The same checks as for the RSS apply, on another series. A restart of the container does not free a memory
volume, so such a container is only reported unless the policy opts in (`exhaustion.otherMemory`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memroll.api.quantity import format_mib, format_rate, humanize_duration
from memroll.detection.exhaustion import (
    EXHAUSTION_CHECKS,
    MIN_USAGE_RATIO_LONG_LEAD,
    PEAK_WINDOWS,
    Urgency,
    check_exhaustion,
)
from memroll.detection.lead_time import MAX_LEAD_WINDOWS
from memroll.detection.series import EMPTY, Series
from memroll.detection.shape_checks import MIN_RISE_NOISE_RATIO
from memroll.detection.time_to_limit import max_peak_bytes, time_to_limit_at_max_peak_s
from memroll.detection.window import MAX_USABLE_LIMIT_RATIO, TrendWindow

if TYPE_CHECKING:
    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters
    from memroll.detection.trend import Trend

MIN_NOTABLE_LIMIT_RATIO = 0.002
"""Minimum ratio of the rise to the limit for a nearly full container not to be healthy. Chosen by hand."""
REPORTED_AGE_RATIO = 1 / 3
"""Ratio of the known history within which the limit must be reached for the growth to be reported (note 0023)."""
REPORTED_WINDOW_RATIOS = (1.0, 4.0, 1 / 3)
"""Lengths of the windows that are checked, in windows of the policy."""


def other_memory_history(history: ContainerHistory) -> ContainerHistory:
    """Return the history with the memory outside of the RSS in its place.

    Without a series of the page cache, page cache is part of it: a working set that rises to its limit is reported, and
    never rolled.
    """
    times_s = history.working_set.times_s
    held = history.working_set.values.copy()
    if len(history.active_file):
        held -= np.nan_to_num(history.active_file.at(times_s))
    rss = history.rss.at(times_s)
    known = np.isfinite(rss)
    times_s, held, rss = times_s[known], held[known], rss[known]
    other = np.maximum(held - rss, 0.0)
    if len(history.swap):
        other += np.nan_to_num(history.swap.at(times_s))
    return replace(
        history,
        rss=Series(times_s, other),
        unreclaimable=Series(times_s, np.maximum(held, rss)),
        load=EMPTY,
        minima=EMPTY,
        maxima=EMPTY,
    )


def check_growth(history: ContainerHistory, parameters: DetectionParameters, at_s: float) -> Urgency | None:
    """Return the growth that must be reported, with the time to the limit; None if there is none.

    `history`: that of the memory outside of the RSS. The result is due if its pod must be rolled, if the policy
    requires it.
    """
    limit = history.limit_bytes
    if limit is None or not len(history.usage) or history.usage.values[-1] < MIN_USAGE_RATIO_LONG_LEAD * limit:
        return None
    due = check_exhaustion(history, parameters, at_s, ())
    if due.due:
        return due
    for ratio in REPORTED_WINDOW_RATIOS:
        window = TrendWindow(history, parameters, ratio * parameters.window_s, at_s)
        if window.insufficient_data or any(check.failure(window) is not None for check in EXHAUSTION_CHECKS):
            continue
        usage = max_peak_bytes(history, at_s, PEAK_WINDOWS * parameters.window_s)
        left_s = time_to_limit_at_max_peak_s(window, usage, window.trend.slope_bytes_per_s)
        known_s = at_s - max(window.valid_from_s, history.rss.first_s)
        if left_s <= max(MAX_LEAD_WINDOWS * parameters.window_s, REPORTED_AGE_RATIO * known_s):
            return replace(due, usage_bytes=usage, time_to_limit_s=left_s, trend=window.trend)
    return None


def rises_near_limit(history: ContainerHistory, parameters: DetectionParameters, at_s: float) -> bool:
    """Return whether the memory that can't be reclaimed is near the limit and rises, significantly."""
    limit, usage = history.limit_bytes, history.usage
    if limit is None or usage.values[-1] <= MAX_USABLE_LIMIT_RATIO * limit:
        return False
    rising = replace(history, rss=usage, minima=EMPTY, maxima=EMPTY)
    windows = (TrendWindow(rising, parameters, s, at_s) for s in (parameters.window_s, parameters.windows_s[-1]))
    return any(not window.insufficient_data and _rises(window.trend, limit) for window in windows)


def _rises(trend: Trend, limit_bytes: int) -> bool:
    """Return whether a rise is significant, and stands out from the noise."""
    is_notable = trend.rise_bytes > max(MIN_NOTABLE_LIMIT_RATIO * limit_bytes, MIN_RISE_NOISE_RATIO * trend.noise_bytes)
    return is_notable and trend.slope_ci_lower_bytes_per_s > 0


def describe(history: ContainerHistory, found: Urgency) -> str:
    """Return the message: what grows, how fast, and what was counted."""
    assert found.trend is not None
    grows = "swap" if _mostly_swap(history) else "a memory volume, kernel memory or page tables"
    if not len(history.active_file):
        grows += ", or page cache, of which Prometheus has no series"
    rate = format_rate(found.trend.slope_bytes_per_s)
    left = humanize_duration(found.time_to_limit_s)
    held = format_mib(float(history.rss.values[-1]))
    return f"memory outside of the RSS grows by {rate} to {held} ({grows}): {left} to the limit"


def _mostly_swap(history: ContainerHistory) -> bool:
    """Return whether swap is more than half of the memory outside of the RSS."""
    return bool(len(history.swap)) and float(history.swap.values[-1]) > float(history.rss.values[-1]) / 2
