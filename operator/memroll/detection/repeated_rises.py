"""Rises that repeat: batches that fill memory every hour, every few hours or every week, and give it back.

Takes a container's whole history, process restarts included, returns what explains the present growth; called by
`verdict` for a container that is due or confirmed. No period is assumed: the usage is cut into cycles, each a rise and
a fall, at falls that are large compared with the whole range of the usage. A rise is explained while it stays within
what earlier cycles reached, if those survived, started from the same level and took as long. The rise of the peaks
themselves, as by a leak beneath a periodic load, is expected to continue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.api.quantity import format_mib, humanize_duration
from memroll.detection.growth_phase import BINS_PER_WINDOW
from memroll.detection.lower_envelope import LowerEnvelope
from memroll.detection.trend import median_of_sorted, pairwise_slopes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters
    from memroll.detection.series import Series
    from memroll.detection.trend import Trend

MIN_FALL_RATIO = 0.5
"""Minimum ratio of a fall to the range of the usage for it to end a cycle. Chosen by hand, as are the others here."""
MIN_CYCLES = 2
"""Minimum number of earlier cycles: the present one is the third."""
NEWEST_CYCLES = 3
"""Newest cycles whose growth from peak to peak is expected to continue."""
MAX_DURATION_RATIO = 1.5
"""Maximum ratio of the time since the last peak to the longest time between two."""
MAX_TROUGH_RISE_RATIO = 0.25
"""Maximum rise of the present cycle's trough above the earlier ones, as a ratio of the range of the usage."""
TOLERANCE_LIMIT_RATIO = 0.01
"""Ratio of the limit by which a peak may exceed the earlier ones."""

MIN_PEAK_SLOPE_RATIO = 0.5
"""Minimum ratio of the slope from peak to peak to that of the trend for the peaks to follow it."""
MAX_TREND_RATIO = 2.2
"""Maximum ratio of the time of a trend to that from the first peak to the last: a longer one has other evidence."""


@dataclass(frozen=True, slots=True)
class Cycles:
    """Complete cycles of the usage, oldest first: shape (n,) each. Bytes and seconds."""

    peaks_s: NDArray[np.float64]
    peaks_bytes: NDArray[np.float64]
    troughs_bytes: NDArray[np.float64]
    """Lowest usage after each peak; the last one is where the present rise began."""

    def __len__(self) -> int:
        return int(self.peaks_s.size)


def find_cycles(usage: Series, min_fall_bytes: float) -> Cycles:
    """Cut the usage at each fall of this height that follows a rise of this height, or the start."""
    peaks: list[tuple[float, float]] = []
    troughs: list[float] = []
    falling, at_s, extreme = False, -np.inf, -np.inf
    for time_s, value in zip(usage.times_s.tolist(), usage.values.tolist(), strict=True):
        if falling and value >= troughs[-1] + min_fall_bytes:
            falling, at_s, extreme = False, time_s, value
        elif falling:
            troughs[-1] = min(troughs[-1], value)
        elif value >= extreme:
            at_s, extreme = time_s, value
        elif value <= extreme - min_fall_bytes:
            falling = True
            peaks.append((at_s, extreme))
            troughs.append(value)
    times, heights = np.array(peaks, dtype=np.float64).reshape(-1, 2).T
    return Cycles(times, heights, np.array(troughs, dtype=np.float64))


def explain(
    history: ContainerHistory, parameters: DetectionParameters, at_s: float, trend: Trend | None, *, due: bool
) -> str:
    """Return the message if earlier cycles rose as high as the usage at `at_s` and fell back, else nothing.

    A container that is due must stay within its earlier peaks. The peaks of one that is only confirmed must not follow
    this trend: those of a leak beneath a periodic load do.
    """
    killed_s = max((t for t in history.oom_kills_s if t <= at_s), default=-np.inf)
    usage = history.usage.between(max(at_s - parameters.lookback_s, killed_s), at_s)
    limit = history.limit_bytes
    if limit is None or not len(usage):
        return ""
    highest = _maxima(usage, parameters.window_s / BINS_PER_WINDOW)
    range_bytes = float(np.ptp(highest.values))
    cycles = find_cycles(highest, MIN_FALL_RATIO * range_bytes)
    if len(cycles) < MIN_CYCLES or range_bytes <= 0 or not _is_like_earlier(cycles, range_bytes, at_s):
        return ""
    if not due and (trend is None or _peaks_follow(cycles, trend)):
        return ""
    growth = growth_of_peaks_bytes(cycles)
    top = float(cycles.peaks_bytes.max()) + growth + TOLERANCE_LIMIT_RATIO * limit
    if not float(highest.values[-1]) <= top < limit - growth:
        return ""  # above its earlier peaks, or the cycle after this one may reach the limit
    every, height = humanize_duration(float(np.median(np.diff(cycles.peaks_s)))), format_mib(top)
    return f"rose and fell {len(cycles)} times before, about every {every}: a leak exceeds {height}"


def growth_of_peaks_bytes(cycles: Cycles) -> float:
    """Return the most by which one of the newest peaks exceeded all before it."""
    return float(np.diff(np.maximum.accumulate(cycles.peaks_bytes))[-NEWEST_CYCLES:].max())


def _peaks_follow(cycles: Cycles, trend: Trend) -> bool:
    """Return whether the peaks rise with half of the trend's slope or more, or the trend is longer than the cycles."""
    lasted_s = float(cycles.peaks_s[-1] - cycles.peaks_s[0])
    if trend.rise_bytes > MAX_TREND_RATIO * trend.slope_bytes_per_s * lasted_s:
        return True
    slopes = pairwise_slopes(LowerEnvelope(cycles.peaks_s, cycles.peaks_bytes))
    return median_of_sorted(slopes) >= MIN_PEAK_SLOPE_RATIO * trend.slope_bytes_per_s


def _is_like_earlier(cycles: Cycles, range_bytes: float, at_s: float) -> bool:
    """Return whether the present rise began at the same level as earlier ones, and lasts no longer."""
    longest_s = float(np.diff(cycles.peaks_s).max())
    earlier = float(cycles.troughs_bytes[:-1].max())
    return (
        at_s - float(cycles.peaks_s[-1]) <= MAX_DURATION_RATIO * longest_s
        and float(cycles.troughs_bytes[-1]) <= earlier + MAX_TROUGH_RISE_RATIO * range_bytes
    )


def _maxima(series: Series, width_s: float) -> Series:
    """Return the highest sample in each bin that has one, at the time of its newest."""
    bins = np.floor(series.times_s / width_s)
    first = np.flatnonzero(np.diff(bins, prepend=-np.inf))
    last = np.append(first[1:], len(series)) - 1
    return type(series)(series.times_s[last], np.maximum.reduceat(series.values, first))
