"""Samples of a container, as functions of time: any part of a series can be computed by itself. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.bench.scale.fleet import APP, LIMITS_MIB, MIB, Shape, digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.bench.scale.fleet import FleetPod

    Samples = NDArray[np.float64]

PAGE_BYTES = 4096
DAY_S = 86400.0
WANDER_RATIO = 0.003
"""Slow wander of flat memory, as a ratio of the limit: its slope stays below the default threshold of a leak."""
NOISE_RATIO = 0.001
SAWTOOTH_RATIO = 0.08
DAILY_RATIO = 0.04
CACHE_RATIO = 0.05
CLIMB_START_RATIO = 0.15
MIN_CLIMB_RATIO, MAX_CLIMB_RATIO = 0.007, 0.01
"""Growth per hour of leaking memory, as a ratio of the limit: well above the default threshold of 0.5 %. After 48 h
and the run it is still far from the limit: no pod is rolled."""


def random_ratio(*parts: str) -> float:
    """Return a number from 0 to 1 that is always the same for these names."""
    return int(digest(*parts)[:8], 16) / 0xFFFFFFFF


def rss_ratio(pod: FleetPod, container: str, times_s: Samples, started_s: float) -> Samples:
    """Return the RSS as a ratio of the limit."""
    shape = pod.shape if container == APP else Shape.FLAT
    seed = (str(pod.number), container)
    phase = 2 * np.pi * random_ratio("phase", *seed)
    period_s = 3600 * (3 + 6 * random_ratio("period", *seed))
    noise = np.random.default_rng([pod.number, len(container), int(times_s[0])]).normal(0, NOISE_RATIO, len(times_s))
    base = noise + WANDER_RATIO * np.sin(2 * np.pi * times_s / period_s + phase)
    if shape is Shape.CLIMBING:
        rate = MIN_CLIMB_RATIO + (MAX_CLIMB_RATIO - MIN_CLIMB_RATIO) * random_ratio("rate", *seed)
        return base + CLIMB_START_RATIO + rate * (times_s - started_s) / 3600
    if shape is Shape.SAWTOOTH:
        saw_s = 60 * (20 + 30 * random_ratio("saw", *seed))
        return base + 0.35 + SAWTOOTH_RATIO * np.mod(times_s / saw_s + phase, 1.0)
    if shape is Shape.DAILY:
        return base + 0.35 + DAILY_RATIO * np.sin(2 * np.pi * times_s / DAY_S)
    return base + 0.35


def rss_bytes(pod: FleetPod, container: str, times_s: Samples, started_s: float) -> Samples:
    memory = rss_ratio(pod, container, times_s, started_s) * LIMITS_MIB[container] * MIB
    return np.round(memory / PAGE_BYTES) * PAGE_BYTES


def cpu_seconds(pod: FleetPod, container: str, times_s: Samples, started_s: float) -> Samples:
    """Return the counter of CPU seconds: with a daily wave for pods whose memory has one."""
    cores = 0.05 + 0.2 * random_ratio("cpu", str(pod.number), container)
    wave = 0.5 if pod.shape is Shape.DAILY else 0.05
    angle = 2 * np.pi / DAY_S
    waves = (np.cos(angle * started_s) - np.cos(angle * times_s)) / angle
    return np.round(cores * (times_s - started_s + wave * waves), 3)


def series(pod: FleetPod, container: str, times_s: Samples, started_s: float) -> dict[str, Samples]:
    """Return the series of a container by metric, as cAdvisor exports them.

    The page cache and swap, which are read of candidates only, exist for main containers that leak.
    """
    rss = rss_bytes(pod, container, times_s, started_s)
    cache = np.full_like(rss, round(CACHE_RATIO * LIMITS_MIB[container] * MIB / PAGE_BYTES) * PAGE_BYTES)
    found = {
        "container_memory_rss": rss,
        "container_memory_working_set_bytes": rss + cache,
        "container_cpu_usage_seconds_total": cpu_seconds(pod, container, times_s, started_s),
        "container_oom_events_total": np.zeros_like(rss),
    }
    if pod.shape is Shape.CLIMBING and container == APP:
        found["container_memory_total_active_file_bytes"] = cache
        found["container_memory_swap"] = np.zeros_like(rss)
    return found
