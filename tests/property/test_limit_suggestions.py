"""Suggested limits: the order of exits does not matter, and random exits suggest next to nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.api.limit_suggestion import MAX_EXITS, ObservedExit
from memroll.reporting.limit_suggestions import update_exits, usages_near_each_other
from memroll.reporting.outcome import MeasuredExit, Outcome
from tests.builders import MIB, NOW, at, policy

EXITS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from("abc"), st.sampled_from(["5d", "7f"])), unique=True, max_size=20
)


def measured(found):
    return tuple(
        MeasuredExit(("Deployment/leaky", revision, "app"), ObservedExit(uid=uid, time=at(-seconds), usage_bytes=1))
        for seconds, uid, revision in found
    )


def updated(old, found):
    return update_exits(old, Outcome(policy(), NOW, measured_exits=measured(found)))


@given(EXITS, st.integers(0, 20))
def test_exits_can_be_repeated_and_split_in_any_way(found, at_index):
    newest_last = sorted(found, reverse=True)
    together = updated((), newest_last)
    apart = updated(updated((), newest_last[:at_index]), newest_last[at_index:])
    assert apart == together
    assert updated(together, newest_last) == together


@given(st.lists(st.tuples(st.integers(1, 2000), st.booleans()), max_size=MAX_EXITS))
def test_a_suggestion_has_three_exits_within_a_tenth_and_none_above(found):
    exits = [ObservedExit(uid="u", time=NOW, usage_bytes=mib * MIB, grew=grew) for mib, grew in found]
    near = usages_near_each_other(exits)
    if near:
        assert len(near) >= 3
        assert min(near) >= 0.9 * max(near)
        assert max(e.usage_bytes for e in exits) <= 1.1 * max(near)


@pytest.mark.parametrize(
    "usages_mib",
    [
        pytest.param(lambda rng: rng.uniform(100, 1024, 30), id="any usage alike"),
        pytest.param(lambda rng: np.clip(rng.normal(500, 150, 30), 50, None), id="around one, 30 % apart"),
        pytest.param(lambda rng: 300 * np.exp(rng.normal(0, 0.6, 30)), id="mostly small"),
    ],
)
def test_a_crash_loop_at_random_usages_is_seldom_taken_for_a_limit(usages_mib):
    """Each exit after growth: the worst case that is harmless. A suggestion by coincidence ends with the next exits."""
    rng, taken = np.random.default_rng(1), []
    for _ in range(300):
        usages = [ObservedExit(uid="u", time=NOW, usage_bytes=int(u * MIB), grew=True) for u in usages_mib(rng)]
        taken += [bool(usages_near_each_other(usages[max(0, end - MAX_EXITS) : end])) for end in range(3, 31)]
    assert np.mean(taken) < 0.01
