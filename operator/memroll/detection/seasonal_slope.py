"""Trend of the long history, without the daily pattern.

Takes the minima of long steps, returns a lower envelope whose daily pattern is removed. The slope that it is removed
with is the seasonal one: Hirsch, Slack and Smith, "Techniques of trend analysis for monthly water quality data", Water
Resources Research 18 (1982): the median of the slopes of all pairs of the same season, here the same hour of different
days. A load that repeats each day does not change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.lower_envelope import lower_envelope
from memroll.detection.series import Series
from memroll.detection.trend import pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.lower_envelope import LowerEnvelope

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
    days = Days.of(minima, day_s)
    slope = days.slope()
    if slope is None or not days.repeat():
        return minima
    level = days.values - slope * (days.times_s - minima.first_s)
    pattern = medians(level) - np.median(level[np.isfinite(level)])
    return Series(minima.times_s, minima.values - pattern[days.hours])


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Minima by day and step of the day: shape (days, steps in a day), NaN where there is none."""

    times_s: NDArray[np.float64]
    values: NDArray[np.float64]
    hours: NDArray[np.intp]
    """Step of the day of each minimum, from 0: shape (n,)."""

    @classmethod
    def of(cls, minima: Series, day_s: float) -> Days:
        """Arrange minima, of which there are two or more."""
        count = max(1, round(day_s / float(np.diff(minima.times_s).min())))
        step = np.floor(minima.times_s / day_s * count + 0.5).astype(np.intp)
        day, hours = np.divmod(step, count)
        times = np.full((day[-1] - day[0] + 1, count), np.nan)
        values = times.copy()
        times[day - day[0], hours], values[day - day[0], hours] = minima.times_s, minima.values
        return cls(times, values, hours)

    def slope(self) -> float | None:
        """Return the median slope of all pairs of the same step of the day; None without such a pair."""
        older, newer = pairs(len(self.values))
        slopes = (self.values[newer] - self.values[older]) / (self.times_s[newer] - self.times_s[older])
        known = slopes[np.isfinite(slopes)]
        return float(np.median(known)) if known.size else None

    def repeat(self) -> bool:
        """Return whether each day looks like the one before, by the median of their correlations.

        A step is no pattern.
        """
        before, after = self.values[:-1], self.values[1:]
        both = np.isfinite(before) & np.isfinite(after)
        enough = np.count_nonzero(both, axis=1) >= MIN_COMMON_HOURS
        before, after, both = before[enough], after[enough], both[enough]
        deviations = [v - v.mean(axis=1, where=both, keepdims=True) for v in (before, after)]
        (xx, yy), xy = ((d * d).sum(axis=1, where=both) for d in deviations), np.multiply(*deviations)
        varies = (xx > 0) & (yy > 0)
        correlations = xy.sum(axis=1, where=both)[varies] / np.sqrt(xx[varies] * yy[varies])
        return bool(correlations.size) and float(np.median(correlations)) >= MIN_CORRELATION


def medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each column without its NaNs; NaN for a column of them. Shape (columns,)."""
    ascending, columns = np.sort(values, axis=0), np.arange(values.shape[1])
    count = np.count_nonzero(np.isfinite(values), axis=0)
    lower = ascending[np.maximum(count - 1, 0) // 2, columns]
    return np.asarray((lower + ascending[np.minimum(count // 2, len(values) - 1), columns]) / 2)
