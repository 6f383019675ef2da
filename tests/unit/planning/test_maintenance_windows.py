"""Open intervals of maintenance windows, also on days on which clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from memroll.api.roll_spec import MaintenanceWindows, WeeklyWindow
from memroll.planning.maintenance_windows import open_intervals


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def berlin(*allow: WeeklyWindow, deny: tuple[WeeklyWindow, ...] = ()) -> MaintenanceWindows:
    return MaintenanceWindows(time_zone="Europe/Berlin", allow=allow, deny=deny)


NIGHT = WeeklyWindow(start="01:00", end="05:00")
WEEKEND = WeeklyWindow(days=("fri-mon",), start="22:00", end="04:00")

OPENINGS = [
    pytest.param(NIGHT, "2026-03-10T12:00+01:00", "2026-03-11T01:00+01:00", "2026-03-11T05:00+01:00", id="a night"),
    pytest.param(
        NIGHT,
        "2026-03-28T12:00+01:00",
        "2026-03-29T01:00+01:00",
        "2026-03-29T05:00+02:00",
        id="the night in spring: 3 h",
    ),
    pytest.param(
        NIGHT, "2026-10-24T12:00+02:00", "2026-10-25T01:00+02:00", "2026-10-25T05:00+01:00", id="the one in autumn: 5 h"
    ),
    pytest.param(
        WeeklyWindow(start="02:30", end="05:00"),
        "2026-03-28T12:00+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-29T05:00+02:00",
        id="a start that does not exist: as soon as the clock is past it",
    ),
    pytest.param(
        WeeklyWindow(start="02:30", end="05:00"),
        "2026-10-24T12:00+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:00+01:00",
        id="a start that comes twice: the first time, until the clock is put back",
    ),
    pytest.param(
        WeeklyWindow(start="02:00", end="02:30"),
        "2026-03-28T12:00+01:00",
        "2026-03-30T02:00+02:00",
        "2026-03-30T02:30+02:00",
        id="a window that does not exist: the next day's",
    ),
    pytest.param(
        WEEKEND,
        "2026-03-12T12:00+01:00",
        "2026-03-13T22:00+01:00",
        "2026-03-14T04:00+01:00",
        id="Friday, over midnight",
    ),
    pytest.param(
        WEEKEND,
        "2026-03-16T12:00+01:00",
        "2026-03-16T22:00+01:00",
        "2026-03-17T04:00+01:00",
        id="the day is that of its start: Monday's goes on into Tuesday",
    ),
    pytest.param(
        WEEKEND, "2026-03-17T12:00+01:00", "2026-03-20T22:00+01:00", "2026-03-21T04:00+01:00", id="over the week's end"
    ),
    pytest.param(
        WeeklyWindow(days=("sat", "mon-tue")),
        "2026-03-11T12:00+01:00",
        "2026-03-14T00:00+01:00",
        "2026-03-15T00:00+01:00",
        id="whole days",
    ),
    pytest.param(
        WeeklyWindow(days=("sat",), start="06:00", end="06:00"),
        "2026-03-11T12:00+01:00",
        "2026-03-14T06:00+01:00",
        "2026-03-15T06:00+01:00",
        id="the same start and end: a day",
    ),
]


@pytest.mark.parametrize(("window", "now", "opens", "closes"), OPENINGS)
def test_the_next_window(window, now, opens, closes):
    windows = berlin(window)
    assert open_intervals(windows, moment(now)).opens == moment(opens)
    found = open_intervals(windows, moment(opens))
    assert (found.is_open, found.closes) == (True, moment(closes))
    assert not open_intervals(windows, moment(opens) - timedelta(seconds=1)).is_open
    assert open_intervals(windows, moment(closes) - timedelta(seconds=1)).is_open
    assert not open_intervals(windows, moment(closes)).is_open


def test_deny_wins_over_allow():
    windows = berlin(NIGHT, deny=(WeeklyWindow(days=("wed",), start="02:00", end="03:00"),))
    found = open_intervals(windows, moment("2026-03-11T01:30+01:00"))
    assert (found.is_open, found.closes) == (True, moment("2026-03-11T02:00+01:00"))
    assert found.opens == moment("2026-03-11T03:00+01:00")


def test_an_empty_allow_means_always_except_what_is_denied():
    found = open_intervals(berlin(deny=(WeeklyWindow(days=("sun",)),)), moment("2026-03-14T12:00+01:00"))
    assert (found.is_open, found.closes) == (True, moment("2026-03-15T00:00+01:00"))
    always = open_intervals(berlin(), moment("2026-03-14T12:00+01:00"))
    assert (always.is_open, always.closes, always.opens) == (True, None, None)
    without = open_intervals(None, moment("2026-03-14T12:00+01:00"))
    assert (without.is_open, without.closes, without.has_windows) == (True, None, False)


def test_the_latest_open_time():
    found = open_intervals(berlin(NIGHT), moment("2026-03-10T12:00+01:00"))
    assert found.latest_open(moment("2026-03-11T00:59+01:00")) is None, "none before the first window"
    assert found.latest_open(moment("2026-03-11T03:00+01:00")) == moment("2026-03-11T03:00+01:00")
    assert found.latest_open(moment("2026-03-11T23:00+01:00")) == moment("2026-03-11T05:00+01:00")
    far = moment("2027-03-11T23:00+01:00")
    assert found.latest_open(far) == far, "checked again when it is nearer"


def test_invalid_windows_are_never_open():
    broken = MaintenanceWindows.model_construct(time_zone="Nowhere/Land", allow=(), deny=())
    found = open_intervals(broken, moment("2026-03-14T12:00+01:00"))
    assert (found.is_open, found.opens, found.closes) == (False, None, None)
    assert found.error.startswith("maintenanceWindows can't be read: ")
