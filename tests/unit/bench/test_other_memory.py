"""tmpfs and slab end in an OOM kill with flat RSS; page cache that fills in the same way does not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.detect import other_memory

HOUR_S = 3600.0


def container(kind, seed, *, cache_known=True):
    (trace,) = other_memory.container(kind, np.random.default_rng(seed), cache_known=cache_known)
    return trace


@pytest.mark.parametrize("kind", other_memory.LEAKS)
@pytest.mark.parametrize("seed", range(5))
def test_other_memory_grows_up_to_the_limit(kind, seed):
    trace = container(kind, seed)
    hours = (trace.oom_s - trace.onset_s) / HOUR_S
    assert 0.7 * other_memory.DURATIONS_H[0] < hours < 1.5 * other_memory.DURATIONS_H[1]
    assert trace.unreclaimable[-1] > 0.9 * trace.limit_bytes
    assert trace.active_file.max() < 0.04 * trace.limit_bytes
    settled = trace.rss[trace.t_s > HOUR_S]
    assert np.quantile(settled, 0.95) - np.quantile(settled, 0.05) < 0.08 * trace.limit_bytes


@pytest.mark.parametrize("seed", range(5))
def test_page_cache_that_fills_is_no_leak(seed):
    trace = container("cache-fill", seed)
    assert (trace.leaks, trace.oom_s) == (False, None)
    assert trace.unreclaimable.max() < 0.75 * trace.limit_bytes
    assert trace.working_set.max() > 0.93 * trace.limit_bytes
    assert trace.active_file.max() > 0.3 * trace.limit_bytes


def test_the_store_may_not_have_the_active_page_cache():
    assert container("tmpfs", 1, cache_known=False).active_file.size == 0
