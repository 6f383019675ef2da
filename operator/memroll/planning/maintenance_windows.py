"""Open intervals of a policy's maintenance windows. Pure.

`open_intervals` converts `roll.maintenanceWindows` into intervals in UTC; the gates and the schedule read them.
A window refers to the local time of its time zone, as a clock there shows it. An hour that is skipped when daylight
saving time begins is in no window; an hour that occurs twice when it ends is in its window both times.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memroll.api.roll_spec import MaintenanceWindows, WeeklyWindow

HORIZON = timedelta(days=15)
"""Period ahead for which intervals are calculated. Two weeks: a weekly window that falls into a skipped hour opens
again only the week after."""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Names of the days, by the number that `datetime.weekday` returns."""
DAY_MINUTES = 24 * 60
"""Length of a day without a clock change, in minutes."""
CLOCK_CHANGE_STEP = timedelta(hours=6)
"""Step of the search for clock changes: at most one happens within it."""
FOREVER = datetime.max.replace(tzinfo=UTC)
"""End of an interval that does not end within the horizon."""
MAX_AHEAD_S = 10 * 365 * 86_400.0
"""Maximum time ahead that is scheduled, in seconds: flat slopes reach their limit beyond the range of datetime."""

Interval = tuple[datetime, datetime]
"""Start (inclusive) and end (exclusive) of an open time."""


class InvalidWindowsError(ValueError):
    """Maintenance windows that can't be interpreted, for example for lack of a time zone: no time is open."""


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """Window on certain days of the week, in minutes since the midnight at which its day begins.

    `end` is exclusive; a window over midnight ends after `DAY_MINUTES`.
    """

    days: frozenset[int]
    start: int
    end: int

    def contains(self, weekday: int, minute: int) -> bool:
        """Return whether it is open at this minute of the day; it may have begun the day before."""
        began_today = weekday in self.days and self.start <= minute < self.end
        began_yesterday = (weekday - 1) % 7 in self.days and self.start <= minute + DAY_MINUTES < self.end
        return began_today or began_yesterday


