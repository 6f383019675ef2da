"""Lower envelope of a series: the minimum of each of a few equal bins of a window.

Takes samples, returns one point for each bin; the trend, the growth phase and the comparisons are computed on it.
Garbage collection, caches and request bursts add to what a process holds; they rarely take away from it. The minimum
over a bin that is long enough to contain a collection is the memory that the process does not return.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.series import Series

MAX_BINS = 24
"""Maximum number of bins of a window (design note 0003): 15 min each, in a window of 6 h."""
MIN_BINS = 6
"""Minimum number of bins of a window (design note 0003)."""
SAMPLES_PER_BIN = 2
"""Minimum number of samples in a bin, on average. Chosen by hand."""
MIN_COLLECTION_RATIO = 0.35
"""Minimum ratio of a fall to the window's range of values for the fall to count as a garbage collection.

Chosen on the design set of `make bench-detect`, as are the next two.
"""
MIN_COLLECTIONS = 3
"""Minimum number of collections in a window for the bins to be widened to contain them."""
COLLECTIONS_PER_BIN = 1.5
"""Number of collections in a bin, on average."""


@dataclass(frozen=True, slots=True, eq=False)
class LowerEnvelope:
    """`times_s` and `values_bytes`: shape (bins,), bin centres and minima, oldest first."""

    times_s: NDArray[np.float64]
    values_bytes: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.times_s.size)


def bin_count(samples: int, collections: int = 0) -> int:
    """Return the number of bins for this many samples: two samples or more in each, and a collection if there are."""
    max_bins = MAX_BINS if collections < MIN_COLLECTIONS else min(MAX_BINS, int(collections / COLLECTIONS_PER_BIN))
    return max(MIN_BINS, min(max_bins, samples // SAMPLES_PER_BIN))


def count_collections(values: NDArray[np.float64]) -> int:
    """Count the falls, from a local maximum to the next minimum, of over a third of the range of the values."""
    if values.size < SAMPLES_PER_BIN * MIN_BINS:
        return 0
    min_fall = MIN_COLLECTION_RATIO * float(np.ptp(values))
    turning_points = np.flatnonzero(np.diff(np.signbit(np.diff(values)))) + 1
    extremes = values[np.concatenate(([0], turning_points, [values.size - 1]))]
    return int(np.count_nonzero(np.diff(extremes) < -min_fall)) if min_fall > 0 else 0


def lower_envelope(series: Series, start_s: float, end_s: float, bins: int | None = None) -> LowerEnvelope:
    """Return the lower envelope of the samples in (start_s, end_s]; bins without a sample are omitted."""
    inside = series.between(start_s, end_s)
    if not len(inside):
        return LowerEnvelope(inside.times_s, inside.values)
    bins = bin_count(len(inside), count_collections(inside.values)) if bins is None else bins
    edges = start_s + np.arange(bins, dtype=np.float64) * ((end_s - start_s) / bins)
    first = np.searchsorted(inside.times_s, edges, side="right")
    filled = np.diff(np.append(first, len(inside))) > 0
    minima = np.minimum.reduceat(inside.values, first[filled])
    centres: NDArray[np.float64] = edges[filled] + (end_s - start_s) / bins / 2
    return LowerEnvelope(centres, minima)
