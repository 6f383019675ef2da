"""Histories of peers in steps: one that was read in steps and one with all samples are the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.detection.container_history import ContainerHistory
from memroll.detection.parameters import build_parameters
from memroll.detection.peer_steps import in_steps, step_of
from memroll.detection.peers import ended_at_limit, recent_peers
from memroll.detection.samples import SampleRange
from memroll.detection.series import Series
from tests.builders import policy

HOUR_S = 3600.0
STEP_S = 300.0
LOOKBACK_S = 2 * HOUR_S
T0 = 1_700_000_100.0
"""Multiple of a step."""
GIB = 2**30


def history(times_s: list[float], values: list[float]) -> ContainerHistory:
    series = Series(np.array(times_s), np.array(values))
    return ContainerHistory(series, series, T0 - HOUR_S, GIB, load=series)


def pairs(series: Series) -> list[tuple[float, float]]:
    return list(zip(series.times_s.tolist(), series.values.tolist(), strict=True))


@pytest.mark.parametrize("window", ["1m", "30m", "1h", "90m", "2h", "6h", "12h", "24h"])
def test_a_step_of_peers_is_a_multiple_of_that_of_candidates(window):
    parameters = build_parameters(policy(growth={"window": window, "for": window}), None)
    own_s, step_s = SampleRange.for_window(parameters.lookback_s, parameters.window_s).step_s, step_of(parameters)
    if step_s is None:
        assert own_s is None or 2 * own_s > parameters.window_s / 72
        return
    assert own_s is not None
    assert round(step_s * 1000) % round(own_s * 1000) == 0
    assert own_s < step_s <= parameters.window_s / 72


def test_peers_are_read_in_steps_of_five_minutes_with_the_default_window():
    assert step_of(build_parameters(policy(), None)) == STEP_S


def test_a_step_has_its_extreme_and_the_time_of_its_end():
    now_s = T0 + 2 * STEP_S + 100
    times = [T0, T0 + 1, T0 + 299, T0 + 300, T0 + 301, T0 + 600, T0 + 650]
    found = in_steps(history(times, [9, 5, 8, 7, 3, 4, 6]), STEP_S, LOOKBACK_S, now_s)
    assert pairs(found.rss) == [(T0, 9), (T0 + 300, 5), (T0 + 600, 3), (now_s, 6)]
    assert pairs(found.working_set) == [(T0, 9), (T0 + 300, 8), (T0 + 600, 4), (now_s, 6)]
    assert not len(found.load)


def test_neither_later_samples_nor_steps_that_began_too_early_count():
    times = [T0 - STEP_S - 1, T0 - 1, T0 + 1, T0 + 200]
    found = in_steps(history(times, [1, 2, 3, 4]), STEP_S, 400.0, T0 + 100)
    assert pairs(found.rss) == [(T0, 2), (T0 + 100, 3)]
    assert not len(in_steps(history([T0 - STEP_S], [1]), STEP_S, 100.0, T0).rss)


def test_without_steps_the_samples_stay_as_they_are():
    found = in_steps(history([T0 - 500, T0, T0 + 1], [1, 2, 3]), None, 400.0, T0)
    assert pairs(found.rss) == [(T0, 2)]


@given(st.lists(st.integers(0, 8000), min_size=1, max_size=300, unique=True), st.integers(0, 9000), st.randoms())
def test_steps_of_a_minute_and_all_samples_give_the_same(seconds, now, random):
    now_s = T0 + now
    times = [T0 + s for s in sorted(seconds)]
    full = history(times, [random.uniform(1, 9) for _ in times])
    minutes = in_steps(full, 60.0, LOOKBACK_S, now_s)
    once, twice = (in_steps(h, STEP_S, LOOKBACK_S, now_s) for h in (full, minutes))
    for name in ("rss", "working_set"):
        assert pairs(getattr(once, name)) == pairs(getattr(twice, name))
    assert all(t <= now_s for t in once.rss.times_s)


def test_a_worker_that_was_killed_is_a_lifetime_of_its_own_also_in_steps():
    """The kill belongs to the lifetime that it ended, and the running one has not ended at its limit."""
    minutes = np.arange(0, 10 * 60)
    levels = np.where(minutes < 400, 0.5 + 0.49 * minutes / 400, 0.2 + 0.1 * minutes / 600) * GIB
    times = T0 + 60.0 * minutes
    series = Series(times, levels)
    peer = ContainerHistory(series, series, T0, GIB, oom_kills_s=(float(times[400]) + 30,))
    parameters, now_s = build_parameters(policy(), GIB), float(times[-1])
    running, killed = recent_peers([peer], parameters, now_s)
    assert (ended_at_limit(running, now_s), ended_at_limit(killed, now_s)) == (False, True)


def test_memory_that_falls_within_a_quarter_of_an_hour_is_no_restart_of_a_peer():
    """A batch job frees its memory: as a restart, the fall would not count as a fluctuation of the workload."""
    minutes = np.arange(0, 10 * 60)
    levels = np.interp(minutes, [0, 300, 315, 600], [0.3, 0.9, 0.3, 0.4]) * GIB
    series = Series(T0 + 60.0 * minutes, levels)
    peer = ContainerHistory(series, series, T0, GIB)
    parameters = build_parameters(policy(), GIB)
    assert len(recent_peers([peer], parameters, float(series.last_s))) == 1
