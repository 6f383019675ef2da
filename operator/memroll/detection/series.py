"""Samples of one gauge of one container instance, and how they are downsampled for records and plots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Ordered samples of one gauge of one container instance.

    `times_s`: shape (n,), float64, seconds since the epoch, strictly increasing.
    `values`: shape (n,), float64, same unit throughout (bytes for memory), finite.
    """

    times_s: NDArray[np.float64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, samples: Iterable[tuple[float, float]]) -> Series:
        """Order the samples, drop those that are not finite, and keep the last of equal times."""
        kept = {t: v for t, v in samples if np.isfinite(t) and np.isfinite(v)}
        times = sorted(kept)
        return cls(np.array(times, dtype=np.float64), np.array([kept[t] for t in times], dtype=np.float64))

    def __len__(self) -> int:
        return int(self.times_s.size)

    def between(self, start_s: float, end_s: float) -> Series:
        """Return the samples in the half-open interval (start_s, end_s], as a view."""
        first, end = np.searchsorted(self.times_s, (start_s, end_s), side="right")
        return Series(self.times_s[first:end], self.values[first:end])

    def until(self, end_s: float) -> Series:
        """Return the samples up to and including `end_s`."""
        return self.between(-np.inf, end_s)

    def at(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the newest value at each of these times; NaN before the first sample. Shape: that of `times_s`."""
        if not len(self):
            return np.full(times_s.shape, np.nan)
        last = np.searchsorted(self.times_s, times_s, side="right") - 1
        return np.where(last >= 0, self.values[np.maximum(last, 0)], np.nan)

    @property
    def first_s(self) -> float:
        """Time of the oldest sample; infinity without samples."""
        return float(self.times_s[0]) if len(self) else np.inf

    @property
    def last_s(self) -> float:
        """Time of the newest sample; minus infinity without samples."""
        return float(self.times_s[-1]) if len(self) else -np.inf

    @property
    def spacing_s(self) -> float:
        """Median time between two samples; infinity with fewer than two."""
        return float(np.sort(np.diff(self.times_s))[(len(self) - 1) // 2]) if len(self) > 1 else np.inf


EMPTY = Series(np.empty(0), np.empty(0))
"""Series without samples."""


def downsample(series: Series, max_points: int) -> Series:
    """Return at most `max_points` samples: the smallest and the largest of each stretch, so that no peak is lost."""
    if len(series) <= max_points:
        return series
    starts = np.linspace(0, len(series), max_points // 2, endpoint=False).astype(np.intp)
    parts = np.split(np.arange(len(series)), starts[1:])
    extremes = ((p[np.argmin(series.values[p])], p[np.argmax(series.values[p])]) for p in parts)
    kept = np.unique(np.fromiter((n for pair in extremes for n in pair), np.intp))
    return Series(series.times_s[kept], series.values[kept])
