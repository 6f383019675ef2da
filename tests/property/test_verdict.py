"""A verdict for any data, and the same one for the same data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.detection.container_history import ContainerHistory
from memroll.detection.reasons import VerdictReason
from memroll.detection.series import Series
from memroll.detection.verdict import Verdict, verdict_for
from tests.builders import LIMIT, MIB, parameters

VALUES = st.one_of(st.floats(min_value=0, max_value=2**40), st.sampled_from([float("nan"), float("inf")]))
SAMPLES = st.lists(st.tuples(st.integers(min_value=0, max_value=400), VALUES), max_size=80)
PERIODIC = st.lists(st.floats(min_value=0, max_value=200), min_size=40, max_size=60)
FALLS = st.lists(st.floats(min_value=0, max_value=20) | st.just(0.0), min_size=40, max_size=60)
WITH_THRESHOLD = parameters(usage_threshold=0.9)


def history_of(samples: Series, **changes) -> ContainerHistory:
    return replace(ContainerHistory(samples, samples, 0.0, LIMIT), **changes)


def every_5_s(values) -> Series:
    return Series(np.arange(len(values)) * 5.0, np.array(values) * MIB)


@given(SAMPLES, st.integers(min_value=0, max_value=500), st.sampled_from([None, 1, LIMIT]))
def test_any_samples_have_a_verdict(samples, now_s, limit):
    found = verdict_for(history_of(Series.of(samples), limit_bytes=limit), WITH_THRESHOLD, float(now_s))
    assert found.verdict in Verdict
    assert found.reason in VerdictReason
    if found.is_confirmed_leak:
        assert found.trend is not None
        assert found.trend.slope_bytes_per_s > WITH_THRESHOLD.threshold_bytes_per_s
        assert found.time_to_limit_s is None or found.time_to_limit_s >= 0


@given(SAMPLES, SAMPLES, st.integers(min_value=300, max_value=420))
@settings(max_examples=60)
def test_any_peer_and_any_load_have_a_verdict(peer, load, now_s):
    growing = Series(np.arange(0, 401, 5.0), (20 + 0.25 * np.arange(0, 401, 5.0)) * MIB)
    found = verdict_for(
        history_of(growing, load=Series.of(load)), parameters(), float(now_s), [history_of(Series.of(peer))]
    )
    assert found.reason in VerdictReason


@given(SAMPLES, SAMPLES, st.integers(min_value=0, max_value=420))
@settings(max_examples=60)
def test_two_metrics_with_different_times_have_a_verdict(rss, used, now_s):
    known = [(400 - 5 * i, (120 - 0.5 * i) * MIB) for i in range(60)]
    for one, other in ((Series.of(rss), Series.of(used)), (Series.of(known), Series.of(known[:4]))):
        assert (
            verdict_for(ContainerHistory(one, other, 0.0, LIMIT), WITH_THRESHOLD, float(now_s)).reason in VerdictReason
        )


@given(PERIODIC, st.integers(min_value=0, max_value=10**9))
@settings(max_examples=50)
def test_the_date_does_not_matter(values, shift_s):
    samples = every_5_s(values)
    here = verdict_for(history_of(samples), parameters(), samples.last_s)
    moved = Series(samples.times_s + shift_s, samples.values)
    there = verdict_for(history_of(moved, started_at_s=float(shift_s)), parameters(), moved.last_s)
    assert (here.verdict, here.reason) == (there.verdict, there.reason)


GROWTHS = st.tuples(st.floats(min_value=0, max_value=0.4), st.floats(min_value=5, max_value=60), PERIODIC)


def growing_from(drawn) -> Series:
    per_s, base, jitter = drawn
    return every_5_s(base + per_s * 5.0 * np.arange(len(jitter)) + 0.02 * np.array(jitter))


@given(GROWTHS, st.integers(min_value=1, max_value=10))
@settings(max_examples=60)
def test_the_unit_of_memory_does_not_matter(drawn, doublings):
    samples, times = growing_from(drawn), 2**doublings
    here = verdict_for(history_of(samples), WITH_THRESHOLD, samples.last_s)
    larger = history_of(Series(samples.times_s, samples.values * times), limit_bytes=LIMIT * times)
    scaled = replace(WITH_THRESHOLD, threshold_bytes_per_s=WITH_THRESHOLD.threshold_bytes_per_s * times)
    there = verdict_for(larger, scaled, samples.last_s)
    assert (there.verdict, there.reason) == (here.verdict, here.reason)
    for number in ("time_to_limit_s", "lead_time_s", "due"):
        assert getattr(there, number) == getattr(here, number)


@given(FALLS, st.floats(min_value=0, max_value=0.8), PERIODIC)
@settings(max_examples=80)
def test_memory_that_never_rises_is_never_at_risk(falls, start, used):
    """This holds for any working set, and for memory that falls in drops or not at all."""
    levels = np.clip(start * LIMIT / MIB + sum(falls) - np.cumsum(falls), 0, None)
    samples = every_5_s(levels)
    for usage in (samples, Series(samples.times_s, np.resize(np.array(used), len(samples)) * MIB)):
        for ratio in (0.5, 0.75, 1.0):
            now_s = float(samples.times_s[int(ratio * (len(samples) - 1))])
            assert not verdict_for(history_of(samples, working_set=usage), parameters(), now_s).is_at_risk


@given(GROWTHS, st.integers(min_value=0, max_value=60))
@settings(max_examples=40)
def test_repetition_and_later_samples_change_nothing(drawn, ahead):
    samples, peer = growing_from(drawn), growing_from((0.1, 80.0, [0.0] * 60))
    now_s = samples.last_s - 5 * min(ahead, 20)
    load = Series(samples.times_s, samples.values[::-1])
    whole = verdict_for(history_of(samples, load=load), parameters(), now_s, [history_of(peer, started_at_s=-400.0)])
    again = verdict_for(history_of(samples, load=load), parameters(), now_s, [history_of(peer, started_at_s=-400.0)])
    known = [history_of(peer.until(now_s), started_at_s=-400.0), history_of(peer, started_at_s=now_s + 1)]
    past = verdict_for(history_of(samples.until(now_s), load=load.until(now_s)), parameters(), now_s, known)
    assert whole == again == past


@given(st.floats(min_value=0.05, max_value=0.6), st.integers(min_value=0, max_value=2**32 - 1))
@settings(max_examples=50)
def test_noise_around_a_constant_is_never_a_leak(ratio, seed):
    times = np.arange(0, 400, 5.0)
    noise = np.random.default_rng(seed).normal(0, 1.0, times.size)
    samples = Series(times, (ratio * 128 + noise) * MIB)
    assert not verdict_for(history_of(samples), parameters(), float(times[-1])).is_at_risk


@pytest.mark.parametrize("order", ["reversed", "shuffled", "doubled"])
def test_the_order_and_repetition_of_samples_do_not_matter(order):
    pairs = [(5.0 * i, (20 + 2.5 * i) * MIB) for i in range(40)]
    rng = np.random.default_rng(3)
    changed = {"reversed": pairs[::-1], "shuffled": [pairs[i] for i in rng.permutation(40)], "doubled": pairs * 2}[
        order
    ]
    assert verdict_for(history_of(Series.of(changed)), parameters(), 195.0) == verdict_for(
        history_of(Series.of(pairs)), parameters(), 195.0
    )
