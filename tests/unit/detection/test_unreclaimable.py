"""Unreclaimable memory: by the series of the page cache, by what gives way under pressure, else the working set."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.container_history import ContainerHistory
from memroll.detection.series import EMPTY, Series
from memroll.detection.unreclaimable import unreclaimable_memory
from tests.builders import MIB
from tests.unit.detection.days import PARAMETERS

LIMIT_MIB = 1000
TIMES_S = np.arange(0.0, 6 * 3600, 60.0)
NOISE = np.random.default_rng(1).normal(0, 1, TIMES_S.size)


def series(values_mib):
    return Series(TIMES_S, np.broadcast_to(values_mib, TIMES_S.shape) * MIB)


def usage_mib(rss_mib, working_set_mib, cache_mib=None, limit=LIMIT_MIB * MIB):
    cache = EMPTY if cache_mib is None else series(cache_mib)
    history = ContainerHistory(series(rss_mib), series(working_set_mib), 0.0, limit, active_file=cache)
    return unreclaimable_memory(history, PARAMETERS).values / MIB


RISING = np.linspace(300, 600, TIMES_S.size)


def test_known_page_cache_is_subtracted():
    assert usage_mib(300.0, 960.0, cache_mib=600.0)[-1] == pytest.approx(360)


def test_it_is_never_less_than_the_rss_nor_more_than_the_working_set():
    assert usage_mib(300.0, 320.0, cache_mib=50.0)[-1] == pytest.approx(300)
    assert usage_mib(300.0, 290.0, cache_mib=50.0)[-1] == pytest.approx(290)


def test_memory_that_gives_way_to_a_leak_does_not_count():
    found = usage_mib(RISING, 970 + NOISE)
    assert found[-1] == pytest.approx(600 + 50, abs=5)


def test_memory_that_does_not_give_way_counts():
    assert usage_mib(RISING, RISING + 370)[-1] == pytest.approx(970)


def test_memory_that_no_longer_gives_way_counts_again():
    """The last 6 h decide: an hour ago the page cache was used up, and the working set rises with the RSS since."""
    times_s = np.arange(0.0, 20 * 3600, 60.0)
    rss = np.linspace(300, 900, times_s.size)
    working_set = np.where(times_s < 13 * 3600, 910.0, rss + 910 - rss[13 * 60])
    history = ContainerHistory(Series(times_s, rss * MIB), Series(times_s, working_set * MIB), 0.0, 1200 * MIB)
    low = ContainerHistory(history.rss, history.working_set, 0.0, 1000 * MIB)
    assert unreclaimable_memory(low, PARAMETERS).values[-1] == pytest.approx(working_set[-1] * MIB)


def test_without_pressure_the_working_set_counts():
    assert usage_mib(RISING, 800.0)[-1] == pytest.approx(800)


def test_a_flat_rss_shows_nothing_and_the_working_set_counts():
    assert usage_mib(300 + NOISE / 2, 970.0)[-1] == pytest.approx(970)


def test_without_a_limit_or_samples_the_working_set_counts():
    assert usage_mib(RISING, 970.0, limit=None)[-1] == pytest.approx(970)
    empty = ContainerHistory(EMPTY, EMPTY, 0.0, LIMIT_MIB * MIB)
    assert not len(unreclaimable_memory(empty, PARAMETERS))
