"""CPU that a leak causes, and memory that load causes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.detect import cpu

HOUR_S = 3600.0


@pytest.mark.parametrize("shape", cpu.LEAKS)
def test_the_load_of_a_leak_grows_with_its_memory(shape):
    (trace,) = cpu.leak(shape, np.random.default_rng(1), with_load=True)
    assert trace.oom_s is not None
    growing = trace.t_s > trace.onset_s
    assert np.corrcoef(trace.rss[growing], trace.load[growing])[0, 1] > 0.6


@pytest.mark.parametrize("shape", cpu.LEAKS)
def test_the_same_leak_without_load_differs_in_nothing_else(shape):
    (with_load,), (without,) = (cpu.leak(shape, np.random.default_rng(2), with_load=w) for w in (True, False))
    assert without.load.size == 0
    assert np.array_equal(with_load.rss, without.rss)
    assert with_load.oom_s == without.oom_s


@pytest.mark.parametrize("shape", cpu.LEAKS)
def test_the_rss_ends_at_the_limit(shape):
    for seed in range(3):
        (trace,) = cpu.leak(shape, np.random.default_rng(seed), with_load=True)
        low, high = cpu.DURATIONS_H.get(shape, cpu.DEFAULT_DURATION_H)
        assert 0.6 * low < (trace.oom_s - trace.onset_s) / HOUR_S < 1.3 * high
        assert trace.rss[-1] > 0.88 * trace.limit_bytes


@pytest.mark.parametrize("kind", cpu.HARMLESS)
def test_harmless_memory_follows_the_load(kind):
    followed = 0
    for trace in (t for seed in range(3) for t in cpu.harmless(kind, np.random.default_rng(seed), replicas=2)):
        assert (trace.leaks, trace.oom_s) == (False, None)
        assert trace.working_set.max() <= cpu.HARMLESS_PEAK[1] * trace.limit_bytes
        hours = (trace.t_s[trace.t_s > trace.t_s[0] + 3 * HOUR_S] // HOUR_S).astype(int)
        hours -= hours[0]
        load, rss = (np.bincount(hours, v[-hours.size :]) / np.bincount(hours) for v in (trace.load, trace.rss))
        if np.ptp(load) > 0.3 * load.mean():
            followed += 1
            assert np.corrcoef(load, rss)[0, 1] > 0.6
    assert followed
