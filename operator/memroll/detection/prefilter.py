"""Prefilter: drops the containers whose samples need not be read.

Takes the least-squares slope of each container (`deriv`, computed by Prometheus) over a few windows and its newest
usage; called by `assess` for each reconcile, and by the backtest for each instant of a trace. A container that does not
grow in any of the windows, and whose usage is not near its limit, is healthy. The prefilter only ever drops containers:
its thresholds are lower than those of the leak checks by a factor of two to four.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.api.quantity import format_rate
from memroll.detection.block_slopes import block_means, block_window_s, has_few_blocks
from memroll.detection.exhaustion import MIN_USAGE_RATIO_LONG_LEAD
from memroll.detection.reasons import VerdictReason
from memroll.detection.samples import NO_SLOW_BINS, counted_windows_s
from memroll.detection.slow_slopes import slow_bins, slow_slopes, usage_slopes
from memroll.detection.verdict import MAX_SAMPLE_AGE_WINDOWS, ContainerVerdict, Verdict, no_rss, warming_up
from memroll.detection.window import MIN_COVERED_RATIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters
    from memroll.detection.samples import PrefilterRow, SlowBins
    from memroll.detection.series import Series


@dataclass(frozen=True, slots=True)
class PrefilterWindow:
    """Window over which Prometheus computes a slope."""

    ratio: float
    """Length of the window, in windows of the policy."""
    min_slope_ratio: float
    """Ratio of the growth threshold above which the slope makes a container a candidate."""
    near_limit_only: bool = False
    """True if the window only counts for a usage near the limit."""


PREFILTER_WINDOWS = (
    PrefilterWindow(1.0, 0.25),
    PrefilterWindow(4.0, 0.5),
    PrefilterWindow(1 / 3, 0.5, near_limit_only=True),
    PrefilterWindow(1 / 8, 0.5, near_limit_only=True),
)
"""Windows of the prefilter: a quarter to a half of the growth threshold (design note 0004)."""
MAX_PREDICTED_RATIO = 0.5
"""Time within which a slow leak must reach its limit to be a candidate, as a ratio of the long history: a week."""
MAX_USAGE_PREDICTED_WINDOWS = 1.5
"""Time within which a working set must reach the limit for its container to be a candidate, in windows: 9 h."""
MIN_SAMPLES = 3
"""Minimum number of samples in a window for a slope: a line through two of them is no evidence. Chosen by hand."""


def far_windows() -> int:
    """Return the number of windows, the first ones, that count whatever the usage is."""
    return sum(not w.near_limit_only for w in PREFILTER_WINDOWS)


def prefilter_windows_s(parameters: DetectionParameters) -> tuple[float, ...]:
    """Return the lengths of the windows, in seconds."""
    return tuple(w.ratio * parameters.window_s for w in PREFILTER_WINDOWS)


def is_candidate(
    parameters: DetectionParameters,
    limit_bytes: int | None,
    usage_bytes: float,
    slopes: Sequence[float | None],
    slow_slopes: Sequence[float | None] = (),
    usage_slopes: Sequence[float | None] = (),
) -> bool:
    """Return whether to assess a container with these slopes, in bytes per second, one per window; None: unknown."""
    threshold, usage_threshold = parameters.threshold_bytes_per_s, parameters.usage_threshold
    if threshold is None or all(s is None for s in slopes):
        return True  # the assessment reports what is missing
    ahead_s = MAX_PREDICTED_RATIO * parameters.long_lookback_s, MAX_USAGE_PREDICTED_WINDOWS * parameters.window_s
    for seconds, rising in zip(ahead_s, (slow_slopes, usage_slopes), strict=True):
        if limit_bytes is not None and _reaches_limit_within(seconds, limit_bytes, usage_bytes, rising):
            return True
    near = limit_bytes is not None and usage_bytes >= MIN_USAGE_RATIO_LONG_LEAD * limit_bytes
    if limit_bytes is not None and usage_threshold is not None and usage_bytes >= usage_threshold * limit_bytes:
        return True
    return any(
        slope is not None and slope > window.min_slope_ratio * threshold and (near or not window.near_limit_only)
        for slope, window in zip(slopes, PREFILTER_WINDOWS, strict=True)
    )


def _reaches_limit_within(ahead_s: float, limit_bytes: int, usage_bytes: float, slopes: Sequence[float | None]) -> bool:
    """Return whether a container near its limit would reach it within this time, at one of these slopes."""
    if usage_bytes < MIN_USAGE_RATIO_LONG_LEAD * limit_bytes:
        return False
    return any(slope is not None and 0 < limit_bytes - usage_bytes <= slope * ahead_s for slope in slopes)


def prefilter_verdict(
    row: PrefilterRow, parameters: DetectionParameters, limit_bytes: int | None, started_at_s: float, now_s: float
) -> ContainerVerdict | None:
    """Return the verdict of a container that is no candidate, or None for a candidate."""
    usage, age_s = row.working_set_bytes, now_s - started_at_s
    if usage is not None and not row.has_rss:
        return no_rss(usage)
    if usage is None or now_s - row.last_s > MAX_SAMPLE_AGE_WINDOWS * parameters.window_s:
        return None
    slow = row.slow_slopes_bytes_per_s, row.usage_slopes_bytes_per_s
    if is_candidate(parameters, limit_bytes, usage, row.slopes_bytes_per_s, *slow):
        return None
    wait_s = parameters.warm_up_s + MIN_COVERED_RATIO * parameters.window_s - age_s
    if wait_s > 0:
        return warming_up(wait_s, usage)
    steepest = max(s for s in row.slopes_bytes_per_s if s is not None)
    message = f"slope {format_rate(steepest)} at most"
    return ContainerVerdict(Verdict.HEALTHY, VerdictReason.NOT_GROWING, message, usage)


def candidate_mask(
    history: ContainerHistory, parameters: DetectionParameters, times_s: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return at which of these times a container is a candidate. Shape of the result: that of `times_s`."""
    slopes = window_slopes(history.rss, prefilter_windows_s(parameters), times_s, slow_bins(parameters))
    slow = slow_slopes(history.rss, parameters, times_s)
    rising = usage_slopes(history.working_set, parameters, times_s)
    usage = np.nan_to_num(history.working_set.at(times_s))
    return np.array(
        [
            is_candidate(parameters, history.limit_bytes, float(u), *map(_known, rows))
            for u, *rows in zip(usage, *map(np.transpose, (slopes, slow, rising)), strict=True)
        ],
        dtype=np.bool_,
    )


