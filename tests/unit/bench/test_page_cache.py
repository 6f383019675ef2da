"""Page cache holds the working set at 90 to 99 % of the limit, and gives way to a leak until the OOM kill."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.detect import page_cache

HOUR_S = 3600.0
FILLED_S = 24 * HOUR_S
"""Time after which page cache has filled the limit."""


def container(kind, seed, *, cache_known):
    (trace,) = page_cache.container(kind, np.random.default_rng(seed), cache_known=cache_known)
    return trace


def filled(trace):
    return trace.t_s > FILLED_S


@pytest.mark.parametrize("kind", [*page_cache.HARMLESS, *page_cache.LEAKS])
@pytest.mark.parametrize("seed", range(3))
def test_the_working_set_is_pinned(kind, seed):
    trace = container(kind, seed, cache_known=False)
    pinned = trace.working_set[filled(trace)] / trace.limit_bytes
    assert pinned.min() > 0.87
    assert np.quantile(pinned, 0.9) - np.quantile(pinned, 0.1) < 0.12


@pytest.mark.parametrize("kind", page_cache.HARMLESS)
def test_the_rss_of_a_harmless_container_stays_far_from_the_limit(kind):
    trace = container(kind, 1, cache_known=True)
    assert (trace.leaks, trace.oom_s) == (False, None)
    assert trace.rss.max() < 0.65 * trace.limit_bytes
    assert trace.unreclaimable.max() < 0.75 * trace.limit_bytes


@pytest.mark.parametrize("kind", page_cache.LEAKS)
@pytest.mark.parametrize("seed", range(3))
def test_a_leak_ends_where_rss_and_other_memory_fill_the_limit(kind, seed):
    trace = container(kind, seed, cache_known=True)
    assert trace.leaks
    assert trace.oom_s is not None
    assert trace.unreclaimable[-1] > 0.93 * trace.limit_bytes
    assert trace.rss[-1] < trace.unreclaimable[-1] < trace.rss[-1] + 0.07 * trace.limit_bytes
    assert trace.working_set[filled(trace)].max() <= trace.limit_bytes


@pytest.mark.parametrize("kind", ["daily", "leak"])
def test_the_known_cache_separates_the_working_set(kind):
    trace = container(kind, 2, cache_known=True)
    assert np.abs(trace.working_set - trace.active_file - trace.unreclaimable).max() <= 2


@pytest.mark.parametrize("kind", ["flat", "slow-leak"])
def test_an_unknown_cache_is_the_only_difference(kind):
    known, unknown = (container(kind, 3, cache_known=k) for k in (True, False))
    assert known.active_file.size == known.rss.size
    assert unknown.active_file.size == 0
    for name in ("t_s", "rss", "working_set", "unreclaimable"):
        assert np.array_equal(getattr(known, name), getattr(unknown, name))
    assert known.oom_s == unknown.oom_s
