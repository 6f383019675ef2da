"""Maintenance windows compared to an oracle that walks minute by minute and uses dates and local times only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from memroll.api.roll_spec import MaintenanceWindows, WeeklyWindow, WhenLimitComesFirst
from memroll.planning.maintenance_windows import DAYS, open_intervals, read_calendar

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")
CHANGES = (
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
)
"""When clocks change: Berlin, New York, Lord Howe (by half an hour)."""
MINUTE = timedelta(minutes=1)

times_of_day = st.one_of(
    st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59)),
    st.builds("{:02d}:{:02d}".format, st.integers(0, 3), st.sampled_from([0, 15, 30, 45])),
    st.just("24:00"),
)
days = st.one_of(st.sampled_from(DAYS), st.builds("{}-{}".format, st.sampled_from(DAYS), st.sampled_from(DAYS)))
one = st.builds(WeeklyWindow, days=st.lists(days, max_size=3).map(tuple), start=times_of_day, end=times_of_day)
windows = st.builds(
    MaintenanceWindows,
    time_zone=st.sampled_from(ZONES),
    allow=st.lists(one, max_size=3).map(tuple),
    deny=st.lists(one, max_size=2).map(tuple),
    when_limit_comes_first=st.sampled_from(WhenLimitComesFirst),
)
moments = st.one_of(
    st.builds(lambda at, m: at + m * MINUTE, st.sampled_from(CHANGES), st.integers(-1500, 1500)),
    st.builds(lambda m: datetime(2026, 1, 1, tzinfo=UTC) + m * MINUTE, st.integers(0, 525_600)),
)
BOTH_CHANGES = MaintenanceWindows(time_zone="Europe/Berlin", allow=(WeeklyWindow(start="01:00", end="05:00"),))
SKIPPED = MaintenanceWindows(
    time_zone="Europe/Berlin", allow=(WeeklyWindow(days=("sun",), start="02:00", end="02:30"),)
)


def days_of(window: WeeklyWindow) -> set[str]:
    """Return the days of a window: a range walks through the week until it reaches its end."""
    found = set() if window.days else set(DAYS)
    for part in window.days:
        first, _, last = part.partition("-")
        found.add(first)
        while last and first != last:
            first = DAYS[(DAYS.index(first) + 1) % 7]
            found.add(first)
    return found


def local_intervals(window: WeeklyWindow, first: datetime, days: int) -> list[tuple[datetime, datetime]]:
    """Return the local times at which a window opens and closes, for each window that begins on one of these days."""
    named, found = days_of(window), []
    for midnight in (first + timedelta(days=i) for i in range(days)):
        start, end = (midnight + timedelta(hours=int(t[:2]), minutes=int(t[3:])) for t in (window.start, window.end))
        if DAYS[midnight.weekday()] in named:
            found.append((start, end if end > start else end + timedelta(days=1)))
    return found


def walk(spec: MaintenanceWindows, since: datetime, minutes: int) -> list[bool]:
    """Return for each minute whether the windows are open."""
    zone = ZoneInfo(spec.time_zone)
    clocks = [(since + i * MINUTE).astimezone(zone).replace(tzinfo=None) for i in range(minutes)]
    first, days = clocks[0].replace(hour=0, minute=0) - timedelta(days=3), minutes // 1440 + 6
    allow, deny = ([s for w in some for s in local_intervals(w, first, days)] for some in (spec.allow, spec.deny))
    return [
        (not spec.allow or any(start <= clock < end for start, end in allow))
        and not any(start <= clock < end for start, end in deny)
        for clock in clocks
    ]


@settings(max_examples=200)
@given(spec=windows, at=moments)
def test_a_window_is_open_by_local_time(spec, at):
    assert read_calendar(spec).is_open(at) == walk(spec, at, 1)[0]


@settings(max_examples=40)
@given(spec=windows, since=moments)
@example(spec=BOTH_CHANGES, since=CHANGES[0] - timedelta(hours=12))
@example(spec=BOTH_CHANGES, since=CHANGES[1] - timedelta(hours=12))
@example(spec=SKIPPED, since=CHANGES[0] - timedelta(hours=12))
@example(spec=SKIPPED, since=CHANGES[1] - timedelta(hours=12))
def test_the_open_times_are_those_of_a_walk_minute_by_minute(spec, since):
    until = since + timedelta(days=2)
    states = walk(spec, since, 2 * 1440)
    spans = list(read_calendar(spec).intervals(since, until))
    walked = [since + i * MINUTE for i in range(2 * 1440)]
    assert [any(start <= at < end for start, end in spans) for at in walked] == states
    assert all(start < end for start, end in spans)
    assert all(end < start for (_, end), (start, _) in pairwise(spans)), "apart, and in order"


@settings(max_examples=40)
@given(spec=windows, now=moments, ahead=st.integers(0, 3 * 1440))
def test_the_next_opening_and_closing_and_the_latest_time_are_those_of_the_walk(spec, now, ahead):
    found, at = open_intervals(spec, now), now + ahead * MINUTE
    walked = [now + i * MINUTE for i in range(4 * 1440)]
    states = walk(spec, now, len(walked))
    assert found.is_open == states[0]
    closes = next((m for m, is_open in zip(walked, states, strict=True) if states[0] and not is_open), None)
    assert found.closes == closes or (closes is None and (found.closes is None or found.closes > walked[-1]))
    after = walked.index(closes) if closes else 0
    opens = None
    if not states[0] or closes:
        opens = next((m for m, is_open in list(zip(walked, states, strict=True))[after:] if is_open), None)
    assert found.opens == opens or (opens is None and (found.opens is None or found.opens > walked[-1]))
    # The latest time: `at` itself where it is open, else the end of the window before it.
    before = [m for m, is_open in zip(walked, states, strict=True) if is_open and m <= at]
    latest = found.latest_open(at)
    assert (latest is None) == (not before)
    if before:
        assert latest == (at if states[ahead] else before[-1] + MINUTE)


@settings(max_examples=60)
@given(spec=windows, now=moments)
def test_windows_that_are_denied_all_week_never_open(spec, now):
    never = spec.model_copy(update={"deny": (WeeklyWindow(),)})
    found = open_intervals(never, now)
    assert (found.is_open, found.opens, found.latest_open(now + timedelta(days=3))) == (False, None, None)
