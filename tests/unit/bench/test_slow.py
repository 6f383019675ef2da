"""Slow leaks take one to three weeks to an OOM kill; harmless services over three weeks stay below their limits."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.detect import slow
from tests.bench.detect.pod_memory import SCRAPES_S

DAY_S = 86_400.0


@pytest.mark.parametrize("kind", slow.LEAKS)
@pytest.mark.parametrize("seed", range(3))
def test_a_slow_leak_ends_at_its_limit_after_one_to_three_weeks(kind, seed):
    for trace in slow.leaking(kind, np.random.default_rng(seed), replicas=2):
        assert trace.leaks
        assert trace.onset_s is not None
        assert trace.oom_s is not None
        assert 0.8 * slow.MIN_DAYS <= (trace.oom_s - trace.onset_s) / DAY_S <= 1.25 * slow.MAX_DAYS
        assert trace.t_s[-1] <= trace.oom_s < trace.t_s[-1] + max(SCRAPES_S)
        assert trace.rss[-1] > 0.9 * trace.limit_bytes
        assert 0.1 < trace.rss[0] / trace.limit_bytes < 0.6


@pytest.mark.parametrize("kind", slow.LEAKS)
def test_a_slow_leak_does_not_grow_before_its_onset(kind):
    late = 0
    for seed in range(6):
        (trace,) = slow.leaking(kind, np.random.default_rng(seed), replicas=1)
        before = trace.rss[(trace.t_s < trace.onset_s) & (trace.t_s > DAY_S / 8)] / trace.limit_bytes
        if before.size > 100:
            late += 1
            third = before.size // 3
            assert np.median(before[-third:]) - np.median(before[:third]) < 0.13
    assert late


@pytest.mark.parametrize("kind", slow.HARMLESS)
@pytest.mark.parametrize("seed", range(3))
def test_a_harmless_service_never_reaches_its_limit(kind, seed):
    low, high = slow.PEAKS.get(kind, slow.DEFAULT_PEAK)
    for trace in slow.harmless(kind, np.random.default_rng(seed), replicas=2):
        assert (trace.leaks, trace.onset_s, trace.oom_s) == (False, None, None)
        assert trace.working_set.max() < 1.06 * high * trace.limit_bytes
        assert trace.t_s[-1] > 20.9 * DAY_S
        assert trace.start_s > 0 or trace.working_set.max() > 0.9 * low * trace.limit_bytes


def test_the_rotation_of_a_log_in_the_page_cache_leaves_the_rss_flat():
    (trace,) = slow.harmless("log-rotation-cache", np.random.default_rng(1), replicas=1)
    cache = trace.working_set - trace.rss
    assert np.ptp(np.quantile(trace.rss, (0.05, 0.95))) < 0.3 * np.ptp(np.quantile(cache, (0.05, 0.95)))


def test_pods_of_a_fleet_are_peers_of_different_ages():
    pods = list(slow.leaking("straight", np.random.default_rng(2), replicas=4))
    assert len({p.workload for p in pods}) == 1
    assert pods[0].workload
    assert len({p.start_s for p in pods}) == 4
    assert len({(p.limit_bytes, float(np.median(np.diff(p.t_s)))) for p in pods}) == 1
