"""Long history of a container: extremes of long steps, for leaks that take days to reach their limit.

Prometheus computes them for the operator (`min_over_time` and `max_over_time` over steps that end at multiples of the
step); the backtest computes them here, from the samples. Takes an RSS, returns its minima and maxima.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.series import EMPTY, Series

if TYPE_CHECKING:
    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters

MIN_LONG_USAGE_RATIO = 0.6
"""Minimum ratio of the usage to the limit for the long history to be read (design note 0023)."""


def needs_long_history(usage_bytes: float, limit_bytes: int | None) -> bool:
    """Return whether a container is so near its limit that it is assessed with its long history."""
    return limit_bytes is not None and usage_bytes >= MIN_LONG_USAGE_RATIO * limit_bytes


def step_extremes(rss: Series, step_s: float) -> tuple[Series, Series]:
    """Return the minimum and the maximum of each complete step with samples.

    A step is half-open, (end - step_s, end], its end a multiple of `step_s`, as Prometheus evaluates a range query.
    """
    if not len(rss):
        return EMPTY, EMPTY
    step = np.ceil(rss.times_s / step_s)
    first = np.flatnonzero(np.diff(step, prepend=-np.inf))
    ends = step[first] * step_s
    minima, maxima = (f.reduceat(rss.values, first) for f in (np.minimum, np.maximum))
    complete = ends <= rss.last_s
    return Series(ends[complete], minima[complete]), Series(ends[complete], maxima[complete])


def with_long_history(history: ContainerHistory, step_s: float) -> ContainerHistory:
    """Return the history with the minima and maxima of all its samples."""
    minima, maxima = step_extremes(history.rss, step_s)
    return replace(history, minima=minima, maxima=maxima)


def long_history_at(history: ContainerHistory, parameters: DetectionParameters, now_s: float) -> ContainerHistory:
    """Return the history with as much of its long part as the operator would read at `now_s`."""
    start_s = now_s - parameters.long_lookback_s
    minima, maxima = (series.between(start_s, now_s) for series in (history.minima, history.maxima))
    return replace(history, minima=minima, maxima=maxima)
