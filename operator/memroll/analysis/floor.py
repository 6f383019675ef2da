"""The floor of a series: the least value of each of a few equal bins of a window.

Garbage collection, caches and request bursts add to what a process holds; they rarely take away from it.
The minimum over a bin that is long enough to hold a collection is what the process does not give back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.analysis.series import Series

BINS_MAX = 24
BINS_MIN = 6
SAMPLES_PER_BIN = 2


@dataclass(frozen=True, slots=True, eq=False)
class Floor:
    """`times_s` and `values_bytes`: shape (bins,), bin centres and minima, oldest first."""

    times_s: NDArray[np.float64]
    values_bytes: NDArray[np.float64]


def bins_for(samples: int) -> int:
    """How many bins so many samples carry: two or more samples a bin, 6 to 24 bins."""
    return max(BINS_MIN, min(BINS_MAX, samples // SAMPLES_PER_BIN))


def floor(series: Series, start_s: float, end_s: float) -> Floor:
    """Return the floor of the samples in (start_s, end_s]; bins without a sample are left out."""
    inside = series.between(start_s, end_s)
    bins = bins_for(len(inside))
    width_s = (end_s - start_s) / bins
    index = np.clip(np.ceil((inside.times_s - start_s) / width_s).astype(int) - 1, 0, bins - 1)
    minima = np.full(bins, np.inf)
    np.minimum.at(minima, index, inside.values)
    filled = np.isfinite(minima)
    centres = start_s + (np.arange(bins) + 0.5) * width_s
    return Floor(centres[filled], minima[filled])
