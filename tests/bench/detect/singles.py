"""Single containers: six leaks and six harmless shapes that every detector meets, and look-alikes that few pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.bench.detect import curves
from tests.bench.detect.noise import NoiseParameters, sample_noise
from tests.bench.detect.trace import LIMIT_BYTES, Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    Curve = NDArray[np.float64]

HOURS = 72
MIB = 2**20 / LIMIT_BYTES
"""One MiB as a ratio of the limit."""

CORE_LEAKS = ("steady", "noisy", "stairs", "daily-leak", "gc-leak", "accelerating")
CORE_HARMLESS = ("flat", "daily", "warm-up", "cache", "gc-saw", "one-step")
LOOKALIKES = (
    "jvm-to-max", "arena-ratchet", "deploy-ramp", "weekend-shift", "random-walk", "page-cache", "two-steps",
    "batch", "slow-warm-up", "correlated", "lru-cache", "lunch-dip",
)  # fmt: skip
HARD_LEAKS = ("big-gc-leak", "stop-and-go", "small-noisy", "per-request")


def single(kind: str, rng: Generator, onset_h: float = 30.0) -> Trace:
    """Build one container. A leak begins at `onset_h` and ends the trace where it reaches the limit."""
    minutes = HOURS * 60
    age = np.arange(minutes, dtype=float)
    leaks = kind in CORE_LEAKS or kind in HARD_LEAKS
    noise_parameters = _texture(kind, rng)
    extra = np.zeros(minutes)
    level = rng.uniform(0.2, 0.45) + 0.03 * curves.warm_up(age, rng.uniform(2, 30))
    if leaks:
        level = level + _leak(kind, rng, age, onset_h * 60)
    elif kind == "page-cache":
        extra = rng.uniform(0.3, 0.5) * curves.cache_fill(age - rng.uniform(0, 20) * 60, rng.uniform(6, 30) * 60)
    else:
        level = level + HARMLESS_LEVELS[kind](rng, age)
    level = np.clip(level + sample_noise(rng, minutes, noise_parameters), 0.01, None)
    at_limit = np.flatnonzero(level >= 1.0)
    end = int(at_limit[0]) + 1 if leaks and at_limit.size else minutes
    times = np.arange(end, dtype=np.float64) * 60.0
    rss = np.clip(level[:end], 0, 1.0)
    return Trace(
        name=f"{kind}-{int(rng.integers(2**31))}",
        workload="",
        kind=kind,
        leaks=leaks,
        t_s=times,
        rss=np.round(rss * LIMIT_BYTES),
        working_set=np.round(np.clip(rss + extra[:end], 0, 1.0) * LIMIT_BYTES),
        load=np.empty(0),
        onset_s=onset_h * 3600 if leaks else None,
        oom_s=float(times[-1]) if leaks and at_limit.size else None,
    )


def _texture(kind: str, rng: Generator) -> NoiseParameters:
    sigma, saw = rng.uniform(0.001, 0.004), 0.0
    phi, saw_min = rng.uniform(0.5, 0.9), rng.uniform(8, 40)
    if kind in ("noisy", "small-noisy"):
        sigma = rng.uniform(0.006, 0.015)
    if kind in ("gc-leak", "gc-saw"):
        saw = rng.uniform(0.04, 0.12)
    if kind == "big-gc-leak":
        saw, saw_min = rng.uniform(0.1, 0.2), rng.uniform(60, 240)
    if kind == "correlated":
        sigma, phi = rng.uniform(0.01, 0.02), rng.uniform(0.98, 0.995)
    return NoiseParameters(float(sigma), float(phi), float(saw), float(saw_min), float(rng.choice([0.0, 0.3])), 0.02)


def _leak(kind: str, rng: Generator, age: Curve, onset_min: float) -> Curve:
    per_hour = rng.uniform(6, 9) if kind in ("noisy", "small-noisy") else np.exp(rng.uniform(np.log(9), np.log(60)))
    rate = per_hour * MIB / 60
    since = age - onset_min
    daily = 0.15 * curves.daily(age, rng.uniform(0, 1440), rng.uniform(0.8, 2))
    match kind:
        case "stairs":
            return rate * curves.leak(rng, since, "stairs")
        case "accelerating":
            return rate * curves.leak(rng, since, "accelerating")
        case "daily-leak":
            return rate * curves.leak(rng, since, "steady") + daily
        case "per-request":
            load = 0.3 + 0.7 * curves.daily(age, rng.uniform(0, 1440), 1.0)
            return np.asarray(rate * np.cumsum(load * (since > 0)) / load.mean())
        case "stop-and-go":
            on = ((age // rng.uniform(180, 420)) % 3) < 2
            return np.asarray(rate * 1.5 * np.cumsum(on * (since > 0)))
        case _:
            return rate * curves.leak(rng, since, "steady")


def _daily(rng: Generator, age: Curve) -> Curve:
    return rng.uniform(0.1, 0.35) * curves.daily(age, rng.uniform(0, 1440), rng.uniform(0.7, 2.5))


def _ramp(rng: Generator, age: Curve, over_h: tuple[float, float]) -> Curve:
    return rng.uniform(0.1, 0.35) * curves.ramp(age, rng.uniform(8, 60) * 60, rng.uniform(*over_h) * 60)


def _weekend(rng: Generator, age: Curve) -> Curve:
    monday = rng.uniform(1.0, 2.4) * 1440
    return rng.uniform(0.15, 0.35) * curves.weekend(age, rng.uniform(0, 1440), rng.uniform(0.8, 2), monday)


def _lunch(rng: Generator, age: Curve) -> Curve:
    phase = rng.uniform(0, 1440)
    return rng.uniform(0.1, 0.3) * (curves.daily(age, phase, 1.0) + 0.4 * curves.daily(2 * age, phase, 1.0)) / 1.4


def _batch(rng: Generator, age: Curve) -> Curve:
    every = rng.uniform(3, 24) * 60
    return np.asarray(rng.uniform(0.05, 0.3) * (((age + rng.uniform(0, every)) % every) < rng.uniform(20, 150)))


def _lru(rng: Generator, age: Curve) -> Curve:
    full = rng.uniform(4, 20) * 60
    x = age / full
    return np.asarray(rng.uniform(0.15, 0.35) * np.where(x < 1, x, 1 - 0.25 * ((x - 1) * 2 % 1.0)))


HARMLESS_LEVELS: dict[str, Callable[[Generator, Curve], Curve]] = {
    "flat": lambda _, age: np.zeros(age.size),
    "gc-saw": lambda _, age: np.zeros(age.size),
    "correlated": lambda _, age: np.zeros(age.size),
    "daily": _daily,
    "warm-up": lambda rng, age: rng.uniform(0.1, 0.35) * curves.warm_up(age, rng.uniform(1, 4) * 60),
    "slow-warm-up": lambda rng, age: rng.uniform(0.1, 0.35) * curves.warm_up(age, rng.uniform(4, 10) * 60),
    "cache": lambda rng, age: rng.uniform(0.1, 0.35) * curves.cache_fill(age, rng.uniform(2, 20) * 60),
    "one-step": lambda rng, age: rng.uniform(0.1, 0.35) * np.asarray(age > rng.uniform(8, 60) * 60, dtype=np.float64),
    "two-steps": lambda rng, age: rng.uniform(0.15, 0.4) * curves.high_water(rng, age, 2),
    "jvm-to-max": lambda rng, age: (
        rng.uniform(0.2, 0.45) * curves.jvm(rng, age, rng.uniform(2, 12) * 60, int(rng.integers(5, 30)))
    ),
    "arena-ratchet": lambda rng, age: (
        rng.uniform(0.15, 0.4) * curves.arenas(rng, age, int(rng.integers(6, 18)), rng.uniform(20, 90))
    ),
    "deploy-ramp": lambda rng, age: _ramp(rng, age, (1.0, 6.0)),
    "weekend-shift": _weekend,
    "random-walk": lambda rng, age: (
        rng.uniform(0.05, 0.2) * curves.random_walk(rng, age.size, rng.uniform(0.0005, 0.003))
    ),
    "batch": _batch,
    "lru-cache": _lru,
    "lunch-dip": _lunch,
}
