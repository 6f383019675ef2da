"""The sets of the second round: labels, determinism, and what the detector gets of a case."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.detect.long_sets import LONG_SETS, SIZES, SLOW_AHEAD_S

SEED = 7


@pytest.fixture(scope="module")
def built():
    return {name: list(found.build(SEED)) for name, found in LONG_SETS.items()}


@pytest.mark.parametrize("name", LONG_SETS)
def test_the_same_seed_builds_the_same_traces(built, name):
    again = list(LONG_SETS[name].build(SEED))
    for first, second in zip(built[name], again, strict=True):
        assert (first.trace.name, first.kind, first.leaks) == (second.trace.name, second.kind, second.leaks)
        assert np.array_equal(first.trace.history.rss.values, second.trace.history.rss.values)
        assert np.array_equal(first.trace.history.working_set.values, second.trace.history.working_set.values)


@pytest.mark.parametrize("name", LONG_SETS)
def test_other_seeds_build_other_traces(built, name):
    other = next(iter(LONG_SETS[name].build(SEED + 1)))
    assert other.trace.name != built[name][0].trace.name


@pytest.mark.parametrize("name", LONG_SETS)
def test_harmless_containers_are_never_killed_and_leaks_have_an_onset(built, name):
    for case in built[name]:
        if case.leaks:
            assert case.trace.onset_s is not None
            assert case.trace.start_s <= case.trace.onset_s
        else:
            assert case.trace.oom_s is None
            assert case.trace.history.rss.values.max() < case.trace.history.limit_bytes


@pytest.mark.parametrize("name", sorted(set(LONG_SETS) - {"slow-harmless"}))
def test_nearly_all_leaks_end_in_an_oom_kill(built, name):
    ends = [case.is_oom_bound for case in built[name] if case.leaks]
    assert sum(ends) > 0.7 * len(ends)


@pytest.mark.parametrize("name", LONG_SETS)
def test_times_increase_and_memory_is_within_the_limit(built, name):
    for case in built[name]:
        history = case.trace.history
        assert (np.diff(history.rss.times_s) > 0).all()
        assert history.started_at_s <= history.rss.first_s
        assert history.working_set.values.max() <= history.limit_bytes
        assert (history.working_set.values >= history.rss.values).all()


def test_the_detector_gets_the_active_page_cache_only_where_it_is_known(built):
    for case in (*built["page-cache"], *built["other-memory"]):
        assert bool(len(case.trace.history.active_file)) == case.kind.endswith("cache known")
        assert len(case.unreclaimable) == len(case.trace.history.rss)


def test_slow_leaks_must_be_reported_a_day_ahead(built):
    assert {c.ahead_s for c in built["slow"]} == {SLOW_AHEAD_S}
    assert {c.ahead_s for c in built["cpu"]} == {3600.0}


def test_the_sizes_increase():
    for found in LONG_SETS.values():
        assert list(found.seeds) == sorted(found.seeds)
        assert [found.count(s) for s in SIZES] == list(found.seeds)


def test_a_full_set_has_300_leaks_or_3000_harmless_pod_days():
    """Averages over a few seeds."""
    for name, found in LONG_SETS.items():
        seeds = range(3)
        cases = [c for s in seeds for c in found.build(s)]
        leaks = sum(c.is_oom_bound for c in cases) * found.count("full") / len(seeds)
        days = sum(c.trace.days for c in cases if not c.leaks) * found.count("full") / len(seeds)
        assert leaks >= 300 or not any(c.leaks for c in cases), name
        assert days >= 3000 or all(c.leaks for c in cases), name
