"""One gap of 30 to 120 minutes: at the same time in a whole fleet, or in the last hours of a leak."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.detect import fleets, gaps

MINUTE_S = 60.0


def removed(before, after):
    return np.setdiff1d(before.t_s, after.t_s)


@pytest.mark.parametrize("seed", range(6))
def test_a_harmless_fleet_has_one_gap_at_one_time(seed):
    rng = np.random.default_rng(seed)
    fleet = fleets.harmless("daily", rng, tight=True)
    missing = [removed(a, b) for a, b in zip(fleet, gaps.in_harmless(rng, fleet), strict=True)]
    times = np.unique(np.concatenate(missing))
    assert times.size
    assert times[-1] - times[0] <= gaps.MAX_GAP_S
    running = [m for m, trace in zip(missing, fleet, strict=True) if trace.t_s[0] < times[0] - MINUTE_S]
    assert all(m.size for m in running)


def test_most_gaps_end_right_before_the_peak():
    before_peak = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        fleet = fleets.harmless("daily", rng, tight=True)
        highest = max(fleet, key=lambda t: float(t.working_set.max()))
        after = next(t for t in gaps.in_harmless(rng, fleet) if t.name == highest.name)
        peak_s = highest.t_s[int(highest.working_set.argmax())]
        before_peak += bool(removed(highest, after).size) and 0 <= peak_s - removed(highest, after)[-1] <= 660
    assert 10 <= before_peak < 20


@pytest.mark.parametrize("seed", range(4))
def test_a_leak_has_its_gap_in_its_last_hours(seed):
    rng = np.random.default_rng(seed)
    fleet = fleets.leaking("all", rng)
    found = 0
    for before, after in zip(fleet, gaps.in_leaking(rng, fleet), strict=True):
        assert after.oom_s == before.oom_s
        times = removed(before, after)
        if before.oom_s is None or before.oom_s - before.t_s[0] < gaps.MIN_LIFETIME_S:
            assert not times.size
            continue
        found += 1
        assert before.oom_s - gaps.MAX_BEFORE_OOM_S - gaps.MAX_GAP_S <= times[0] <= times[-1] <= before.oom_s
    assert found or seed


def test_a_gap_cuts_all_series_and_not_the_start():
    (before, *_) = fleets.harmless("shift", np.random.default_rng(3), tight=True)
    after = gaps.without(before, before.t_s[0] - 1, before.t_s[100])
    assert after.start_s == before.t_s[0]
    assert after.t_s.size == after.rss.size == after.working_set.size == before.t_s.size - 100
