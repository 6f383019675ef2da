"""When a policy's windows are open. Pure.

A window is read off the clock on the wall of its time zone, so that whoever looks at that clock can tell whether it is
open. An hour that the clock skips is in no window; an hour that it shows twice is in its window both times.
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

    from memroll.api.roll_spec import Window, Windows

HORIZON = timedelta(days=15)
"""Windows come back every week; one that falls into a skipped hour the week after."""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
JUMP_STEP = timedelta(hours=6)
"""Clocks are not changed twice within so long."""
EVER = datetime.max.replace(tzinfo=UTC)

Span = tuple[datetime, datetime]


class UnreadableError(ValueError):
    """These windows can't be understood here: hold."""


@dataclass(frozen=True, slots=True)
class Hours:
    """One window in numbers: minutes from the midnight with which its day begins, `end` not among them."""

    days: frozenset[int]
    start: int
    end: int

    def hold(self, weekday: int, minute: int) -> bool:
        """Whether it is open at this minute of the day; it may have begun the day before."""
        began_today = weekday in self.days and self.start <= minute < self.end
        began_yesterday = (weekday - 1) % 7 in self.days and self.start <= minute + DAY_MINUTES < self.end
        return began_today or began_yesterday


@dataclass(frozen=True, slots=True)
class Calendar:
    """A policy's windows in numbers."""

    zone: tzinfo
    allow: tuple[Hours, ...]
    deny: tuple[Hours, ...]

    def is_open(self, at: datetime) -> bool:
        """Say what the clock on the wall says; `deny` wins, and no `allow` at all means always."""
        local = at.astimezone(self.zone)
        weekday, minute = local.weekday(), local.hour * 60 + local.minute
        if any(hours.hold(weekday, minute) for hours in self.deny):
            return False
        return not self.allow or any(hours.hold(weekday, minute) for hours in self.allow)

    def spans(self, since: datetime, until: datetime) -> Iterator[Span]:
        """Yield the open times between two moments, in order."""
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
        """Yield every moment at which a window may open or close, in no order; some are none."""
        yield from _jumps(self.zone, since, until)
        minutes = {0, *(m % DAY_MINUTES for hours in (*self.allow, *self.deny) for m in (hours.start, hours.end))}
        for day in _dates(since.astimezone(self.zone).date(), until.astimezone(self.zone).date()):
            midnight = datetime(day.year, day.month, day.day, tzinfo=self.zone)
            for minute in minutes:
                wall = midnight + timedelta(minutes=minute)
                yield wall.astimezone(UTC)
                yield wall.replace(fold=1).astimezone(UTC)


@lru_cache(maxsize=256)
def calendar_of(windows: Windows) -> Calendar:
    """Read a policy's windows. Raises UnreadableError."""
    try:
        zone = ZoneInfo(windows.time_zone)
        return Calendar(zone, tuple(map(_hours, windows.allow)), tuple(map(_hours, windows.deny)))
    except (KeyError, ValueError, OSError) as error:
        raise UnreadableError(f"windows can't be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Allowed:
    """The time in which pods may be rolled, from `now` on."""

    now: datetime
    spans: tuple[Span, ...]
    windowed: bool = True
    """Whether there are windows at all."""
    trouble: str = ""
    """Why nothing is known of it: then no time is allowed."""

    @property
    def is_open(self) -> bool:
        return bool(self.spans) and self.spans[0][0] <= self.now

    @property
    def closes(self) -> datetime | None:
        """When the window that is open now closes; None when none is open, or it never does."""
        return self.spans[0][1] if self.is_open and self.spans[0][1] != EVER else None

    @property
    def opens(self) -> datetime | None:
        """When the next window opens, the present one not counted; None: never."""
        following = self.spans[1:] if self.is_open else self.spans
        return following[0][0] if following else None

    def latest(self, at: datetime) -> datetime | None:
        """Return the last allowed moment up to `at`; the end of a window counts. None: there is none from now on.

        What lies beyond the horizon is asked again when it is nearer.
        """
        if at >= self.now + HORIZON:
            return at
        return max((min(end, at) for start, end in self.spans if start <= at), default=None)


@lru_cache(maxsize=64)
def allowed(windows: Windows | None, now: datetime) -> Allowed:
    """Return the time in which pods may be rolled; what can't be read allows none."""
    if windows is None:
        return Allowed(now, ((now, EVER),), windowed=False)
    until = now + HORIZON
    try:
        spans = tuple(calendar_of(windows).spans(now, until))
    except UnreadableError as trouble:
        return Allowed(now, (), trouble=str(trouble))
    return Allowed(now, tuple((start, EVER if end == until else end) for start, end in spans))


def _hours(window: Window) -> Hours:
    start, end = _minutes(window.start), _minutes(window.end)
    days = frozenset(day for part in window.days for day in _days(part)) if window.days else frozenset(range(7))
    return Hours(days, start, end if end > start else end + DAY_MINUTES)


def _minutes(time_of_day: str) -> int:
    hours, minutes = time_of_day.split(":")
    return int(hours) * 60 + int(minutes)


def _days(part: str) -> Iterator[int]:
    """Yield the days of `sat` or of `fri-mon`, which goes on over the end of the week."""
    first, _, last = part.partition("-")
    start = DAYS.index(first)
    for i in range((DAYS.index(last or first) - start) % 7 + 1):
        yield (start + i) % 7


def _dates(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=i) for i in range((last - first).days + 1))


def _jumps(zone: tzinfo, since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the moments at which the clock is changed, to the second."""
    start, steps = since.astimezone(UTC).replace(microsecond=0), int((until - since) / JUMP_STEP) + 1
    for before, after in pairwise(start + i * JUMP_STEP for i in range(steps + 1)):
        old, low, high = _offset(zone, before), 0, int(JUMP_STEP.total_seconds())
        if _offset(zone, after) == old:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset(zone, before + timedelta(seconds=middle)) == old else (low, middle)
        yield before + timedelta(seconds=high)


def _offset(zone: tzinfo, at: datetime) -> timedelta | None:
    return at.astimezone(zone).utcoffset()
