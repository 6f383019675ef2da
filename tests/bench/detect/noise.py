"""Noise of a memory series: correlated noise, collections, bursts. Ratios of the limit, per minute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Curve = NDArray[np.float64]

MINUTES_PER_HOUR = 60


@dataclass(frozen=True, slots=True)
class NoiseParameters:
    """Noise parameters of a service. All sizes are ratios of the limit."""

    sigma: float
    phi: float
    saw: float
    saw_min: float
    """Minutes between two collections."""
    bursts_per_hour: float
    burst: float


def draw_noise_parameters(rng: Generator) -> NoiseParameters:
    """Draw the noise of a service: real ones have a lag-1 correlation of 0.8 to 0.98 and a scatter under 1 %."""
    return NoiseParameters(
        sigma=float(rng.uniform(0.0005, 0.006)),
        phi=float(rng.uniform(0.7, 0.98)),
        saw=float(rng.choice([0.0, 0.0, 0.01, 0.03, 0.06])),
        saw_min=float(rng.uniform(5, 60)),
        bursts_per_hour=float(rng.choice([0.0, 0.0, 0.2, 1.0])),
        burst=float(rng.uniform(0.005, 0.03)),
    )


def sample_noise(rng: Generator, minutes: int, kind: NoiseParameters) -> Curve:
    """Return noise, collections and bursts for this many minutes; the latter two are never below zero."""
    return (
        autoregressive(rng, minutes, kind.sigma, kind.phi)
        + _collections(rng, minutes, kind)
        + _bursts(rng, minutes, kind)
    )


def autoregressive(rng: Generator, minutes: int, sigma: float, phi: float) -> Curve:
    shocks = rng.normal(0, sigma * np.sqrt(1 - phi**2), minutes)
    out = np.empty(minutes)
    level = rng.normal(0, sigma)
    for i in range(minutes):
        level = phi * level + shocks[i]
        out[i] = level
    return out


def _collections(rng: Generator, minutes: int, kind: NoiseParameters) -> Curve:
    if not kind.saw:
        return np.zeros(minutes)
    phase = np.cumsum(rng.uniform(0.6, 1.4, minutes)) / kind.saw_min + rng.uniform()
    return np.asarray(kind.saw * (phase % 1.0))


def _bursts(rng: Generator, minutes: int, kind: NoiseParameters) -> Curve:
    out = np.zeros(minutes)
    for at in np.flatnonzero(rng.random(minutes) < kind.bursts_per_hour / MINUTES_PER_HOUR):
        out[at : at + int(rng.integers(1, 12))] += kind.burst * rng.uniform(0.3, 1.5)
    return out
