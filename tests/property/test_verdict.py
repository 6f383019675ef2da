"""Whatever Prometheus holds, a verdict comes out, and the same data mean the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.analysis.series import Series
from memroll.analysis.verdict import Breach, Code, Healthy, Inconclusive, Subject, judge
from tests.builders import LIMIT, MIB, rule

VALUES = st.one_of(st.floats(min_value=0, max_value=2**40), st.sampled_from([float("nan"), float("inf")]))
SAMPLES = st.lists(st.tuples(st.integers(min_value=0, max_value=400), VALUES), max_size=80)
PERIODIC = st.lists(st.floats(min_value=0, max_value=200), min_size=40, max_size=60)


def subject_of(samples: Series, **changes) -> Subject:
    return replace(Subject(samples, samples, 0.0, LIMIT), **changes)


@given(SAMPLES, st.integers(min_value=0, max_value=500), st.sampled_from([None, 1, LIMIT]))
def test_no_data_whatsoever_breaks_the_verdict(samples, now_s, limit):
    found = judge(subject_of(Series.of(samples), limit_bytes=limit), rule(ceiling_share=0.9), float(now_s))
    assert isinstance(found, Healthy | Breach | Inconclusive)
    assert found.code in Code
    if isinstance(found, Breach) and found.code is Code.GROWING:
        assert found.trend is not None
        assert found.trend.slope_bytes_per_s > rule().threshold_bytes_per_s
        assert found.time_to_limit_s is None or found.time_to_limit_s >= 0


@given(PERIODIC, st.integers(min_value=0, max_value=10**9))
@settings(max_examples=50)
def test_the_clock_s_zero_does_not_matter(values, shift_s):
    times = np.arange(len(values)) * 5.0
    mib = np.array(values) * MIB
    here = judge(subject_of(Series(times, mib)), rule(), float(times[-1]))
    moved = subject_of(Series(times + shift_s, mib), started_at_s=float(shift_s))
    there = judge(moved, rule(), float(times[-1] + shift_s))
    assert (type(here), here.code) == (type(there), there.code)


@given(st.floats(min_value=0.05, max_value=0.6), st.integers(min_value=0, max_value=2**32 - 1))
@settings(max_examples=50)
def test_noise_around_a_constant_is_never_a_leak(share, seed):
    times = np.arange(0, 400, 5.0)
    noise = np.random.default_rng(seed).normal(0, 1.0, times.size)
    samples = Series(times, (share * 128 + noise) * MIB)
    assert not isinstance(judge(subject_of(samples), rule(), float(times[-1])), Breach)


@pytest.mark.parametrize("order", ["reversed", "shuffled", "doubled"])
def test_the_order_and_repetition_of_samples_do_not_matter(order):
    pairs = [(5.0 * i, (20 + 2.5 * i) * MIB) for i in range(40)]
    rng = np.random.default_rng(3)
    changed = {"reversed": pairs[::-1], "shuffled": [pairs[i] for i in rng.permutation(40)], "doubled": pairs * 2}[
        order
    ]
    assert judge(subject_of(Series.of(changed)), rule(), 195.0) == judge(subject_of(Series.of(pairs)), rule(), 195.0)
