"""Leaks whose CPU grows with them, each next to the same leak without load, and services whose memory follows load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.bench.detect import curves, growth
from tests.bench.detect.pod_memory import STEP_MIN, PodMemory, draw_service, grid, pod_noise, samples_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator
    from numpy.typing import NDArray

    from tests.bench.detect.trace import Trace

    Curve = NDArray[np.float64]

DAY_MIN = 1440.0
LEAKS = ("straight", "exponential", "quadratic", "stairs")
HARMLESS = ("load-ramp", "load-daily", "load-deploy")
HARMLESS_DAYS = 4.0
DURATIONS_H = {"exponential": (8.0, 24.0)}
"""Time from the onset to the limit, by shape."""
DEFAULT_DURATION_H = (6.0, 72.0)
MAX_LAG_MIN = 20.0
"""Longest time by which memory follows load."""
HARMLESS_PEAK = (0.8, 0.97)


def leak(shape: str, rng: Generator, *, with_load: bool) -> Iterator[Trace]:
    """Yield one leak. Its load is CPU that grows with the leaked memory, on top of a constant or a daily one."""
    service = draw_service(rng, f"cpu-{shape}", has_peers=False)
    base, onset_min = float(rng.uniform(0.15, 0.45)), float(rng.uniform(26, 40)) * 60
    hours = float(np.exp(rng.uniform(*np.log(DURATIONS_H.get(shape, DEFAULT_DURATION_H)))))
    minutes = grid((onset_min + 1.5 * hours * 60) / DAY_MIN)
    room = 1 - base - service.noise.saw
    grown = room * growth.growth(rng, minutes, onset_min, hours * 60, shape)
    rss = base * (0.9 + 0.1 * curves.warm_up(minutes, rng.uniform(5, 60))) + grown
    rss = rss + pod_noise(rng, minutes.size, service.noise)
    idle, per_memory = rng.uniform(0.05, 0.5), rng.uniform(0.3, 3.0)
    daily = float(rng.choice([0.0, 0.0, 0.5])) * curves.daily(minutes, rng.uniform(0, DAY_MIN), 1.0)
    load = _noisy(rng, idle * (1 + daily) + per_memory * np.clip(rss - base, 0, None))
    pod = PodMemory(f"cpu-{shape}", leaks=True, rss=rss, load=load if with_load else None, onset_s=onset_min * 60)
    yield samples_of(rng, service, pod)


def _noisy(rng: Generator, load: Curve) -> Curve:
    return np.asarray(np.clip(load * (1 + rng.uniform(0.02, 0.15) * rng.normal(0, 1, load.size)), 0, None))


def harmless(kind: str, rng: Generator, *, replicas: int) -> Iterator[Trace]:
    """Yield pods whose memory follows the load of their workload, up to 20 minutes later."""
    service = draw_service(rng, kind, has_peers=replicas > 1)
    clock = grid(HARMLESS_DAYS)
    load = _load(kind, rng, clock)
    lag = int(rng.uniform(0, MAX_LAG_MIN) / STEP_MIN) + 1
    factor = 0.0
    peak, idle, per_load = float(rng.uniform(*HARMLESS_PEAK)), rng.uniform(0.3, 0.7), rng.uniform(0.5, 1.5)
    for number in range(replicas):
        start = int(rng.uniform(0, 0.3) * clock.size) if number else 0
        mine = clock[start:]
        followed = _lagged(load, lag)[start:]
        level = idle * (0.9 + 0.1 * curves.warm_up(mine - mine[0], rng.uniform(5, 60))) + per_load * followed
        factor = factor or 0.98 * peak / float(level.max())
        rss = np.minimum(level * rng.uniform(0.95, 1.0) * factor + pod_noise(rng, mine.size, service.noise), peak)
        own = _noisy(rng, load[start:] * rng.uniform(0.9, 1.1))
        yield samples_of(rng, service, PodMemory(kind, leaks=False, rss=rss, load=own, start_s=float(mine[0]) * 60))


def _load(kind: str, rng: Generator, clock: Curve) -> Curve:
    match kind:
        case "load-ramp":
            start = rng.uniform(0.1, 0.8) * clock[-1]
            return 0.3 + 0.7 * curves.ramp(clock, start, rng.uniform(1, 24) * 60)
        case "load-deploy":
            start, over = rng.uniform(0.1, 0.9) * clock[-1], rng.uniform(10, 40)
            return 0.4 + 0.6 * np.clip((clock - start) / over, 0, 1)
        case _:
            day = (clock // DAY_MIN).astype(int)
            height = np.interp(clock, np.arange(day.max() + 2) * DAY_MIN, rng.uniform(0.85, 1.1, day.max() + 2))
            return 0.2 + 0.8 * height * curves.daily(clock, rng.uniform(0, DAY_MIN), float(rng.uniform(0.7, 2.5)))


def _lagged(load: Curve, lag: int) -> Curve:
    """Return the load `lag` steps ago, smoothed over as many."""
    padded = np.concatenate((np.full(2 * lag, load[0]), load))
    sums = np.concatenate(([0.0], np.cumsum(padded)))
    smooth = (sums[lag:] - sums[:-lag]) / lag
    return np.asarray(smooth[: load.size])
