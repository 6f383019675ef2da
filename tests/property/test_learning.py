"""Whatever Prometheus holds of two pods, comparing them ends in an answer: nothing there may fail a pass."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.api.pod_roll import Effect, PodRoll
from memroll.detection.series import Series
from memroll.detection.verdict import Subject
from memroll.rolling.effect import Pair, ages, compared, due_s
from tests.builders import LIMIT, MIB, NOW, roll_json, rule

VALUES = st.floats(min_value=-1, max_value=2**40) | st.sampled_from([float("nan"), float("inf")])
SAMPLES = st.lists(st.tuples(st.integers(min_value=-20, max_value=400), VALUES), max_size=60).map(Series.of)
SUBJECTS = st.none() | st.builds(Subject, SAMPLES, SAMPLES, st.just(0.0), st.sampled_from([None, 1, LIMIT]))
RULES = st.builds(
    rule,
    window_s=st.sampled_from([30.0, 60.0, 300.0]),
    warm_up_s=st.sampled_from([0.0, 20.0, 100.0]),
    threshold_bytes_per_s=st.sampled_from([None, 1.0, 64 * MIB / 3600]),
)


def rolled(life_s: int | None, usage: int) -> PodRoll:
    began = {} if life_s is None else {"containerStarted": (NOW - timedelta(seconds=life_s)).isoformat()}
    finding = {"container": "app", "usageBytes": usage, "limitBytes": LIMIT} | began
    return PodRoll.read(roll_json("Succeeded", created=NOW, spec={"finding": finding}))


@given(
    st.none() | st.integers(min_value=-10, max_value=2000),
    st.integers(min_value=0, max_value=2**40),
    SUBJECTS,
    SUBJECTS,
    RULES,
    st.integers(min_value=0, max_value=500),
)
@settings(max_examples=300)
def test_no_data_whatsoever_breaks_the_comparison(life_s, usage, new, old, by, age_s):
    roll = rolled(life_s, usage)
    at_ages = ages(by, roll)
    asked_s = due_s(at_ages, None, float(age_s))
    if asked_s is None:
        return
    found = compared(roll, Pair(new, old, by, at_ages, asked_s), NOW)
    if found is not None:
        assert type(found).model_validate(found.model_dump()) == found, "the API server takes it"
        assert found.effect is None or found.judged
    if at_ages.grown_s is not None and age_s >= at_ages.grown_s:
        assert found is not None, "asked for the last time"
        assert found.judged


@given(
    st.floats(min_value=0.1, max_value=2),
    st.floats(min_value=0, max_value=2),
    st.floats(min_value=0, max_value=60),
    st.sampled_from([0.0, 1e9]),
)
@settings(max_examples=60)
def test_a_leak_of_at_least_the_old_slope_persists_and_one_far_below_does_not(old, share, base, clock_s):
    """By the slopes alone: not by the level that either begins at, nor by when in time they lived."""
    times = np.arange(0.0, 200.0, 2.0)

    def life(rate: float, start_s: float, at_mib: float) -> Subject:
        held = Series(start_s + times, (at_mib + rate * times) * MIB)
        return Subject(held, held, start_s, LIMIT)

    roll = rolled(1000, 1000 * MIB)
    at_ages = ages(rule(), roll)
    assert at_ages.grown_s == pytest.approx(80)
    pair = Pair(life(share * old, clock_s + 5000, base), life(old, clock_s, 20), rule(), at_ages, at_ages.grown_s)
    found = compared(roll, pair, NOW)
    assert found is not None
    if share > 0.52:
        assert found.effect is Effect.LEAK_PERSISTS
    elif share < 0.48:
        assert found.effect is Effect.HELPED
