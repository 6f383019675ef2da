"""Trend of the long history, without the daily pattern.

Takes the minima of long steps, returns a lower envelope whose daily pattern is removed. The slope that it is removed
with is the seasonal one: Hirsch, Slack and Smith, "Techniques of trend analysis for monthly water quality data", Water
Resources Research 18 (1982): the median of the slopes of all pairs of the same season, here the same hour of different
days. A load that repeats each day does not change it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.lower_envelope import LowerEnvelope, lower_envelope
from memroll.detection.series import Series
from memroll.detection.trend import pairwise_slopes

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_CORRELATION = 0.5
"""Minimum median correlation of a day with the day before for the two to share a pattern. Chosen by hand."""
MIN_COMMON_HOURS = 6
"""Minimum number of hours that two days have in common. Chosen by hand."""
MIN_DAYS = 2
"""Minimum number of days for a daily pattern to be removed: with fewer, each hour has one value only."""


def seasonal_envelope(minima: Series, start_s: float, end_s: float, day_s: float, bins: int) -> LowerEnvelope:
    """Return the lower envelope of the minima in (start_s, end_s], without their daily pattern."""
    inside = minima.between(start_s, end_s)
    return lower_envelope(without_daily_pattern(inside, day_s), start_s, end_s, bins=bins)


def without_daily_pattern(minima: Series, day_s: float) -> Series:
    """Return the series without the pattern that repeats each day; unchanged if it is too short to have one."""
    if len(minima) < 2 or (minima.last_s - minima.first_s) < (MIN_DAYS - 0.5) * day_s:  # noqa: PLR2004 - a pair
        return minima
    slope, hours = seasonal_slope(minima, day_s), _hours(minima, day_s)
    if slope is None or not _repeats(minima, hours, day_s):
        return minima
    level = minima.values - slope * (minima.times_s - minima.times_s[0])
    pattern = np.zeros(_count(minima, day_s))
    for hour in np.unique(hours):
        pattern[hour] = np.median(level[hours == hour])
    return Series(minima.times_s, minima.values - (pattern[hours] - np.median(level)))


def _repeats(minima: Series, hours: NDArray[np.intp], day_s: float) -> bool:
    """Return whether each day looks like the one before, by the median of their correlations. A step is no pattern."""
    day = np.floor(minima.times_s / day_s).astype(np.intp)
    grid = np.full((day[-1] - day[0] + 1, hours.max() + 1), np.nan)
    grid[day - day[0], hours] = minima.values
    found = []
    for before, after in pairwise(grid):
        both = np.isfinite(before) & np.isfinite(after)
        if np.count_nonzero(both) >= MIN_COMMON_HOURS and np.ptp(before[both]) > 0 and np.ptp(after[both]) > 0:
            found.append(float(np.corrcoef(before[both], after[both])[0, 1]))
    return bool(found) and float(np.median(found)) >= MIN_CORRELATION


def seasonal_slope(minima: Series, day_s: float) -> float | None:
    """Return the median slope of all pairs of the same hour, in bytes per second; None without such a pair."""
    hours = _hours(minima, day_s)
    of_hours = (hours == hour for hour in np.unique(hours))
    slopes = [pairwise_slopes(LowerEnvelope(minima.times_s[some], minima.values[some])) for some in of_hours]
    all_slopes = np.concatenate(slopes)
    return float(np.median(all_slopes)) if all_slopes.size else None


def _count(minima: Series, day_s: float) -> int:
    """Return the number of steps in a day."""
    return max(1, round(day_s / minima.spacing_s))


def _hours(minima: Series, day_s: float) -> NDArray[np.intp]:
    """Return the step of the day of each minimum, from 0."""
    count = _count(minima, day_s)
    return np.asarray(np.floor((minima.times_s % day_s) / day_s * count + 0.5), dtype=np.intp) % count
