"""Rate limit: counts of rolls, and the result of its check."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.planning.rate_limit import (
    PERIOD,
    CountedRoll,
    RecentRolls,
    RollRateLimit,
    check,
    count_recent_rolls,
    next_free_at,
)
from tests.builders import NOW, at


def test_only_the_last_hour_counts():
    made = [("demo", at(-10)), ("demo", at(-3599)), ("demo", at(-3600)), ("other", at(-20)), ("other", at(60))]
    rolls = [CountedRoll(*each) for each in made]
    assert count_recent_rolls(rolls, "demo", NOW, RollRateLimit()) == RecentRolls(
        (at(-20), at(60)), (at(-3599), at(-10))
    )


def test_rolls_by_hand_count_only_in_their_own_namespace():
    rolls = [CountedRoll(where, at(-60), counts_elsewhere=False) for where in ("demo", "other", "other")]
    assert count_recent_rolls(rolls, "demo", NOW, RollRateLimit()) == RecentRolls((), (at(-60),))


FAIRNESS = [
    pytest.param(0, 0, True, True, id="an idle cluster"),
    pytest.param(14, 0, True, True, id="below the quota"),
    pytest.param(15, 0, True, False, id="the quota is used, and another namespace has a due pod"),
    pytest.param(15, 0, False, True, id="the quota is used, and no other namespace has a due pod"),
    pytest.param(29, 0, False, True, id="nearly all rolls are used by one namespace"),
    pytest.param(30, 0, False, False, id="all rolls are used by one namespace"),
    pytest.param(0, 30, True, True, id="another namespace has used all rolls"),
    pytest.param(14, 300, True, True, id="another namespace has used far more than all rolls"),
    pytest.param(15, 300, False, False, id="another namespace has, and this one has used the rest"),
]


@pytest.mark.parametrize(("here", "elsewhere", "due_elsewhere", "allowed"), FAIRNESS)
def test_a_namespace_can_not_use_up_the_rolls_of_others(here, elsewhere, due_elsewhere, allowed):
    limit = RollRateLimit(30, max_namespace_ratio=100, namespace_quota_ratio=0.5)
    rolls = [CountedRoll("demo", at(-60))] * here + [CountedRoll("other", at(-90))] * elsewhere
    recent = replace(count_recent_rolls(rolls, "demo", NOW, limit), due_elsewhere=due_elsewhere)
    assert check(limit, recent, 60, planned=0, now=NOW).blocks is not allowed


@pytest.mark.parametrize(("ratio", "maximum", "quota"), [(0.5, 30, 15), (1.0, 30, 30), (0.01, 30, 1), (0.5, 1, 1)])
def test_the_quota_is_a_part_of_all_rolls_and_at_least_one(ratio, maximum, quota):
    assert RollRateLimit(maximum, namespace_quota_ratio=ratio).namespace_quota == quota


@given(
    steps=st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=80),
    maximum=st.integers(1, 12),
    ratio=st.sampled_from([0.25, 0.5, 1.0]),
)
def test_the_total_exceeds_the_maximum_by_no_more_than_the_excess_of_the_namespaces(steps, maximum, ratio):
    limit, made = RollRateLimit(maximum, max_namespace_ratio=100, namespace_quota_ratio=ratio), []
    for namespace, due_elsewhere in steps:
        recent = replace(count_recent_rolls(made, namespace, NOW, limit), due_elsewhere=due_elsewhere)
        if not check(limit, recent, 60, planned=0, now=NOW).blocks:
            made.append(CountedRoll(namespace, NOW))
    used = Counter(roll.namespace for roll in made)
    excess = sum(max(0, count - limit.namespace_quota) for count in used.values())
    assert max(used.values(), default=0) <= maximum
    assert len(made) <= maximum + excess


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
        "the roll rate limit blocks the roll until 2026-03-01T12:59:55Z: 3 rolls within an hour, at most 3:"
        " check `kubectl get podrolls -A` before you raise rollRateLimit.maxRollsPerHour"
    )
    assert result.observed == "3 rolls, 2 of them in the namespace"


def test_a_limit_of_zero_blocks_everything_without_an_end():
    message = check(RollRateLimit(0), RecentRolls((), ()), 10, planned=0, now=NOW).message
    assert message.startswith("the roll rate limit blocks the roll: 0 rolls within an hour, at most 0: ")


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
