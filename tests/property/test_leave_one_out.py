"""One sample more or less does not change the time to the limit of a leak by much."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from memroll.detection.container_history import ContainerHistory
from memroll.detection.series import Series
from memroll.detection.verdict import verdict_for
from tests.property.test_detector import HOUR_S, LIMIT_BYTES, PARAMETERS

ONSET_H, END_H = 28.0, 44.0
MIN_LEFT_S = 600.0
MAX_CHANGE = 0.1
MAX_CHANGE_SCRAPES = 2


def leak(shape: str, scrape_s: float, hours: float, noise: float, seed: int) -> Series:
    """Build a container that leaks from hour 28 on, up to its limit."""
    rng = np.random.default_rng(seed)
    times = np.arange(0, END_H * HOUR_S, scrape_s)
    grown = np.clip((times / HOUR_S - ONSET_H) / hours, 0, None)
    level = 0.3 + 0.7 * (np.floor(grown * 15) / 15 if shape == "stairs" else grown) + rng.normal(0, noise, times.size)
    if shape == "daily":
        level = level + 0.08 * np.sin(2 * np.pi * (times / HOUR_S / 24 + rng.uniform()))
    at_limit = np.flatnonzero(level >= 1)
    end = int(at_limit[0]) if at_limit.size else times.size
    return Series(times[:end], level[:end] * LIMIT_BYTES)


def time_to_limit_s(samples: Series, at_s: float) -> float | None:
    return verdict_for(ContainerHistory(samples, samples, 0.0, LIMIT_BYTES), PARAMETERS, at_s).time_to_limit_s


@given(
    shape=st.sampled_from(["line", "daily", "stairs"]),
    scrape_s=st.sampled_from([30.0, 60.0, 300.0]),
    hours=st.floats(8, 16),
    noise=st.sampled_from([0.0005, 0.001, 0.004]),
    seed=st.integers(0, 2**32 - 1),
    lived=st.floats(0.85, 0.995),
    left_out=st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_one_sample_does_not_change_the_time_to_the_limit(*, shape, scrape_s, hours, noise, seed, lived, left_out):
    samples = leak(shape, scrape_s, hours, noise, seed)
    at_s = float(samples.times_s[int(lived * len(samples))])
    whole_s = time_to_limit_s(samples, at_s)
    assume(whole_s is not None and whole_s > MIN_LEFT_S)
    window = np.flatnonzero((samples.times_s > at_s - PARAMETERS.window_s) & (samples.times_s <= at_s))
    for ratio in left_out:
        kept = np.arange(len(samples)) != window[int(ratio * (window.size - 1))]
        found_s = time_to_limit_s(Series(samples.times_s[kept], samples.values[kept]), at_s)
        if found_s is not None:  # else at the boundary of another check
            assert abs(found_s - whole_s) <= max(MAX_CHANGE * whole_s, MAX_CHANGE_SCRAPES * scrape_s)


def leak_under_collections(scrape_s: float, hours: float, every_s: float, height: float, seed: int) -> Series:
    """Build a container that leaks from hour 28 on, up to its limit, beneath collections of this period and height."""
    rng = np.random.default_rng(seed)
    times = np.arange(0, END_H * HOUR_S, scrape_s)
    grown = np.clip((times / HOUR_S - ONSET_H) / hours, 0, None)
    collected = (times / every_s + rng.uniform()) % 1
    level = 0.3 + (0.7 - height) * grown + height * collected + rng.normal(0, 0.001, times.size)
    at_limit = np.flatnonzero(level >= 1)
    end = int(at_limit[0]) if at_limit.size else times.size
    return Series(times[:end], level[:end] * LIMIT_BYTES)


@given(
    scrape_s=st.sampled_from([30.0, 60.0, 300.0]),
    hours=st.floats(8, 16),
    scrapes=st.sampled_from([5.0, 13.0, 20.5, 60.0]),
    height=st.sampled_from([0.03, 0.08, 0.15, 0.25]),
    seed=st.integers(0, 2**32 - 1),
    lived=st.floats(0.85, 0.995),
    left_out=st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_one_sample_between_collections_changes_it_by_a_scrape(
    *, scrape_s, hours, scrapes, height, seed, lived, left_out
):
    """The highest sample may be left out: a scrape, and two of the rise between collections, are allowed."""
    samples = leak_under_collections(scrape_s, hours, scrapes * scrape_s, height, seed)
    at_s = float(samples.times_s[int(lived * len(samples))])
    whole_s = time_to_limit_s(samples, at_s)
    assume(whole_s is not None and whole_s > MIN_LEFT_S)
    window = np.flatnonzero((samples.times_s > at_s - PARAMETERS.window_s) & (samples.times_s <= at_s))
    rise_s = MAX_CHANGE_SCRAPES * (height / scrapes) / ((0.7 - height) / hours) * HOUR_S + scrape_s
    for ratio in left_out:
        kept = np.arange(len(samples)) != window[int(ratio * (window.size - 1))]
        found_s = time_to_limit_s(Series(samples.times_s[kept], samples.values[kept]), at_s)
        if found_s is not None:  # else at the boundary of another check
            assert abs(found_s - whole_s) <= max(MAX_CHANGE * whole_s, MAX_CHANGE_SCRAPES * scrape_s, rise_s)
