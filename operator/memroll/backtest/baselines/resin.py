"""RESIN's pivot, cut down to one container: usage in buckets, and how long each bucket was filled.

After Lou et al., "RESIN", OSDI 2022, which counts hosts in each bucket; with one container time is counted instead. A
window that spends more of its time in the high buckets than the container's earlier windows ever made likely, and that
climbs, is a leak. Bucket width and least share are ours: the paper's are not public.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.prefilter import slopes_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import Rule, Subject

BUCKET_SHARE = 0.025
"""Of the limit."""
SHARE_MIN = 1 / 3
"""How much of the window must be in the bucket or above."""
SIGMAS = 3.0
HISTORY_MIN = 4
HISTORY_MAX = 28
"""Windows; a week of 6 h."""


def resin(subject: Subject, rule: Rule, looks_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    growing = slopes_at(subject.rss, rule.window_s, looks_s) > (rule.threshold_bytes_per_s or 0.0)
    if not growing.any():
        return growing
    windows = _windows(subject, rule.window_s, looks_s)
    alarms = np.zeros(looks_s.size, dtype=np.bool_)
    for level in np.arange(BUCKET_SHARE, 1.0, BUCKET_SHARE) * (subject.limit_bytes or 0):
        if level <= subject.rss.values.max():
            alarms |= _unusual(windows.shares(subject.rss.values >= level))
    return alarms & growing


@dataclass(frozen=True, slots=True)
class _Windows:
    """Of each look its own window and those before it, as indices of samples: shape (looks, HISTORY_MAX + 1)."""

    first: NDArray[np.intp]
    end: NDArray[np.intp]
    known: NDArray[np.bool_]

    def shares(self, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the share of each window's samples that are chosen; NaN where the window is not known."""
        total = np.concatenate(([0], np.cumsum(chosen)))
        shares = (total[self.end] - total[self.first]) / np.maximum(self.end - self.first, 1)
        return np.where(self.known, shares, np.nan)


def _windows(subject: Subject, window_s: float, looks_s: NDArray[np.float64]) -> _Windows:
    """Windows that reach back before the start are not known."""
    ends_s = looks_s[:, None] - window_s * np.arange(HISTORY_MAX + 1)
    first = np.searchsorted(subject.rss.times_s, ends_s - window_s, side="right")
    end = np.searchsorted(subject.rss.times_s, ends_s, side="right")
    return _Windows(first, end, (end > first) & (ends_s - window_s >= subject.started_at_s))


def _unusual(shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each look's window was in these buckets for unusually long."""
    now, past = shares[:, 0], shares[:, 1:]
    known = np.isfinite(past)
    count = known.sum(axis=1)
    divisor = np.maximum(count, 1)
    mean = np.where(known, past, 0.0).sum(axis=1) / divisor
    sigma = np.sqrt(np.where(known, (past - mean[:, None]) ** 2, 0.0).sum(axis=1) / divisor)
    return np.asarray((count >= HISTORY_MIN) & (now >= SHARE_MIN) & (now > mean + SIGMAS * sigma))
