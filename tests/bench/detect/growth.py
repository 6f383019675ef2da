"""Growth of a leak over its duration: functions of time that are 0 up to the onset and 1 after one duration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.bench.detect import curves

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Curve = NDArray[np.float64]

DAY_MIN = 1440.0
SHAPES = ("straight", "stairs", "irregular", "exponential", "quadratic")
MAX_STEP = 0.04
"""Maximum ratio of a single step of a leak to the limit."""
E_FOLDS = 3.0
"""Times that an exponential leak grows by the factor e in its duration."""
IRREGULAR_MIN = 30.0
"""Minutes for which an irregular leak keeps its rate."""


def growth(rng: Generator, minutes: Curve, onset_min: float, duration_min: float, shape: str) -> Curve:
    """Return the growth at each of these minutes, which continues above 1."""
    x = np.clip((minutes - onset_min) / duration_min, 0, None)
    match shape:
        case "straight":
            return x
        case "stairs":
            return stairs(rng, x, float(rng.uniform(0.5, 1) * MAX_STEP), 10 / duration_min)
        case "irregular":
            return _irregular(rng, x, IRREGULAR_MIN / duration_min)
        case "exponential":
            return np.asarray(np.expm1(E_FOLDS * x) / np.expm1(E_FOLDS))
        case "quadratic":
            return np.asarray(x**2)
        case _:
            raise ValueError(f"no growth of shape {shape!r}")


def stairs(rng: Generator, x: Curve, step: float, rising: float) -> Curve:
    """Return steps of this size, at slightly irregular times, each of which rises for `rising` of the duration."""
    count = int(np.ceil(x[-1] / step * 1.5)) + 2
    at = np.cumsum(step * rng.uniform(0.7, 1.3, count))
    over = np.minimum(rising, 0.5 * step)
    times = np.stack([at, at + over], axis=1).ravel()
    levels = np.stack([np.arange(count), np.arange(1, count + 1)], axis=1).ravel() * step
    return np.interp(x, times, levels)


def _irregular(rng: Generator, x: Curve, part: float) -> Curve:
    """Return pieces of constant rate, with an average of 1 over the first duration."""
    edges = np.arange(0, max(1.0, float(x[-1])) + 2 * part, part)
    level = np.concatenate(([0.0], np.cumsum(rng.gamma(1.5, 1 / 1.5, edges.size - 1)) * part))
    return np.interp(x, edges, level / np.interp(1.0, edges, level))


def by_day(rng: Generator, minutes: Curve, onset_min: float, duration_min: float) -> Curve:
    """Return growth whose rate follows a daily load, such as a leak with every request."""
    rate = 0.15 + curves.daily(minutes, rng.uniform(0, DAY_MIN), float(rng.uniform(0.8, 2)))
    total = np.cumsum(rate * (minutes >= onset_min))
    average = rate[: max(1, int(np.searchsorted(minutes, minutes[0] + 7 * DAY_MIN)))].mean()
    return np.asarray(total * (minutes[1] - minutes[0]) / (average * duration_min))
