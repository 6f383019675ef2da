"""Slow slopes: the minimum of the RSS now against that of one day and of three days before.

Takes a few samples of each container where a fitted slope would take all of three days, so Prometheus can compute them
for every container at each reconcile. They let slow leaks pass the prefilter; the backtest computes them from samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.samples import MIN_BLOCKS, SlowBins
from memroll.detection.series import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.parameters import DetectionParameters

MAX_CURRENT_S = 300.0
"""Maximum age of a sample that Prometheus considers current, in seconds: its lookback delta."""
SLOW_WINDOWS = (1.0, 3.0)
"""Times between the two bins, in days of the parameters: a day and three, or 4 and 12 windows of less than an hour
(design note 0023)."""
BIN_RATIO = 1 / 12
"""Length of the bin, in windows: half an hour of 6 h, which contains a collection. Chosen by
hand."""


USAGE_OFFSET_RATIOS = (1 / 3, 1.0)
"""Times before now whose working set is compared with that of now, in windows. Chosen by hand."""


MIN_BLOCK_S = 300.0
"""Minimum length of a block, in seconds: in a shorter one there may be no scrape. Chosen by hand."""


def slow_bins(parameters: DetectionParameters) -> SlowBins:
    """Return the bin and the offsets, in seconds, of the slow slopes, and the blocks of long windows."""
    window_s, day_s = parameters.window_s, parameters.day_s
    offsets_s, usage_offsets_s = (d * day_s for d in SLOW_WINDOWS), (r * window_s for r in USAGE_OFFSET_RATIOS)
    block_s = round(window_s / MIN_BLOCKS, 3)
    blocks = block_s if block_s >= MIN_BLOCK_S else 0.0
    return SlowBins(BIN_RATIO * window_s, tuple(offsets_s), tuple(usage_offsets_s), blocks)


def slow_slopes(series: Series, parameters: DetectionParameters, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slow slopes at each time, in bytes per second; NaN where one of the two bins has no sample.

    Shape: (offsets, times). A bin is half-open, (end - bin, end], as `min_over_time` of Prometheus 3.
    """
    bins = slow_bins(parameters)
    now = _minima(series, bins.bin_s, times_s)
    return np.array([(now - _minima(series, bins.bin_s, times_s - offset_s)) / offset_s for offset_s in bins.offsets_s])


def usage_slopes(series: Series, parameters: DetectionParameters, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slopes from the working set of each earlier time to that of now; NaN where unknown.

    Shape: (offsets, times).
    """
    offsets_s = slow_bins(parameters).usage_offsets_s
    now = _newest(series, times_s)
    return np.array([(now - _newest(series, times_s - offset_s)) / offset_s for offset_s in offsets_s])


def _newest(series: Series, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the newest sample at each time; NaN if it is older than Prometheus considers current."""
    sampled_s = Series(series.times_s, series.times_s).at(times_s)
    return np.where(times_s - sampled_s <= MAX_CURRENT_S, series.at(times_s), np.nan)


def _minima(series: Series, bin_s: float, ends_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the minimum of the bin that ends at each time; NaN for a bin without a sample."""
    first, end = (np.searchsorted(series.times_s, t, side="right") for t in (ends_s - bin_s, ends_s))
    padded = np.append(series.values, np.inf)  # `end` may be the number of samples
    minima = np.minimum.reduceat(padded, np.column_stack((first, end)).ravel())[::2] if ends_s.size else ends_s
    return np.where(end > first, minima, np.nan)
