"""Format times for the reader of a page: of the clock in a named zone, and ages. Called by the reports and plots."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from memroll.api.base import rfc3339
from memroll.api.quantity import humanize_duration

MIN_EPOCH_S = 1e9
"""Minimum number of seconds that is a time of the clock: September 2001. A lower one is on a clock of its own."""
MIN_SHOWN_DAYS = 3
"""Minimum age in days that is shown in days. Chosen by hand."""

Instant = datetime | float
"""Time, or seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class ShownTime:
    """Time as a page shows it."""

    text: str
    """Day and time, such as "Sun 1 Mar 11:45"."""
    zone: str
    machine: str
    """The same time for programs, as in the attribute `datetime`."""


@dataclass(frozen=True, slots=True)
class PageClock:
    """Zone in which a page shows its times."""

    zone: tzinfo = UTC

    def show(self, at: Instant | None) -> ShownTime | None:
        """Return a time as the page shows it; None for one that is not of the clock."""
        local = self._local(at)
        if local is None:
            return None
        return ShownTime(f"{local:%a} {local.day} {local:%b} {local:%H:%M}", f"{local:%Z}", rfc3339(local))

    def tick(self, at: Instant) -> tuple[str, ...]:
        """Return the lines below a tick of an axis, day and time; nothing for a time that is not of the clock."""
        local = self._local(at)
        return () if local is None else (f"{local.day} {local:%b}", f"{local:%H:%M}")

    def zone_at(self, at: Instant) -> str:
        """Return the name of the zone; an empty text for a time that is not of the clock."""
        local = self._local(at)
        return "" if local is None else f"{local:%Z}"

    def period(self, start: Instant, end: Instant) -> str:
        """Return the days from start to end and the zone; an empty text if they are not of the clock."""
        first, last = self._local(start), self._local(end)
        if first is None or last is None:
            return ""
        days = dict.fromkeys(f"{day.day} {day:%b} {day:%Y}" for day in (first, last))
        return f"{' to '.join(days)} ({last:%Z})"

    def _local(self, at: Instant | None) -> datetime | None:
        if at is None:
            return None
        if isinstance(at, datetime):
            return at.astimezone(self.zone)
        return datetime.fromtimestamp(at, self.zone) if at >= MIN_EPOCH_S else None


def ago(at: datetime, now: datetime) -> str:
    """Return the age of a time, such as "2h5m ago" or "19 days ago"."""
    age = now - at
    return f"{age.days} days ago" if age.days >= MIN_SHOWN_DAYS else f"{humanize_duration(age.total_seconds())} ago"
