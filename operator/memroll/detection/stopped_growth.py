"""Growth that stopped just below the limit: a cache that is full, or a leak that `memory.high` throttles.

Takes a process lifetime, returns what is known of a straight rise that ended in a flat line at 90 % of the limit or
more; called by `verdict` for containers that are healthy by all other checks. The kubelet's MemoryQoS sets
`memory.high` to request + factor * (limit - request): with the usual factor of 0.9 that is 90 % of the limit or more,
whatever the request. The samples of both causes are alike, so that such a container is reported and never rolled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.api.quantity import format_mib, format_rate, humanize_duration
from memroll.detection.growth_phase import BINS_PER_WINDOW
from memroll.detection.lower_envelope import lower_envelope
from memroll.detection.shape_checks import SHAPE_CHECKS
from memroll.detection.window import TrendWindow

if TYPE_CHECKING:
    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters

THROTTLED_LIMIT_RATIO = 0.9
"""Lowest ratio of `memory.high` to the limit: `memoryThrottlingFactor` of a container without a request."""
FLAT_LIMIT_RATIO = 0.01
"""Height of a flat line, as a ratio of the limit. Chosen by hand, as are the next two."""
MIN_FLAT_WINDOWS = 1 / 6
"""Minimum length of a flat line, in windows (1 h of 6 h)."""
MIN_STRAIGHT_RATIO = 0.7
"""Minimum ratio of the rise of the last third before the flat line to that of the first: it stopped abruptly."""


def describe(history: ContainerHistory, parameters: DetectionParameters, at_s: float) -> str:
    """Return the message if the memory rose in a straight line and stopped just below the limit, else nothing."""
    since_s = _flat_since_s(history, parameters, at_s)
    if at_s - since_s < MIN_FLAT_WINDOWS * parameters.window_s:
        return ""
    rose = next((w for w in _windows_before(history, parameters, since_s) if _is_straight(w)), None)
    if rose is None:
        return ""
    level, limit = float(history.usage.values[-1]), history.limit_bytes or 0
    return (
        f"stopped at {format_mib(level)} ({level / limit:.0%}) {humanize_duration(at_s - since_s)} ago, after "
        f"{format_rate(rose.trend.slope_bytes_per_s)} in a straight line: a cache that is full, or a leak that "
        "memory.high throttles (if container_memory_events_high_total rises)"
    )


def _flat_since_s(history: ContainerHistory, parameters: DetectionParameters, at_s: float) -> float:
    """Return the start of the flat line that ends now, from 90 % of the limit up to it; `at_s` without one."""
    limit, usage = history.limit_bytes or 0, history.usage.between(at_s - parameters.lookback_s, at_s)
    if not len(usage) or not THROTTLED_LIMIT_RATIO * limit <= usage.values[-1] < limit:
        return at_s
    start_s = max(usage.first_s, history.started_at_s) - 1.0
    bins = max(1, int((at_s - start_s) * BINS_PER_WINDOW / parameters.window_s))
    envelope = lower_envelope(usage, start_s, at_s, bins=bins)
    flat = np.abs(envelope.values_bytes - envelope.values_bytes[-1]) <= FLAT_LIMIT_RATIO * limit
    before = np.flatnonzero(~flat)
    return float(envelope.times_s[before[-1]]) if before.size else at_s


def _windows_before(history: ContainerHistory, parameters: DetectionParameters, at_s: float) -> list[TrendWindow]:
    """Return the windows that end where the flat line begins."""
    known = history.as_of(at_s)
    return [TrendWindow(known, parameters, window_s, at_s) for window_s in parameters.windows_s]


def _is_straight(window: TrendWindow) -> bool:
    """Return whether the window has the shape of a leak that does not slow down at all."""
    if window.insufficient_data or any(check.failure(window) is not None for check in SHAPE_CHECKS):
        return False
    return window.trend.last_to_first_third_ratio >= MIN_STRAIGHT_RATIO
