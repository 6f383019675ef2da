"""Whatever Prometheus holds, a verdict comes out, and the same data mean the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.detection.series import Series
from memroll.detection.verdict import Breach, Code, Healthy, Inconclusive, Subject, judge
from tests.builders import LIMIT, MIB, rule

VALUES = st.one_of(st.floats(min_value=0, max_value=2**40), st.sampled_from([float("nan"), float("inf")]))
SAMPLES = st.lists(st.tuples(st.integers(min_value=0, max_value=400), VALUES), max_size=80)
PERIODIC = st.lists(st.floats(min_value=0, max_value=200), min_size=40, max_size=60)
FALLS = st.lists(st.floats(min_value=0, max_value=20) | st.just(0.0), min_size=40, max_size=60)
CEILING = rule(ceiling_share=0.9)


def subject_of(samples: Series, **changes) -> Subject:
    return replace(Subject(samples, samples, 0.0, LIMIT), **changes)


def every_5_s(values) -> Series:
    return Series(np.arange(len(values)) * 5.0, np.array(values) * MIB)


@given(SAMPLES, st.integers(min_value=0, max_value=500), st.sampled_from([None, 1, LIMIT]))
def test_no_data_whatsoever_breaks_the_verdict(samples, now_s, limit):
    found = judge(subject_of(Series.of(samples), limit_bytes=limit), CEILING, float(now_s))
    assert isinstance(found, Healthy | Breach | Inconclusive)
    assert found.code in Code
    if isinstance(found, Breach) and found.code is Code.GROWING:
        assert found.trend is not None
        assert found.trend.slope_bytes_per_s > CEILING.threshold_bytes_per_s
        assert found.time_to_limit_s is None or found.time_to_limit_s >= 0


@given(SAMPLES, SAMPLES, st.integers(min_value=300, max_value=420))
@settings(max_examples=60)
def test_no_peer_and_no_load_whatsoever_breaks_the_verdict(peer, load, now_s):
    climbs = Series(np.arange(0, 401, 5.0), (20 + 0.25 * np.arange(0, 401, 5.0)) * MIB)
    found = judge(subject_of(climbs, load=Series.of(load)), rule(), float(now_s), [subject_of(Series.of(peer))])
    assert found.code in Code


@given(SAMPLES, SAMPLES, st.integers(min_value=0, max_value=420))
@settings(max_examples=60)
def test_two_metrics_known_at_different_times_break_nothing(rss, used, now_s):
    known = [(400 - 5 * i, (120 - 0.5 * i) * MIB) for i in range(60)]
    for one, other in ((Series.of(rss), Series.of(used)), (Series.of(known), Series.of(known[:4]))):
        assert judge(Subject(one, other, 0.0, LIMIT), CEILING, float(now_s)).code in Code


@given(PERIODIC, st.integers(min_value=0, max_value=10**9))
@settings(max_examples=50)
def test_the_clock_s_zero_does_not_matter(values, shift_s):
    samples = every_5_s(values)
    here = judge(subject_of(samples), rule(), samples.last_s)
    moved = Series(samples.times_s + shift_s, samples.values)
    there = judge(subject_of(moved, started_at_s=float(shift_s)), rule(), moved.last_s)
    assert (type(here), here.code) == (type(there), there.code)


CLIMBS = st.tuples(st.floats(min_value=0, max_value=0.4), st.floats(min_value=5, max_value=60), PERIODIC)


def climbing(drawn) -> Series:
    per_s, base, jitter = drawn
    return every_5_s(base + per_s * 5.0 * np.arange(len(jitter)) + 0.02 * np.array(jitter))


@given(CLIMBS, st.integers(min_value=1, max_value=10))
@settings(max_examples=60)
def test_the_unit_of_memory_does_not_matter(drawn, doublings):
    samples, times = climbing(drawn), 2**doublings
    here = judge(subject_of(samples), CEILING, samples.last_s)
    larger = subject_of(Series(samples.times_s, samples.values * times), limit_bytes=LIMIT * times)
    scaled = replace(CEILING, threshold_bytes_per_s=CEILING.threshold_bytes_per_s * times)
    there = judge(larger, scaled, samples.last_s)
    assert (type(there), there.code) == (type(here), here.code)
    for number in ("time_to_limit_s", "lead_s", "due"):
        assert getattr(there, number, None) == getattr(here, number, None)


@given(FALLS, st.floats(min_value=0, max_value=0.8), PERIODIC)
@settings(max_examples=80)
def test_what_never_rises_is_never_a_breach(falls, start, used):
    """Whatever its working set does, and whether it falls in cliffs or not at all."""
    levels = np.clip(start * LIMIT / MIB + sum(falls) - np.cumsum(falls), 0, None)
    samples = every_5_s(levels)
    for usage in (samples, Series(samples.times_s, np.resize(np.array(used), len(samples)) * MIB)):
        for share in (0.5, 0.75, 1.0):
            now_s = float(samples.times_s[int(share * (len(samples) - 1))])
            assert not isinstance(judge(subject_of(samples, working_set=usage), rule(), now_s), Breach)


@given(CLIMBS, st.integers(min_value=0, max_value=60))
@settings(max_examples=40)
def test_judging_twice_and_knowing_the_future_change_nothing(drawn, ahead):
    samples, peer = climbing(drawn), climbing((0.1, 80.0, [0.0] * 60))
    now_s = samples.last_s - 5 * min(ahead, 20)
    load = Series(samples.times_s, samples.values[::-1])
    whole = judge(subject_of(samples, load=load), rule(), now_s, [subject_of(peer, started_at_s=-400.0)])
    again = judge(subject_of(samples, load=load), rule(), now_s, [subject_of(peer, started_at_s=-400.0)])
    known = [subject_of(peer.until(now_s), started_at_s=-400.0), subject_of(peer, started_at_s=now_s + 1)]
    past = judge(subject_of(samples.until(now_s), load=load.until(now_s)), rule(), now_s, known)
    assert whole == again == past


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
