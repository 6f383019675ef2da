"""How long a climb has lasted, and whether it has come to a halt.

A leak that brings a container to its limit within so many hours has been climbing for hours, too: the time left counts
for as much as the time it took. A ramp of load that took half an hour says nothing about the next two hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.lower_envelope import floor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import Rule, Subject

BINS_PER_WINDOW = 72
LEVEL_BINS = 4
LOWER_SHARE = 0.15
LOW_SHARE = 0.25
STEP_SHARE = 0.02
LATE_SHARE = 0.5
"""What took half of the last window or more to climb through it has climbed for longer than the window."""


@dataclass(frozen=True, slots=True)
class Climb:
    """The climb to the present floor. Bytes and seconds.

    It is measured from the lowest floor of the last window; where it filled half of that window and more, from the
    lowest of the past day. A burst on top of an old rise has lasted for as long as the burst.
    """

    level_bytes: float
    """The present floor."""
    lasted_s: float
    """Since it left the lowest quarter of the climb."""
    began_s: float
    """Since it left the lowest 15 % of the climb: longer, and less sure."""
    past_high_bytes: float
    """The highest floor before the last two windows; 0 when nothing is known of that time."""
    past_peak_bytes: float
    """The highest usage in that time."""
    stall_s: float
    """Since the floor last made a new high."""
    stall_most_s: float
    """The longest that this climb paused within the last window before that."""


def climb(subject: Subject, rule: Rule, at_s: float) -> Climb | None:
    """Measure the climb that goes on at `at_s`; None with fewer than two samples."""
    seen = subject.rss.between(at_s - rule.lookback_s, at_s)
    width_s = max(rule.window_s / BINS_PER_WINDOW, seen.spacing_s)
    if not np.isfinite(width_s):
        return None
    bins = max(LEVEL_BINS, int((at_s - seen.first_s) / width_s) + 1)
    points = floor(seen, at_s - bins * width_s, at_s, bins=bins)
    times, values = points.times_s + width_s / 2, points.values_bytes
    past = values[times <= at_s - 2 * rule.window_s]
    earlier = subject.working_set.between(at_s - rule.lookback_s, at_s - 2 * rule.window_s)
    late, day = (times > times[-1] - back_s for back_s in (rule.window_s, rule.day_s))
    lasted_s, began_s = _lasted_s(times[late], values[late], at_s)
    if lasted_s >= LATE_SHARE * (at_s - times[late][0]):
        lasted_s, began_s = _lasted_s(times[day], values[day], at_s)
    highs_s = _highs_s(times[late], values[late])
    pauses_s = np.diff(highs_s[highs_s >= at_s - began_s])
    return Climb(
        level_bytes=float(values[-LEVEL_BINS:].min()),
        lasted_s=lasted_s,
        began_s=began_s,
        past_high_bytes=float(past.max()) if past.size else 0.0,
        past_peak_bytes=float(earlier.values.max()) if len(earlier) else 0.0,
        stall_s=at_s - float(highs_s[-1]),
        stall_most_s=float(pauses_s.max()) if pauses_s.size else 0.0,
    )


def _lasted_s(times: NDArray[np.float64], values: NDArray[np.float64], at_s: float) -> tuple[float, float]:
    """Return the times since it left the lowest quarter, and the lowest 15 %, of the climb within these points."""
    level, base = float(values[-LEVEL_BINS:].min()), float(values.min())
    left = (np.flatnonzero(values <= base + share * (level - base)) for share in (LOW_SHARE, LOWER_SHARE))
    lasted_s, began_s = (at_s - float(times[under[-1]]) for under in left)
    return lasted_s, began_s


def _highs_s(times: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return when it made a new high that stands out, by a share of its range: noise on a plateau makes none."""
    step = STEP_SHARE * float(np.ptp(values))
    highs, top = [times[0]], float(values[0])
    for at_s, value in zip(times[1:].tolist(), values[1:].tolist(), strict=True):
        if value > top + step:
            highs.append(at_s)
            top = value
    return np.array(highs)
