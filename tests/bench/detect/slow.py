"""Leaks that take one to three weeks to the limit, and harmless services over three weeks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tests.bench.detect import curves, growth
from tests.bench.detect.pod_memory import STEP_S, PodMemory, draw_service, grid, pod_noise, samples_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.random import Generator
    from numpy.typing import NDArray

    from tests.bench.detect.trace import Trace

    Curve = NDArray[np.float64]

DAY_MIN = 1440.0
DAY_S = 86_400.0
MIN_DAYS, MAX_DAYS = 7.0, 21.0
"""Time of a slow leak from its onset to the limit."""
MAX_ONSET_DAYS = 5.0
HARMLESS_DAYS = 21.0
LEAKS = ("straight", "stairs", "daily")
HARMLESS = ("data-set", "weekly", "log-rotation", "log-rotation-cache", "monthly", "slow-cache")
PEAKS = {"data-set": (0.4, 0.9), "slow-cache": (0.5, 0.92)}
"""Ratio of the highest usage to the limit, by kind."""
DEFAULT_PEAK = (0.6, 0.95)
DAILY_KINDS = ("monthly", "data-set")
"""Kinds with a small daily load in addition."""


def leaking(kind: str, rng: Generator, *, replicas: int) -> Iterator[Trace]:
    """Yield pods that leak from their start, or from a later day; those of a fleet have different ages."""
    service = draw_service(rng, f"slow-{kind}", has_peers=replicas > 1)
    days, base = float(rng.uniform(MIN_DAYS, MAX_DAYS)), float(rng.uniform(0.15, 0.45))
    onset_days = float(rng.uniform(0.5, MAX_ONSET_DAYS)) if rng.random() < 0.5 else 0.0
    step_days = float(rng.uniform(0.1, 1.0))
    swing = float(rng.uniform(0.03, 0.12)) if kind == "daily" and rng.random() < 0.5 else 0.0
    room = 1 - base - swing - service.noise.saw
    for number in range(replicas):
        mine = days if replicas == 1 else float(np.clip(days * rng.uniform(0.85, 1.15), MIN_DAYS, MAX_DAYS))
        minutes = grid(1.25 * mine + onset_days)
        onset_min, full_min = onset_days * DAY_MIN, mine * DAY_MIN / room
        level = base * (0.9 + 0.1 * curves.warm_up(minutes, rng.uniform(5, 60)))
        if kind == "stairs":
            leak = _stairs(rng, (minutes - onset_min) / full_min, step_days * DAY_MIN / full_min, full_min)
        elif kind == "daily" and not swing:
            leak = growth.by_day(rng, minutes, onset_min, full_min)
        else:
            leak = growth.growth(rng, minutes, onset_min, full_min, "straight") + swing * _day(rng, minutes)
        start_s = float(round(rng.uniform(0, 10 * DAY_S))) if number else 0.0
        rss = level + leak + pod_noise(rng, minutes.size, service.noise)
        onset_s = start_s + onset_days * DAY_S
        yield samples_of(rng, service, PodMemory(f"slow-{kind}", leaks=True, rss=rss, start_s=start_s, onset_s=onset_s))


def _stairs(rng: Generator, x: Curve, step: float, full_min: float) -> Curve:
    return growth.stairs(rng, np.clip(x, 0, None), min(growth.MAX_STEP, step), float(rng.uniform(5, 60)) / full_min)


def _day(rng: Generator, clock: Curve) -> Curve:
    return curves.daily(clock, rng.uniform(0, DAY_MIN), float(rng.uniform(0.8, 2)))


def harmless(kind: str, rng: Generator, *, replicas: int) -> Iterator[Trace]:
    """Yield pods of one harmless service; those of a fleet have different ages and share its load."""
    service = draw_service(rng, kind, has_peers=replicas > 1)
    clock = grid(HARMLESS_DAYS)
    shape, peak = SHAPES[kind](rng), float(rng.uniform(*PEAKS.get(kind, DEFAULT_PEAK)))
    base, with_load, factor = float(rng.uniform(0.3, 0.6)), bool(rng.random() < 0.5), 0.0
    for number in range(replicas):
        start = int(rng.uniform(0, 7) * DAY_S / STEP_S) if number else 0
        mine = clock[start:]
        own = shape(mine - mine[0], mine)
        level = base * (0.9 + 0.1 * curves.warm_up(mine - mine[0], rng.uniform(5, 60))) + own
        if kind in DAILY_KINDS:
            level = level + 0.05 * _day(rng, mine)
        noise = pod_noise(rng, mine.size, service.noise)
        factor = factor or peak / float((level + noise).max())
        total = np.clip(level * rng.uniform(0.97, 1.0) + noise, 0.01, None) * factor
        pod = PodMemory(kind, leaks=False, rss=total, start_s=start * float(STEP_S))
        if kind == "log-rotation-cache":
            flat = np.clip(base + noise, 0.01, None) * factor
            pod = replace(pod, rss=flat, cache=np.clip(total - flat, 0, None), cache_known=with_load)
        elif kind == "weekly" and with_load:
            pod = replace(pod, load=own * rng.uniform(0.9, 1.1))
        yield samples_of(rng, service, pod)


def _weekly(rng: Generator) -> Callable[[Curve, Curve], Curve]:
    """Return a load with working days and weekends, and weeks and days of different height."""
    clock = grid(HARMLESS_DAYS)
    monday_min = rng.uniform(0, 7) * DAY_MIN
    week = ((clock - monday_min) // (7 * DAY_MIN)).astype(int)
    height = rng.uniform(0.75, 1.05, week.max() - week.min() + 1)[week - week.min()]
    day = (clock // DAY_MIN).astype(int)
    is_working = ((clock - monday_min) % (7 * DAY_MIN)) < 5 * DAY_MIN
    busy = np.where(is_working, height, rng.uniform(0.15, 0.5)) * rng.uniform(0.9, 1.05, day.max() + 1)[day]
    width = int(240 / (clock[1] - clock[0]))
    padded = np.pad(busy, width, mode="edge")
    sums = np.concatenate(([0.0], np.cumsum(padded)))
    smooth = ((sums[width:] - sums[:-width]) / width)[width // 2 : width // 2 + clock.size]
    load = curves.daily(clock, rng.uniform(0, DAY_MIN), float(rng.uniform(0.7, 2))) * smooth
    return lambda _, mine: np.interp(mine, clock, load)


def _data_set(rng: Generator) -> Callable[[Curve, Curve], Curve]:
    starts, over, size = rng.uniform(0, 4) * DAY_MIN, rng.uniform(4, 16) * DAY_MIN, rng.uniform(0.3, 2.0)
    uneven = rng.random() < 0.5
    seed = int(rng.integers(2**31))

    def grown(age: Curve, _: Curve) -> Curve:
        if not uneven:
            return np.asarray(size * np.clip((age - starts) / over, 0, 1))
        return size * np.minimum(growth.by_day(np.random.default_rng(seed), age, starts, over), 1.0)

    return grown


def _log_rotation(rng: Generator) -> Callable[[Curve, Curve], Curve]:
    """Return a sawtooth of one to three days, which falls within minutes."""
    size, drop_min = rng.uniform(0.2, 1.5), rng.uniform(1, 10)
    ends = np.cumsum(rng.uniform(1, 3) * DAY_MIN * rng.uniform(0.9, 1.1, 40)) - rng.uniform(0, DAY_MIN)

    def saw(age: Curve, _: Curve) -> Curve:
        edges = np.stack([ends, ends + drop_min], axis=1).ravel()
        levels = np.tile([1.0, 0.0], ends.size)
        return size * np.interp(age, np.concatenate(([0.0], edges)), np.concatenate(([0.0], levels)))

    return saw


def _monthly(rng: Generator) -> Callable[[Curve, Curve], Curve]:
    """Return one or two jobs of an hour to a day, on the workload's clock."""
    count, size = int(rng.integers(1, 3)), rng.uniform(0.3, 2.0)
    starts = np.sort(rng.uniform(3, 19, count)) * DAY_MIN
    rise, stay = rng.uniform(20, 360), np.exp(rng.uniform(np.log(60), np.log(DAY_MIN)))

    def jobs(_: Curve, clock: Curve) -> Curve:
        bumps = [np.interp(clock, [s, s + rise, s + rise + stay, s + rise + stay + 15], [0, 1, 1, 0]) for s in starts]
        return np.asarray(size * np.max(bumps, axis=0))

    return jobs


def _slow_cache(rng: Generator) -> Callable[[Curve, Curve], Curve]:
    tau, size = rng.uniform(2, 6) * DAY_MIN, rng.uniform(0.3, 2.0)
    return lambda age, _: size * curves.warm_up(age, tau)


SHAPES: dict[str, Callable[[Generator], Callable[[Curve, Curve], Curve]]] = {
    "data-set": _data_set,
    "weekly": _weekly,
    "log-rotation": _log_rotation,
    "log-rotation-cache": _log_rotation,
    "monthly": _monthly,
    "slow-cache": _slow_cache,
}
"""Function by kind that draws a service's shape: from a pod's age and the clock to its level."""
