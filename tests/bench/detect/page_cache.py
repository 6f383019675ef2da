"""Working sets that page cache holds at 90 to 99 % of the limit, with harmless RSS or with a leak beneath the cache.

Each container is built twice from the same numbers: with the active page cache that newer kubelets report, and without.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tests.bench.detect import curves, growth
from tests.bench.detect.noise import autoregressive
from tests.bench.detect.pod_memory import PodMemory, draw_service, grid, pinned, pod_noise, samples_of, scaled_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator
    from numpy.typing import NDArray

    from tests.bench.detect.trace import Trace

    Curve = NDArray[np.float64]

DAY_MIN = 1440.0
HARMLESS_DAYS = 7.0
HARMLESS = ("flat", "ramp", "daily", "warm-up")
LEAKS = ("leak", "slow-leak")
LEAK_RATES = (10 / 1024, 60 / 1024)
"""Growth per hour of the faster leaks: 10 to 60 MiB of 1 GiB."""
SLOW_LEAK_DAYS = (3.0, 14.0)


def container(kind: str, rng: Generator, *, cache_known: bool) -> Iterator[Trace]:
    """Yield one container whose page cache fills its limit; a leak makes the cache give way until the OOM kill."""
    service = draw_service(rng, f"page-cache-{kind}", has_peers=False)
    onset_min, pin = float(rng.uniform(6, 60)) * 60, float(rng.uniform(0.90, 0.99))
    other = float(rng.uniform(0.01, 0.06))
    base = float(rng.uniform(0.2, 0.6))
    full_min = _full_min(kind, rng)
    leaks = kind in LEAKS
    minutes = grid((onset_min + 1.3 * full_min) / DAY_MIN) if leaks else grid(HARMLESS_DAYS)
    noise = replace(service.noise, burst=min(service.noise.burst, 0.02))
    rss = _rss(kind, rng, minutes, base) + pod_noise(rng, minutes.size, noise)
    if leaks:
        shape = str(rng.choice(("straight", "stairs", "irregular")))
        rss = rss + growth.growth(rng, minutes, onset_min, full_min, shape)
    else:
        rss = scaled_to(float(rng.uniform(0.3, 0.6)), rss, np.zeros(minutes.size))
    pod = PodMemory(
        f"page-cache-{kind}",
        leaks=leaks,
        rss=rss,
        other=np.clip(other + autoregressive(rng, minutes.size, 0.002, 0.99), 0.01, 0.06),
        cache=2.0 * curves.warm_up(minutes, float(rng.uniform(5, 240))),
        max_working_set=pinned(rng, minutes.size, pin),
        onset_s=onset_min * 60 if leaks else None,
        cache_known=cache_known,
    )
    yield samples_of(rng, service, pod)


def _full_min(kind: str, rng: Generator) -> float:
    """Return the time in which a leak would fill the whole limit."""
    if kind == "slow-leak":
        return float(np.exp(rng.uniform(*np.log(SLOW_LEAK_DAYS)))) * DAY_MIN / 0.6
    return 60 / float(np.exp(rng.uniform(*np.log(LEAK_RATES))))


def _rss(kind: str, rng: Generator, minutes: Curve, base: float) -> Curve:
    """Return an RSS without noise, in any unit if it is harmless."""
    match kind:
        case "ramp":
            start = rng.uniform(6, 100) * 60
            return base * (1 + rng.uniform(0.2, 1.5) * np.clip((minutes - start) / (rng.uniform(6, 72) * 60), 0, 1))
        case "daily":
            daily = curves.daily(minutes, rng.uniform(0, DAY_MIN), float(rng.uniform(0.7, 2)))
            return base * (1 + rng.uniform(0.1, 0.8) * daily)
        case "warm-up":
            return base * (0.5 + rng.uniform(0.3, 1.5) * curves.warm_up(minutes, rng.uniform(1, 24) * 60))
        case _:
            return base * (0.9 + 0.1 * curves.warm_up(minutes, rng.uniform(5, 60)))