def _known(slopes: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(x) else float(x) for x in slopes]


def window_slopes(
    series: Series, windows_s: Sequence[float], times_s: NDArray[np.float64], slow: SlowBins = NO_SLOW_BINS
) -> NDArray[np.float64]:
    """Return the slopes of the windows that end at each time, as a prefilter run. Shape: (windows, times).

    All are NaN where too few samples of late are known: the container is a candidate.
    """
    if slow.block_s:
        means = block_means(series, slow.block_s)
        few = has_few_blocks(means, slow, times_s)
        slopes = np.array([_slopes_of(series, means, w, slow, times_s) for w in windows_s])
        return np.where(few, np.nan, slopes)
    slopes = np.array([least_squares_slopes(series, window_s, times_s) for window_s in windows_s])
    for window_s in counted_windows_s(windows_s):
        first, end = (np.searchsorted(series.times_s, t, side="right") for t in (times_s - window_s, times_s))
        slopes[:, end - first < MIN_SAMPLES] = np.nan
    return slopes


def _slopes_of(
    series: Series, means: Series, window_s: float, slow: SlowBins, times_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    if slow.is_by_blocks(window_s):
        return least_squares_slopes(means, block_window_s(window_s, slow), times_s)
    return least_squares_slopes(series, window_s, times_s)


def least_squares_slopes(series: Series, window_s: float, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slopes of the windows that end at `times_s`, as `deriv` does; NaN for fewer than `MIN_SAMPLES`.

    Computed by prefix sums of the series less its mean, so that no digits are lost.
    """
    if not len(series):
        return np.full(times_s.size, np.nan)
    x, y = series.times_s - series.times_s.mean(), series.values - series.values.mean()
    sums = [np.concatenate(([0.0], np.cumsum(v))) for v in (x, y, x * x, x * y)]
    end = np.searchsorted(series.times_s, times_s, side="right")
    start = np.searchsorted(series.times_s, times_s - window_s, side="right")
    n = (end - start).astype(float)
    sx, sy, sxx, sxy = (s[end] - s[start] for s in sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    return np.where(n >= MIN_SAMPLES, slopes, np.nan)
