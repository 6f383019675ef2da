"""The comparison of a roll's two pods returns an effect for any samples, and never fails a reconcile."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.api.pod_roll import EffectResult, PodRoll
from memroll.detection.container_history import ContainerHistory
from memroll.detection.series import Series
from memroll.rolling.effect import Comparison, compare, comparison_ages, due_age_s
from tests.builders import LIMIT, MIB, NOW, parameters, roll_json

VALUES = st.floats(min_value=-1, max_value=2**40) | st.sampled_from([float("nan"), float("inf")])
SAMPLES = st.lists(st.tuples(st.integers(min_value=-20, max_value=400), VALUES), max_size=60).map(Series.of)
HISTORIES = st.none() | st.builds(ContainerHistory, SAMPLES, SAMPLES, st.just(0.0), st.sampled_from([None, 1, LIMIT]))
PARAMETERS = st.builds(
    parameters,
    window_s=st.sampled_from([30.0, 60.0, 300.0]),
    warm_up_s=st.sampled_from([0.0, 20.0, 100.0]),
    threshold_bytes_per_s=st.sampled_from([None, 1.0, 64 * MIB / 3600]),
)


def rolled(lifetime_s: int | None, usage: int) -> PodRoll:
    started = {} if lifetime_s is None else {"containerStarted": (NOW - timedelta(seconds=lifetime_s)).isoformat()}
    trigger = {"container": "app", "usageBytes": usage, "limitBytes": LIMIT} | started
    return PodRoll.read(roll_json("Succeeded", created=NOW, spec={"trigger": trigger}))


@given(
    st.none() | st.integers(min_value=-10, max_value=2000),
    st.integers(min_value=0, max_value=2**40),
    HISTORIES,
    HISTORIES,
    PARAMETERS,
    st.integers(min_value=0, max_value=500),
)
@settings(max_examples=300)
def test_no_samples_break_the_comparison(lifetime_s, usage, new, old, detection, age_s):
    roll = rolled(lifetime_s, usage)
    ages = comparison_ages(detection, roll)
    due_s = due_age_s(ages, None, float(age_s))
    if due_s is None:
        return
    found = compare(roll, Comparison(new, old, detection, ages, due_s), NOW)
    if found is not None:
        assert type(found).model_validate(found.model_dump()) == found, "the API server accepts it"
        assert found.result is None or found.compared_at
    if ages.growth_age_s is not None and age_s >= ages.growth_age_s:
        assert found is not None, "the last comparison"
        assert found.compared_at


@given(
    st.floats(min_value=0.1, max_value=2),
    st.floats(min_value=0, max_value=2),
    st.floats(min_value=0, max_value=60),
    st.sampled_from([0.0, 1e9]),
)
@settings(max_examples=60)
def test_a_leak_of_at_least_the_old_slope_persists_and_one_far_below_does_not(old, ratio, base, clock_s):
    """Only the slopes count, not the levels at the start, nor the times of day."""
    times = np.arange(0.0, 200.0, 2.0)

    def life(rate: float, start_s: float, at_mib: float) -> ContainerHistory:
        samples = Series(start_s + times, (at_mib + rate * times) * MIB)
        return ContainerHistory(samples, samples, start_s, LIMIT)

    roll = rolled(1000, 1000 * MIB)
    ages = comparison_ages(parameters(), roll)
    assert ages.growth_age_s == pytest.approx(80)
    pair = Comparison(
        life(ratio * old, clock_s + 5000, base), life(old, clock_s, 20), parameters(), ages, ages.growth_age_s
    )
    found = compare(roll, pair, NOW)
    assert found is not None
    if ratio > 0.52:
        assert found.result is EffectResult.LEAK_PERSISTS
    elif ratio < 0.48:
        assert found.result is EffectResult.EFFECTIVE
