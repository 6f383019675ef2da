"""The lives inside one container: a worker process that is killed or recycled takes its memory along.

The container lives on and Kubernetes sees nothing; in the series stands a cliff. What comes after it is a new life,
with a warm-up of its own, and what came before belongs to an earlier one.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import Rule, Subject

KEPT_SHARE = 0.6
"""A fall to less than this share of the lowest level of a third of a window is a cliff, not a collection."""
CLIFF_SHARE_OF_WINDOW = 1 / 72
SPACINGS = 3.0


def lives(subject: Subject, rule: Rule) -> tuple[Subject, ...]:
    """Split an instance at its cliffs, oldest life first. The last one is the one that runs."""
    cuts = cliffs_s(subject, rule)
    if not cuts:
        return (subject,)
    # The counter of kills rises with the scrape after the cliff: the kill belongs to the life that it ended.
    late_s = _within_s(subject, rule)
    found = []
    for start_s, end_s in pairwise((-np.inf, *cuts, np.inf)):
        ended_by = tuple(t for t in subject.ooms_s if start_s + late_s < t <= end_s + late_s)
        found.append(replace(subject.between(start_s, end_s), ooms_s=ended_by))
    return tuple(found)


def _within_s(subject: Subject, rule: Rule) -> float:
    """Return how long a cliff takes at the most, in seconds."""
    return max(CLIFF_SHARE_OF_WINDOW * rule.window_s, SPACINGS * subject.rss.spacing_s)


def cliffs_s(subject: Subject, rule: Rule) -> tuple[float, ...]:
    """Return the times of the last samples before each cliff."""
    times, values = subject.rss.times_s, subject.rss.values
    if not np.isfinite(subject.rss.spacing_s):
        return ()  # a sample or none
    later = np.minimum(np.searchsorted(times, times + _within_s(subject, rule), side="right") - 1, times.size - 1)
    falls = np.flatnonzero(values[later] < KEPT_SHARE * values)
    found: list[float] = []
    for i in falls.tolist():
        since_s = max(times[i] - rule.window_s / 3, found[-1] if found else -np.inf)
        first = int(np.searchsorted(times, since_s, side="right"))
        if times[i] - times[first] < CLIFF_SHARE_OF_WINDOW * rule.window_s:
            continue  # too short a life to have a level
        if values[later[i]] < KEPT_SHARE * values[first : i + 1].min():
            found.append(_edge_s(times, values, i, int(later[i])))
    return tuple(found)


def _edge_s(times: NDArray[np.float64], values: NDArray[np.float64], first: int, last: int) -> float:
    """Return the time of the sample before the steepest fall between two samples."""
    return float(times[first + int(np.argmin(np.diff(values[first : last + 1])))])
