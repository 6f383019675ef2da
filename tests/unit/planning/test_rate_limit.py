"""Rate limit: counts of rolls, and the result of its check."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.planning.rate_limit import PERIOD, RecentRolls, RollRateLimit, check, count_recent_rolls, next_free_at
from tests.builders import NOW, at


def test_only_the_last_hour_counts():
    made = [("demo", at(-10)), ("demo", at(-3599)), ("demo", at(-3600)), ("other", at(-20)), ("other", at(60))]
    assert count_recent_rolls(made, "demo", NOW) == RecentRolls(
        (at(-3599), at(-20), at(-10), at(60)), (at(-3599), at(-10))
    )


@pytest.mark.parametrize(
    ("ratio", "watched", "maximum"),
    [(0.5, 0, 3), (0.5, 5, 3), (0.5, 8, 4), (0.5, 9, 4), (0.5, 100, 50), (0.1, 20, 3), (20.0, 2, 40)],
)
def test_a_namespace_may_have_a_ratio_of_its_pods_and_never_less_than_three(ratio, watched, maximum):
    assert RollRateLimit(max_namespace_ratio=ratio).max_in_namespace(watched) == maximum


def test_planned_rolls_count():
    assert check(RollRateLimit(3, 100), RecentRolls((at(-5),), ()), 10, planned=1, now=NOW).message == ""
    result = check(RollRateLimit(3, 100), RecentRolls((at(-5),), ()), 10, planned=2, now=NOW)
    assert result.message == (
        "the roll rate limit blocks all rolls until 2026-03-01T12:59:55Z: 3 within an hour, at most 3"
    )
    assert result.observed == "3 rolls, 2 of them in the namespace"


def test_a_limit_of_zero_blocks_everything_without_an_end():
    message = check(RollRateLimit(0), RecentRolls((), ()), 10, planned=0, now=NOW).message
    assert message == "the roll rate limit blocks all rolls: 0 within an hour, at most 0"


@given(ages=st.lists(st.floats(0, 3599), max_size=20), planned=st.integers(0, 3), most=st.integers(1, 12))
def test_the_limit_allows_another_roll_at_the_returned_time_and_not_before(ages, planned, most):
    times = sorted(at(-age) for age in ages)
    free = next_free_at(times, planned, most, PERIOD, NOW)
    everything = [*times, *([NOW] * planned)]

    def left(moment):
        return sum(1 for t in everything if t > moment - PERIOD)

    if free is None:
        assert left(NOW) < most
    else:
        assert left(free) < most <= left(free - timedelta(microseconds=1))
