"""RESIN's detector for one container: usage in buckets, and the time spent in each bucket.

After Lou et al., "RESIN", OSDI 2022, which counts hosts in each bucket; for one container, time is counted instead. A
window is a leak if memory grows in it and if it spent unusually more of its time in the high buckets than the
container's earlier windows. Bucket width and minimum time are chosen by hand: the paper's values are not public.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.prefilter import least_squares_slopes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters

BUCKET_RATIO = 0.025
"""Width of a bucket as a ratio of the limit."""
MIN_TIME_RATIO = 1 / 3
"""Minimum ratio of the window that usage must be in the bucket or above."""
SIGMAS = 3.0
"""Number of standard deviations above the mean of earlier windows, from the paper."""
MIN_HISTORY_WINDOWS = 4
"""Minimum number of earlier windows compared with: a day, if a window has 6 h; chosen by hand."""
MAX_HISTORY_WINDOWS = 28
"""Maximum number of earlier windows compared with: a week, if a window has 6 h."""


def resin_alerts(
    history: ContainerHistory, parameters: DetectionParameters, times_s: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return, for each time, whether the detector alerts."""
    growing = least_squares_slopes(history.rss, parameters.window_s, times_s) > (
        parameters.threshold_bytes_per_s or 0.0
    )
    if not growing.any():
        return growing
    windows = _windows(history, parameters.window_s, times_s)
    alerts = np.zeros(times_s.size, dtype=np.bool_)
    for level in np.arange(BUCKET_RATIO, 1.0, BUCKET_RATIO) * (history.limit_bytes or 0):
        if level <= history.rss.values.max():
            alerts |= _is_unusual(windows.time_ratios(history.rss.values >= level))
    return alerts & growing


@dataclass(frozen=True, slots=True)
class _Windows:
    """Window at each time and the windows before it, as sample indices of shape (times, MAX_HISTORY_WINDOWS + 1)."""

    first: NDArray[np.intp]
    end: NDArray[np.intp]
    known: NDArray[np.bool_]

    def time_ratios(self, selected: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the ratio of selected samples in each window; NaN where the window is not known."""
        total = np.concatenate(([0], np.cumsum(selected)))
        ratios = (total[self.end] - total[self.first]) / np.maximum(self.end - self.first, 1)
        return np.where(self.known, ratios, np.nan)


def _windows(history: ContainerHistory, window_s: float, times_s: NDArray[np.float64]) -> _Windows:
    """Return the windows at each time; a window that begins before the container's start is not known."""
    ends_s = times_s[:, None] - window_s * np.arange(MAX_HISTORY_WINDOWS + 1)
    first = np.searchsorted(history.rss.times_s, ends_s - window_s, side="right")
    end = np.searchsorted(history.rss.times_s, ends_s, side="right")
    return _Windows(first, end, (end > first) & (ends_s - window_s >= history.started_at_s))


def _is_unusual(ratios: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether the newest window spent unusually long in these buckets, compared with earlier windows."""
    now, past = ratios[:, 0], ratios[:, 1:]
    known = np.isfinite(past)
    count = known.sum(axis=1)
    divisor = np.maximum(count, 1)
    mean = np.where(known, past, 0.0).sum(axis=1) / divisor
    sigma = np.sqrt(np.where(known, (past - mean[:, None]) ** 2, 0.0).sum(axis=1) / divisor)
    return np.asarray((count >= MIN_HISTORY_WINDOWS) & (now >= MIN_TIME_RATIO) & (now > mean + SIGMAS * sigma))
