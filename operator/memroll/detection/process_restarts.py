"""Restarts of a process inside a container: a worker that is killed or recycled frees its memory at once.

Takes a container's history, returns it split at the restarts. The container continues to run and Kubernetes sees
nothing, but the series has a level drop. What comes after it is the lifetime of a new process, with its own warm-up;
what came before counts as an earlier instance.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.samples import TICK_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters

MAX_REMAINING_RATIO = 0.6
"""Maximum ratio of the level after a restart to the lowest level of the third of a window before it.

A smaller fall is a garbage collection. Chosen on the design set of `make bench-detect`.
"""
MAX_DROP_WINDOWS = 1 / 72
"""Maximum duration of a level drop, in windows: 5 min of 6 h. Chosen by hand."""
MAX_DROP_SPACINGS = 3.0
"""Maximum duration of a level drop, in sample spacings, if these are longer. Chosen by hand."""


def process_lifetimes(
    history: ContainerHistory, parameters: DetectionParameters, step_s: float = 0.0
) -> tuple[ContainerHistory, ...]:
    """Split an instance at its process restarts, oldest lifetime first. The last one is the running one.

    `step_s`: length of the steps whose minima the samples are, in seconds; 0 for samples as they were scraped.
    """
    cuts = restarts_s(history, parameters, step_s)
    if not cuts:
        return (history,)
    # The OOM kill counter rises with the scrape after the level drop: the kill belongs to the lifetime that it ended.
    delay_s = _max_drop_s(history, parameters, step_s) + step_s
    lifetimes = []
    for start_s, end_s in pairwise((-np.inf, *cuts, np.inf)):
        kills = tuple(t for t in history.oom_kills_s if start_s + delay_s < t <= end_s + delay_s)
        lifetimes.append(replace(history.between(start_s, end_s), oom_kills_s=kills))
    return tuple(lifetimes)


def _max_drop_s(history: ContainerHistory, parameters: DetectionParameters, step_s: float) -> float:
    """Return the maximum duration of a level drop, in seconds; that of minima is one step."""
    spacing_s = history.rss.spacing_s
    shortest_s = max(MAX_DROP_WINDOWS * parameters.window_s, step_s)
    return shortest_s if spacing_s <= step_s + TICK_S else max(shortest_s, MAX_DROP_SPACINGS * spacing_s)


def restarts_s(history: ContainerHistory, parameters: DetectionParameters, step_s: float = 0.0) -> tuple[float, ...]:
    """Return the times of the last samples before each process restart."""
    times, values = history.rss.times_s, history.rss.values
    if not np.isfinite(history.rss.spacing_s):
        return ()  # fewer than two samples
    max_drop_s = _max_drop_s(history, parameters, step_s) + TICK_S
    later = np.minimum(np.searchsorted(times, times + max_drop_s, side="right") - 1, times.size - 1)
    drops = np.flatnonzero(values[later] < MAX_REMAINING_RATIO * values)
    found: list[float] = []
    for i in drops.tolist():
        since_s = max(times[i] - parameters.window_s / 3, found[-1] if found else -np.inf)
        first = int(np.searchsorted(times, since_s, side="right"))
        if times[i] - times[first] < MAX_DROP_WINDOWS * parameters.window_s:
            continue  # too short a lifetime to have a level
        if values[later[i]] < MAX_REMAINING_RATIO * values[first : i + 1].min():
            found.append(_before_steepest_fall_s(times, values, i, int(later[i])))
    return tuple(found)


def _before_steepest_fall_s(times: NDArray[np.float64], values: NDArray[np.float64], first: int, last: int) -> float:
    """Return the time of the sample before the steepest fall between two samples."""
    return float(times[first + int(np.argmin(np.diff(values[first : last + 1])))])
