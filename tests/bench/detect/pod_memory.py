"""Memory of a pod on a fine grid of time, and the samples of it that Prometheus has at a scrape interval.

The kernel can't reclaim RSS and other memory (tmpfs, slab, page tables): where they reach the limit, it kills. Page
cache takes what is left, up to a working set that stays below the limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tests.bench.detect.noise import NoiseParameters, autoregressive, draw_noise_parameters, sample_noise
from tests.bench.detect.trace import Trace

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Curve = NDArray[np.float64]

STEP_S = 30
"""Step of the grid, in seconds."""
STEP_MIN = STEP_S / 60
SCRAPES_S = (30, 60, 120, 300)
"""Scrape intervals, in seconds."""
MIN_LIMIT_BYTES, MAX_LIMIT_BYTES = 128 * 2**20, 16 * 2**30
MAX_HARMLESS = 0.985
"""Maximum ratio of the memory of a harmless pod to its limit: noise kills none of them."""
MAX_WORKING_SET = 0.995
"""Maximum ratio of a working set that contains page cache to the limit."""


@dataclass(frozen=True, slots=True)
class Service:
    """Properties that all pods of a workload share."""

    name: str
    """Name of the workload; empty for a pod without peers."""
    limit_bytes: int
    scrape_s: int
    noise: NoiseParameters


@dataclass(frozen=True, slots=True, eq=False)
class PodMemory:
    """Memory of one pod in steps of the grid. Ratios of the limit; all curves have the same length."""

    kind: str
    leaks: bool
    rss: Curve
    other: Curve | float = 0.0
    """Unreclaimable memory that is not RSS."""
    cache: Curve | float = 0.0
    """Page cache that the pod would have if there was room for it."""
    max_working_set: Curve | float = 1.0
    """Level at which the kernel reclaims page cache."""
    load: Curve | None = None
    start_s: float = 0.0
    onset_s: float | None = None
    """Onset of the leak, on the same clock as the start."""
    cache_known: bool = False
    """True if the store has the active page cache."""


def draw_service(rng: Generator, kind: str, *, has_peers: bool) -> Service:
    """Draw a service of any size and scrape interval."""
    limit = np.exp(rng.uniform(np.log(MIN_LIMIT_BYTES), np.log(MAX_LIMIT_BYTES)))
    name = f"{kind}-{int(rng.integers(2**31))}"
    scrape_s = int(rng.choice(SCRAPES_S))
    return Service(name if has_peers else "", int(limit), scrape_s, draw_noise_parameters(rng))


def grid(days: float) -> Curve:
    """Return the minutes of the steps of this many days."""
    return np.arange(int(days * 86_400 / STEP_S), dtype=np.float64) * STEP_MIN


def pod_noise(rng: Generator, steps: int, noise: NoiseParameters) -> Curve:
    """Return noise of the RSS in steps of the grid."""
    fine = replace(
        noise,
        phi=noise.phi**STEP_MIN,
        saw_min=noise.saw_min / STEP_MIN,
        bursts_per_hour=noise.bursts_per_hour * STEP_MIN,
    )
    return sample_noise(rng, steps, fine)


def pinned(rng: Generator, steps: int, level: float) -> Curve:
    """Return the level at which the kernel reclaims page cache, which varies a little."""
    noise = autoregressive(rng, steps, float(rng.uniform(0.001, 0.006)), 0.95)
    return np.clip(level + noise, 0.0, MAX_WORKING_SET)


def scaled_to(peak: float, level: Curve, noise: Curve) -> Curve:
    """Return level and noise, scaled so that the highest value is `peak`."""
    total = np.clip(level + noise, 0.01, None)
    return np.asarray(total * peak / total.max())


def samples_of(rng: Generator, service: Service, pod: PodMemory) -> Trace:
    """Return the samples of a pod up to its OOM kill."""
    rss = np.clip(pod.rss, 0.005, None)
    unreclaimable = rss + pod.other
    if not pod.leaks:
        unreclaimable = np.minimum(unreclaimable, MAX_HARMLESS)
    at_limit = np.flatnonzero(unreclaimable >= 1.0)
    end = int(at_limit[0]) if at_limit.size else rss.size - 1
    cache = np.clip(np.minimum(pod.cache, pod.max_working_set - unreclaimable), 0, None)
    every = service.scrape_s // STEP_S
    at = np.arange(int(rng.integers(every)), end + 1, every)

    def in_bytes(ratio: Curve) -> Curve:
        return np.round(np.clip(ratio[at], 0, 1) * service.limit_bytes)

    return Trace(
        name=f"{service.name or pod.kind}-{int(rng.integers(2**31))}",
        workload=service.name,
        kind=pod.kind,
        leaks=pod.leaks,
        t_s=np.asarray(pod.start_s + at * float(STEP_S), dtype=np.float64),
        rss=in_bytes(np.minimum(rss, unreclaimable)),
        working_set=in_bytes(unreclaimable + cache),
        load=np.empty(0) if pod.load is None else pod.load[at],
        limit_bytes=service.limit_bytes,
        onset_s=pod.onset_s,
        oom_s=pod.start_s + end * float(STEP_S) if at_limit.size else None,
        start_s=pod.start_s,
        active_file=in_bytes(cache) if pod.cache_known else np.empty(0),
        unreclaimable=in_bytes(unreclaimable),
    )
