"""Memory outside of the RSS: reported where it grows up to the limit, rolled only if the policy opts in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.container_history import ContainerHistory
from memroll.detection.reasons import VerdictReason
from memroll.detection.series import EMPTY, Series
from memroll.detection.verdict import Verdict, verdict_for
from tests.builders import MIB
from tests.unit.detection.days import PARAMETERS

LIMIT_MIB, HOUR_S = 500, 3600.0
NOW_S = 30 * HOUR_S
TIMES_S = np.arange(60.0, NOW_S + 1, 60.0)
AGE_H = TIMES_S / HOUR_S


def container(other_mib, rss_mib=19, cache_mib=None, swap_mib=None):
    noise = np.random.default_rng(1).normal(0, 0.3, TIMES_S.size)
    rss = np.broadcast_to(rss_mib, TIMES_S.shape) + noise
    cache = np.broadcast_to(0 if cache_mib is None else cache_mib, TIMES_S.shape)
    used = np.minimum(rss + other_mib + cache, LIMIT_MIB)
    rows = [Series(TIMES_S, np.asarray(v, float) * MIB) for v in (rss, used, cache)]
    swap = EMPTY if swap_mib is None else Series(TIMES_S, np.broadcast_to(swap_mib, TIMES_S.shape) * MIB)
    known = EMPTY if cache_mib is None else rows[2]
    return ContainerHistory(rows[0], rows[1], 0.0, LIMIT_MIB * MIB, active_file=known, swap=swap)


def growing(left_h, over_h=15.0):
    """Return memory that reaches the limit this many hours from now, after growing this long."""
    return np.clip(20 + 461 * (AGE_H - (30 + left_h - over_h)) / over_h, 20, 481)


@pytest.mark.parametrize("cache_mib", [None, 3.0])
@pytest.mark.parametrize("over_h", [6.0, 15.0, 28.0])
def test_growth_outside_of_the_rss_is_reported_an_hour_before_the_limit(cache_mib, over_h):
    found = verdict_for(container(growing(1.1, over_h), cache_mib=cache_mib), PARAMETERS, NOW_S)
    assert (found.verdict, found.reason) == (Verdict.SUSPECTED, VerdictReason.OTHER_MEMORY), found
    assert not found.due
    assert "memory volume" in found.message
    assert ("page cache" in found.message) is (cache_mib is None)


def test_it_is_rolled_if_the_policy_opts_in_and_the_page_cache_is_known():
    parameters = replace(PARAMETERS, roll_other_memory=True)
    found = verdict_for(container(growing(0.6), cache_mib=3.0), parameters, NOW_S)
    assert (found.verdict, found.reason, found.due) == (Verdict.EXHAUSTING, VerdictReason.OTHER_MEMORY, True)
    unknown = verdict_for(container(growing(0.6)), parameters, NOW_S)
    assert (unknown.reason, unknown.due) == (VerdictReason.OTHER_MEMORY, False)


def test_page_cache_that_fills_up_is_neither_reported_nor_rolled():
    cache = np.clip(18 * AGE_H, 0, 470)
    found = verdict_for(container(5, cache_mib=cache), replace(PARAMETERS, roll_other_memory=True), NOW_S)
    assert found.verdict is Verdict.HEALTHY, found


def test_a_full_memory_volume_that_does_not_grow_is_healthy():
    assert verdict_for(container(475), PARAMETERS, NOW_S).verdict is Verdict.HEALTHY


def test_swap_that_grows_is_named():
    swap = np.clip(30 * (AGE_H - 14), 0, None)
    found = verdict_for(container(420, cache_mib=1.0, swap_mib=swap), PARAMETERS, NOW_S)
    assert found.reason is VerdictReason.OTHER_MEMORY, found
    assert "swap" in found.message


def test_unreclaimable_memory_near_its_limit_that_rises_is_not_healthy():
    """It rises by 0.1 % of the limit an hour, too slowly to be reported."""
    slow = 440 + 0.6 * AGE_H + 18
    found = verdict_for(container(slow, cache_mib=1.0), PARAMETERS, NOW_S)
    assert found.verdict is not Verdict.HEALTHY, found
