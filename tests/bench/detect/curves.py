"""Shapes of memory over time: functions from minutes to a curve that starts at 0 and is about 1 at its maximum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Curve = NDArray[np.float64]

DAY_MIN = 1440.0


def warm_up(age_min: Curve, tau_min: float) -> Curve:
    return np.asarray(1 - np.exp(-np.clip(age_min, 0, None) / tau_min))


def ramp(clock_min: Curve, start_min: float, over_min: float) -> Curve:
    """Return a logistic ramp: 5 % to 95 % within `over_min`."""
    return np.asarray(0.5 + 0.5 * np.tanh(3 * ((clock_min - start_min) / over_min - 0.5)))


def daily(clock_min: Curve, phase_min: float, sharp: float) -> Curve:
    """Return daily load between 0 and 1; `sharp` above 1 narrows the peak."""
    wave = (1 + np.sin(2 * np.pi * (clock_min - phase_min) / DAY_MIN)) / 2
    return np.asarray(wave**sharp)


def weekend(clock_min: Curve, phase_min: float, sharp: float, monday_min: float) -> Curve:
    """Return two quiet days, then working days of full load."""
    busy = np.where(((clock_min - monday_min) % (7 * DAY_MIN)) < 5 * DAY_MIN, 1.0, 0.35)
    smooth = np.convolve(busy, np.ones(121) / 121, mode="same")
    smooth[:61], smooth[-61:] = busy[:61], busy[-61:]
    return daily(clock_min, phase_min, sharp) * smooth


def cache_fill(age_min: Curve, full_min: float) -> Curve:
    """Return a straight line, then an abrupt plateau."""
    return np.asarray(np.clip(age_min / full_min, 0, 1))


def arenas(rng: Generator, age_min: Curve, steps: int, first_min: float) -> Curve:
    """Return steps that become rarer and smaller: allocator arenas."""
    out = np.zeros(age_min.size)
    at = 0.0
    for k in range(steps):
        at += rng.exponential(first_min) * (1 + 0.7 * k)
        out += (age_min >= at) * rng.uniform(0.5, 1.0) / (1 + 0.3 * k)
    return out / max(1e-9, sum(0.75 / (1 + 0.3 * k) for k in range(steps)))


def jvm(rng: Generator, age_min: Curve, tau_min: float, blocks: int) -> Curve:
    """Return a heap that is committed in blocks up to its maximum."""
    return np.asarray(np.ceil(blocks * warm_up(age_min + rng.uniform(0, 5), tau_min)) / blocks)


def random_walk(rng: Generator, minutes: int, pull: float) -> Curve:
    out = np.empty(minutes)
    level = 0.0
    for i, shock in enumerate(rng.normal(0, 1, minutes)):
        level = level * (1 - pull) + shock
        out[i] = level
    return out / max(1e-9, float(np.abs(out).max()))


def high_water(rng: Generator, age_min: Curve, jumps: int) -> Curve:
    """Return a level that bursts raise permanently."""
    out = np.zeros(age_min.size)
    for at in rng.uniform(0.1, 0.9, jumps) * age_min[-1]:
        out += (age_min >= at) / jumps
    return out


def leak(rng: Generator, growing_min: Curve, shape: str, max_step_min: float = 90.0) -> Curve:
    """Return the leaked memory in units of minutes of growth, for a shape of leak; zero before the onset."""
    x = np.clip(growing_min, 0, None)
    match shape:
        case "steady":
            return x
        case "stairs":
            step = min(rng.uniform(20, 90), max_step_min)
            return np.asarray(np.floor(x / step) * step)
        case "irregular":
            rate = np.repeat(rng.gamma(1.5, 1 / 1.5, x.size // 30 + 1), 30)[: x.size]
            return np.cumsum(rate * (growing_min > 0))
        case "accelerating":
            return x * (1 + x / (8 * 60)) / 2
        case "slowing":
            return np.asarray(x**0.85 * 6.0**0.15 * 60**0.15 / 1.6)
        case _:
            raise ValueError(f"no leak of shape {shape!r}")
