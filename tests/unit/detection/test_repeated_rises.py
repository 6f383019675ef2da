"""Batches that fill memory and give it back, again and again: no leak, unless their peaks rise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.reasons import VerdictReason
from memroll.detection.repeated_rises import explain, find_cycles
from memroll.detection.series import Series
from memroll.detection.verdict import verdict_for
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, NOW_H, NOW_S, PARAMETERS, leak, lived

BASE_MIB, HIGH_MIB = 450, 520
BEFORE_PEAK_H = 0.3


def batches(every_h, *, leak_mib_per_h=0.0, since_h=0.0, jitter=0.01, seed=0, before_peak_h=BEFORE_PEAK_H):
    """Build straight rises of `HIGH_MIB` that are freed after each period; the present one ends in some minutes."""
    heights = np.random.default_rng(seed).uniform(1 - 2 * jitter, 1, 200)

    def curve(h):
        cycle, position = np.divmod(h - NOW_H - before_peak_h + 100 * every_h, every_h)
        rise = HIGH_MIB * heights[cycle.astype(int)] * position / every_h
        return BASE_MIB + rise + leak_mib_per_h * np.clip(h - since_h, 0, None)

    return lived(curve, seed=seed)


def due_hours(history, hours):
    return [h for h in hours if verdict_for(history.as_of(h * HOUR_S), PARAMETERS, h * HOUR_S).due]


@pytest.mark.parametrize("every_h", [2, 6, 8, 12])
@pytest.mark.parametrize("seed", range(2))
def test_a_rise_that_repeats_is_neither_due_nor_a_leak(every_h, seed):
    for before_h in (0.05, 0.3, 0.7):
        history = batches(every_h, seed=seed, before_peak_h=before_h, jitter=0.02)
        found = verdict_for(history, PARAMETERS, NOW_S)
        assert not found.is_at_risk, (before_h, found)


def test_a_rise_of_hours_that_repeats_is_named():
    """Without its past, the same rise is due: nothing else distinguishes it from a leak."""
    history = batches(6)
    found = verdict_for(history, PARAMETERS, NOW_S)
    assert found.reason is VerdictReason.REPEATED_RISES
    assert "rose and fell 5 times before, about every 6h" in found.message
    first = history.between(NOW_S - 5.6 * HOUR_S, NOW_S)
    assert verdict_for(first, PARAMETERS, NOW_S).due


@pytest.mark.parametrize("every_h", [2, 8, 12])
def test_a_leak_beneath_batches_is_due_before_the_limit(every_h):
    """Each peak is higher than the one before: the next one reaches the limit."""
    history = batches(every_h, leak_mib_per_h=4, since_h=10, jitter=0.0)
    at_limit = np.flatnonzero(history.rss.values >= 1024 * MIB)
    end_h = (history.rss.times_s[at_limit[0]] if at_limit.size else NOW_S + 0.2 * HOUR_S) / HOUR_S
    assert due_hours(history, end_h - np.arange(0.1, 1.5, 0.1))


def test_a_leak_that_exceeds_the_peaks_is_not_explained():
    history = batches(2, leak_mib_per_h=0)
    values = history.rss.values.copy()
    recent = history.rss.times_s > NOW_S - 5 * HOUR_S
    values[recent] = np.linspace(600, 985, recent.sum()) * MIB
    leaking = replace(history, rss=Series(history.rss.times_s, values), working_set=Series(history.rss.times_s, values))
    assert explain(history, PARAMETERS, NOW_S, None, due=True)
    assert explain(leaking, PARAMETERS, NOW_S, None, due=True) == ""


def test_cycles_that_an_oom_kill_ended_were_not_survived():
    history = batches(6)
    assert explain(history, PARAMETERS, NOW_S, None, due=True)
    killed = replace(history, oom_kills_s=(NOW_S - 6 * HOUR_S + BEFORE_PEAK_H * HOUR_S,))
    assert explain(killed, PARAMETERS, NOW_S, None, due=True) == ""


def test_growth_has_no_cycles():
    history = lived(leak(15))
    assert len(find_cycles(history.usage, 100.0 * MIB)) == 0
    assert explain(history, PARAMETERS, NOW_S, None, due=True) == ""


def test_cycles_are_cut_at_their_peaks():
    usage = Series(np.arange(9.0), np.array([1, 5, 9, 3, 2, 8, 10, 1, 6]) * 1.0)
    cycles = find_cycles(usage, 5.0)
    assert cycles.peaks_s.tolist() == [2, 6]
    assert cycles.peaks_bytes.tolist() == [9, 10]
    assert cycles.troughs_bytes.tolist() == [2, 1]
