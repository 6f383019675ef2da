"""Batches of any period and phase that repeat are neither due nor leaks, once three of them were seen."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.detection.container_history import ContainerHistory
from memroll.detection.series import Series
from memroll.detection.verdict import verdict_for
from tests.property.test_detector import HOUR_S, LIMIT_BYTES, PARAMETERS

END_H = 42.0
MIN_CYCLES = 3


def batches(every_h: float, rising: float, peak: float, jitter: float, seed: int) -> Series:
    """Build rises over a part of each period up to about `peak`, freed at once, which end at the last sample."""
    rng = np.random.default_rng(seed)
    periods = every_h * rng.uniform(1 - jitter, 1 + jitter, int(END_H / every_h) + 3)
    ends = END_H + 0.02 - np.append(0.0, np.cumsum(periods))[::-1]
    hours = np.arange(0, END_H, 1 / 60)
    number = np.searchsorted(ends, hours)
    left = (ends[number] - hours) / every_h
    height = (peak - 0.4) * rng.uniform(1 - jitter, 1, ends.size)[number]
    level = 0.4 + height * np.clip(1 - left / rising, 0, 1) + rng.normal(0, 0.001, hours.size)
    return Series(hours * HOUR_S, level * LIMIT_BYTES)


@given(
    every_h=st.floats(1, 12),
    rising=st.floats(0.3, 1),
    peak=st.floats(0.82, 0.96),
    jitter=st.floats(0, 0.03),
    seed=st.integers(0, 2**32 - 1),
    ago=st.floats(0, 1),
)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_rises_that_repeat_are_never_due(*, every_h, rising, peak, jitter, seed, ago):
    samples = batches(every_h, rising, peak, jitter, seed)
    history = ContainerHistory(samples, samples, 0.0, LIMIT_BYTES)
    at_s = (END_H - ago * min(every_h, END_H - MIN_CYCLES * every_h)) * HOUR_S
    found = verdict_for(history, PARAMETERS, at_s)
    assert not found.due, found