@dataclass(frozen=True, slots=True)
class WindowCalendar:
    """All windows of a policy, with their time zone."""

    zone: tzinfo
    allow: tuple[DailyWindow, ...]
    deny: tuple[DailyWindow, ...]

    def is_open(self, at: datetime) -> bool:
        """Return whether pods may be rolled at a time; `deny` wins, and an empty `allow` means always."""
        local = at.astimezone(self.zone)
        weekday, minute = local.weekday(), local.hour * 60 + local.minute
        if any(window.contains(weekday, minute) for window in self.deny):
            return False
        return not self.allow or any(window.contains(weekday, minute) for window in self.allow)

    def intervals(self, since: datetime, until: datetime) -> Iterator[Interval]:
        """Yield the open intervals between two times, in order."""
        edges = sorted({since, until, *(e for e in self._edges(since, until) if since < e < until)})
        opened: datetime | None = None
        for edge in edges[:-1]:
            if self.is_open(edge):
                opened = opened or edge
            elif opened is not None:
                yield opened, edge
                opened = None
        if opened is not None:
            yield opened, until

    def _edges(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """Yield every time at which a window may open or close, unsorted; at some of them none does."""
        yield from _clock_changes(self.zone, since, until)
        windows = (*self.allow, *self.deny)
        minutes = {0, *(m % DAY_MINUTES for window in windows for m in (window.start, window.end))}
        for day in _dates(since.astimezone(self.zone).date(), until.astimezone(self.zone).date()):
            midnight = datetime(day.year, day.month, day.day, tzinfo=self.zone)
            for minute in minutes:
                local = midnight + timedelta(minutes=minute)
                yield local.astimezone(UTC)
                yield local.replace(fold=1).astimezone(UTC)


@lru_cache(maxsize=256)
def read_calendar(windows: MaintenanceWindows) -> WindowCalendar:
    """Convert a policy's windows. Raises InvalidWindowsError."""
    try:
        zone = ZoneInfo(windows.time_zone)
        allow, deny = tuple(map(_read_window, windows.allow)), tuple(map(_read_window, windows.deny))
    except (KeyError, ValueError, OSError) as error:
        raise InvalidWindowsError(f"maintenanceWindows can't be read: {error}") from error
    return WindowCalendar(zone, allow, deny)


@dataclass(frozen=True, slots=True)
class OpenIntervals:
    """Intervals in which pods may be rolled, from `now` to the horizon, in order."""

    now: datetime
    intervals: tuple[Interval, ...]
    has_windows: bool = True
    """False if the policy has no windows: any time is open."""
    error: str = ""
    """Reason why the windows can't be interpreted; then no time is open."""

    @property
    def is_open(self) -> bool:
        return bool(self.intervals) and self.intervals[0][0] <= self.now

    @property
    def closes(self) -> datetime | None:
        """End of the current interval; None if none is open, or if it does not end."""
        return self.intervals[0][1] if self.is_open and self.intervals[0][1] != FOREVER else None

    @property
    def opens(self) -> datetime | None:
        """Start of the next interval, without the current one; None: never."""
        following = self.intervals[1:] if self.is_open else self.intervals
        return following[0][0] if following else None

    def earliest_open(self, at: datetime) -> datetime | None:
        """Return the first open time from `at`; None: there is none. A time beyond the horizon is returned as it is."""
        if at >= self.now + HORIZON and self.intervals:
            return at
        return next((max(start, at) for start, end in self.intervals if end > at), None)

    def latest_open(self, at: datetime) -> datetime | None:
        """Return the last open time up to `at`, the end of an interval included. None: there is none from now on.

        A time beyond the horizon is returned as it is; it is checked again when it is nearer.
        """
        if at >= self.now + HORIZON:
            return at
        return max((min(end, at) for start, end in self.intervals if start <= at), default=None)


@lru_cache(maxsize=64)
def open_intervals(windows: MaintenanceWindows | None, now: datetime) -> OpenIntervals:
    """Return the intervals in which pods may be rolled; windows that can't be interpreted allow none."""
    if windows is None:
        return OpenIntervals(now, ((now, FOREVER),), has_windows=False)
    until = now + HORIZON
    try:
        intervals = tuple(read_calendar(windows).intervals(now, until))
    except InvalidWindowsError as error:
        return OpenIntervals(now, (), error=str(error))
    return OpenIntervals(now, tuple((start, FOREVER if end == until else end) for start, end in intervals))


def _read_window(window: WeeklyWindow) -> DailyWindow:
    start, end = _read_minutes(window.start), _read_minutes(window.end)
    days = frozenset(day for part in window.days for day in _read_days(part)) if window.days else frozenset(range(7))
    return DailyWindow(days, start, end if end > start else end + DAY_MINUTES)


def _read_minutes(time_of_day: str) -> int:
    hours, minutes = time_of_day.split(":")
    return int(hours) * 60 + int(minutes)


def _read_days(part: str) -> Iterator[int]:
    """Yield the days of `sat`, or of a range such as `fri-mon`, which may extend over the end of the week."""
    first, _, last = part.partition("-")
    start = DAYS.index(first)
    for i in range((DAYS.index(last or first) - start) % 7 + 1):
        yield (start + i) % 7


def _dates(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=i) for i in range((last - first).days + 1))


def _clock_changes(zone: tzinfo, since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the times at which the zone's offset from UTC changes, to the second."""
    start, steps = since.astimezone(UTC).replace(microsecond=0), int((until - since) / CLOCK_CHANGE_STEP) + 1
    for before, after in pairwise(start + i * CLOCK_CHANGE_STEP for i in range(steps + 1)):
        old, low, high = _utc_offset(zone, before), 0, int(CLOCK_CHANGE_STEP.total_seconds())
        if _utc_offset(zone, after) == old:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            unchanged = _utc_offset(zone, before + timedelta(seconds=middle)) == old
            low, high = (middle, high) if unchanged else (low, middle)
        yield before + timedelta(seconds=high)


def _utc_offset(zone: tzinfo, at: datetime) -> timedelta | None:
    return at.astimezone(zone).utcoffset()
