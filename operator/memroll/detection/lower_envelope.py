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

    from memroll.detection.series import Series

BINS_MAX = 24
BINS_MIN = 6
SAMPLES_PER_BIN = 2
FALL_SHARE = 0.35
"""A fall of this share of the window's range is a collection."""
FALLS_MIN = 3
FALLS_PER_BIN = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Floor:
    """`times_s` and `values_bytes`: shape (bins,), bin centres and minima, oldest first."""

    times_s: NDArray[np.float64]
    values_bytes: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.times_s.size)


def bins_for(samples: int, falls: int = 0) -> int:
    """How many bins carry so many samples: two or more samples a bin and, where it collects, a collection each."""
    most = BINS_MAX if falls < FALLS_MIN else min(BINS_MAX, int(falls / FALLS_PER_BIN))
    return max(BINS_MIN, min(most, samples // SAMPLES_PER_BIN))


def collections(values: NDArray[np.float64]) -> int:
    """Count the falls, from one local high to the next low, of over a third of the values' range."""
    if values.size < SAMPLES_PER_BIN * BINS_MIN:
        return 0
    least = FALL_SHARE * float(np.ptp(values))
    turns = np.flatnonzero(np.diff(np.signbit(np.diff(values)))) + 1
    ends = values[np.concatenate(([0], turns, [values.size - 1]))]
    return int(np.count_nonzero(np.diff(ends) < -least)) if least > 0 else 0


def floor(series: Series, start_s: float, end_s: float, bins: int | None = None) -> Floor:
    """Return the floor of the samples in (start_s, end_s]; bins without a sample are left out."""
    inside = series.between(start_s, end_s)
    if not len(inside):
        return Floor(inside.times_s, inside.values)
    bins = bins_for(len(inside), collections(inside.values)) if bins is None else bins
    edges = start_s + np.arange(bins, dtype=np.float64) * ((end_s - start_s) / bins)
    first = np.searchsorted(inside.times_s, edges, side="right")
    filled = np.diff(np.append(first, len(inside))) > 0
    minima = np.minimum.reduceat(inside.values, first[filled])
    centres: NDArray[np.float64] = edges[filled] + (end_s - start_s) / bins / 2
    return Floor(centres, minima)
