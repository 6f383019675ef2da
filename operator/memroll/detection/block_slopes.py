"""Slopes of long windows from the means of blocks, each computed once, where a fit takes all samples each time.

A least-squares slope hardly changes if the samples of a block, a 36th of the window or less, are replaced by their
mean. Only complete blocks within the window count. The operator keeps their means; the backtest computes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.samples import TICK_S
from memroll.detection.series import EMPTY, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.samples import SlowBins

PAGE_BYTES = 4096
"""Size of a page, in bytes."""
MIN_KNOWN_BLOCKS = 3
"""Minimum number of blocks for a slope: two points always fit a line."""


def block_means(series: Series, block_s: float) -> Series:
    """Return the mean of each complete block with samples; its time is the block's end, a multiple of `block_s`."""
    if not len(series):
        return EMPTY
    block = np.ceil(np.round(series.times_s / block_s, 9))
    first = np.flatnonzero(np.diff(block, prepend=-np.inf))
    ends = block[first] * block_s
    counts = np.diff(np.append(first, len(series)))
    means = np.add.reduceat(series.values - series.values[0], first) / counts + series.values[0]
    complete = ends <= series.last_s
    return in_pages(Series(ends[complete], means[complete]))


def in_pages(means: Series) -> Series:
    """Return the means rounded to pages, in which the kernel counts memory."""
    return Series(means.times_s, np.round(means.values / PAGE_BYTES) * PAGE_BYTES)


def block_window_s(window_s: float, blocks: SlowBins) -> float:
    """Return the length of the time in which the blocks end that lie within a window."""
    return window_s - blocks.block_s + TICK_S


def has_few_blocks(means: Series, blocks: SlowBins, times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return at which times too few blocks of late are known for any slope."""
    return count_blocks(means, blocks, times_s) < MIN_KNOWN_BLOCKS


def count_blocks(means: Series, blocks: SlowBins, times_s: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the number of blocks known of late at each time."""
    first = np.searchsorted(means.times_s, times_s - blocks.known_by_blocks_s, side="right")
    counts: NDArray[np.intp] = np.searchsorted(means.times_s, times_s, side="right") - first
    return counts
