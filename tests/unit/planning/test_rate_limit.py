"""The runaway guard counts, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.planning.rate_limit import PERIOD, Guard, Tally, freed_at, held, tally
from tests.builders import NOW, at


def test_only_the_last_hour_counts():
    made = [("demo", at(-10)), ("demo", at(-3599)), ("demo", at(-3600)), ("other", at(-20)), ("other", at(60))]
    assert tally(made, "demo", NOW) == Tally((at(-3599), at(-20), at(-10), at(60)), (at(-3599), at(-10)))


@pytest.mark.parametrize(
    ("share", "watched", "most"),
    [(0.5, 0, 3), (0.5, 5, 3), (0.5, 8, 4), (0.5, 9, 4), (0.5, 100, 50), (0.1, 20, 3), (20.0, 2, 40)],
)
def test_a_namespace_has_its_share_and_never_less_than_three(share, watched, most):
    assert Guard(namespace_share=share).in_namespace(watched) == most


def test_what_is_planned_counts_too():
    assert held(Guard(3, 100), Tally((at(-5),), ()), 10, planned=1, now=NOW).words == ""
    answer = held(Guard(3, 100), Tally((at(-5),), ()), 10, planned=2, now=NOW)
    assert answer.words == ("the runaway guard stops all rolls until 2026-03-01T12:59:55Z: 3 within an hour, at most 3")
    assert answer.value == "3 rolls, 2 of them in the namespace"


def test_a_guard_of_none_stops_everything_for_good():
    words = held(Guard(0), Tally((), ()), 10, planned=0, now=NOW).words
    assert words == "the runaway guard stops all rolls: 0 within an hour, at most 0"


@given(ages=st.lists(st.floats(0, 3599), max_size=20), planned=st.integers(0, 3), most=st.integers(1, 12))
def test_it_is_free_again_as_soon_as_it_says_and_not_before(ages, planned, most):
    times = sorted(at(-age) for age in ages)
    free = freed_at(times, planned, most, PERIOD, NOW)
    everything = [*times, *([NOW] * planned)]

    def left(moment):
        return sum(1 for t in everything if t > moment - PERIOD)

    if free is None:
        assert left(NOW) < most
    else:
        assert left(free) < most <= left(free - timedelta(microseconds=1))
