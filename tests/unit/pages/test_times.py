"""Times on a page: of the clock with their zone, and ages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from memroll.pages.times import PageClock, ShownTime, ago

AT = datetime(2026, 3, 1, 23, 5, tzinfo=UTC)


def test_a_time_is_readable_and_has_its_zone():
    assert PageClock().show(AT) == ShownTime("Sun 1 Mar 23:05", "UTC", "2026-03-01T23:05:00Z")
    assert PageClock().show(AT.timestamp()) == PageClock().show(AT)


def test_another_zone_has_other_days_and_the_same_time_for_programs():
    shown = PageClock(ZoneInfo("Asia/Tokyo")).show(AT)
    assert shown == ShownTime("Mon 2 Mar 08:05", "JST", "2026-03-01T23:05:00Z")


@pytest.mark.parametrize("at", [None, 0.0, 86_400.0, 9e8])
def test_a_time_on_a_clock_of_its_own_is_not_shown(at):
    assert PageClock().show(at) is None
    if at is not None:
        assert PageClock().tick(at) == ()
        assert PageClock().zone_at(at) == PageClock().period(at, at) == ""


def test_a_period_names_each_day_once_with_its_year():
    assert PageClock().period(AT, AT) == "1 Mar 2026 (UTC)"
    assert PageClock().period(AT, AT + timedelta(days=5)) == "1 Mar 2026 to 6 Mar 2026 (UTC)"


def test_an_age_is_rounded():
    assert ago(AT, AT + timedelta(hours=2, minutes=5)) == "2h5m ago"
    assert ago(AT, AT + timedelta(hours=71)) == "71h ago"
    assert ago(AT, AT + timedelta(days=19, hours=3)) == "19 days ago"
    assert ago(AT, AT - timedelta(seconds=5)) == "0s ago", "the clock of another machine may be ahead"
