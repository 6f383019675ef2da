"""PrecogMF at every evaluation: a trend since a change point that exceeds the trends tolerated on the first day.

After Jindal et al., "Memory leak detection algorithms in the cloud-based infrastructure" (2021), with the defaults of
their code: 5 min medians, 1 h rolling median, trends of 6 h and more with R2 of 0.8, limit within 7 d, usage at 40 %.
Here, all durations are multiples of the policy's window (default: 6 h), so that a shorter window is compared equally.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.trend import median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters
    from memroll.detection.series import Series

BINS_PER_WINDOW = 72
"""Number of medians per window: 5 min of 6 h."""
SMOOTHED_BINS = 12
"""Number of medians in the rolling median: 1 h."""
TRAINING_WINDOWS = 4
"""Number of windows of training: the first 24 h."""
CRITICAL_WINDOWS = 28.0
"""Maximum time to the limit of a critical trend, in windows: 7 d."""
MIN_R2 = 0.8
"""Minimum coefficient of determination of a critical trend, from the authors' code."""
MIN_USAGE_RATIO = 0.4
"""Minimum ratio of usage to limit at the end of a critical trend, from the authors' code."""
HIGH_USAGE_RATIO = 0.95
"""Ratio of usage to limit above which a value counts as high, whatever the training data."""
HIGHEST_VALUES = 10
"""Number of highest values that are compared with those of the training."""
MAX_MODIFIED_Z = 3.5
"""Maximum modified z-score of a step that is no change point, after Iglewicz and Hoaglin (1993)."""
MAD_SCALE = 0.6745
"""Ratio of the median absolute deviation to the standard deviation of a normal distribution."""


def precogmf_alerts(
    history: ContainerHistory, parameters: DetectionParameters, times_s: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return, for each time, whether the detector alerts."""
    width_s = parameters.window_s / BINS_PER_WINDOW
    times, values = smooth(history.rss, width_s)
    training = int(np.searchsorted(times, history.started_at_s + TRAINING_WINDOWS * parameters.window_s, side="right"))
    if training >= times.size or training < HIGHEST_VALUES:
        return np.zeros(times_s.size, dtype=np.bool_)
    run = _Run(times, values, training, float(history.limit_bytes or 0), parameters.window_s)
    alerts = run.alerts()
    newest = np.searchsorted(times, times_s, side="right") - 1
    return np.asarray((newest >= training) & alerts[np.maximum(newest, 0)])


def smooth(series: Series, width_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rolling median of the bins' medians, each at the end of its bin."""
    bins = np.floor((series.times_s - series.first_s) / width_s)
    starts = np.flatnonzero(np.append(True, np.diff(bins) > 0))
    medians = [median(part) for part in np.split(series.values, starts[1:])]
    values = np.array(medians)
    rolling = np.array([median(values[max(0, n - SMOOTHED_BINS + 1) : n + 1]) for n in range(len(medians))])
    return series.first_s + (bins[starts] + 1) * width_s, rolling


@dataclass(frozen=True, slots=True)
class LineFits:
    """Least-squares lines from one point to each later point. Arrays of one shape; NaN where no line fits."""

    slopes: NDArray[np.float64]
    r2: NDArray[np.float64]
    durations_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Run:
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]
    training: int
    """Number of points used for training."""
    limit: float
    window_s: float

    def alerts(self) -> NDArray[np.bool_]:
        """Return, for each point, whether the detector alerts."""
        tolerated = self._tolerated_trends()
        alerts = np.zeros(self.times_s.size, dtype=np.bool_)
        for start in self._change_points():
            fits = self._fits(start)
            alerts[start:] |= self._critical(fits, start) & _exceeds(fits, tolerated) & self._is_high(start)
        return alerts

    def _change_points(self) -> list[int]:
        """Return the points whose first difference is an outlier compared with the training; a window or more apart."""
        steps = np.diff(self.values)
        usual = steps[: self.training - 1]
        middle = np.median(usual)
        scatter = np.median(np.abs(usual - middle))
        outliers = np.flatnonzero(MAD_SCALE * np.abs(steps - middle) > MAX_MODIFIED_Z * scatter) + 1
        points = [0]
        for n in outliers.tolist():
            if self.times_s[n] - self.times_s[points[-1]] >= self.window_s:
                points.append(n)
        return points

    def _fits(self, start: int) -> LineFits:
        x, y = self.times_s[start:] - self.times_s[start], self.values[start:] - self.values[start]
        n = np.arange(1, x.size + 1)
        sx, sy, sxx, sxy, syy = (np.cumsum(v) for v in (x, y, x * x, x * y, y * y))
        vx, vy, cxy = n * sxx - sx * sx, n * syy - sy * sy, n * sxy - sx * sy
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes, r2 = cxy / vx, cxy * cxy / (vx * vy)
        return LineFits(slopes, r2, x)

    def _critical(self, fits: LineFits, start: int) -> NDArray[np.bool_]:
        """Return whether each trend is long, linear, at high usage, and reaches the limit within the critical time."""
        remaining_bytes = self.limit - self.values[start:]
        soon = remaining_bytes <= CRITICAL_WINDOWS * self.window_s * fits.slopes
        high = self.values[start:] >= MIN_USAGE_RATIO * self.limit
        long = fits.durations_s >= self.window_s
        return np.asarray((fits.slopes > 0) & (fits.r2 >= MIN_R2) & long & soon & high)

    def _tolerated_trends(self) -> list[tuple[float, float]]:
        """Return slope and duration of the critical trends that began and ended during training."""
        points = [n for n in self._change_points() if n < self.training]
        found = []
        for start in points:
            fits = self._fits(start)
            critical = self._critical(fits, start)
            ended = [end - start for end in points if end > start and critical[end - start]]
            found += [(float(fits.slopes[n]), float(fits.durations_s[n])) for n in ended]
        return found

    def _is_high(self, start: int) -> NDArray[np.bool_]:
        """Return whether ten values since `start` reach the median of the ten highest of the training."""
        usual = float(np.median(np.sort(self.values[: self.training])[-HIGHEST_VALUES:]))
        minimum = min(usual, HIGH_USAGE_RATIO * self.limit)
        return np.asarray(np.cumsum(self.values[start:] >= minimum) >= HIGHEST_VALUES)


def _exceeds(fits: LineFits, tolerated: list[tuple[float, float]]) -> NDArray[np.bool_]:
    """Return whether each trend is steeper and longer than all tolerated trends, or than any single one of them."""
    steepest = max((slope for slope, _ in tolerated), default=0.0)
    longest_s = max((duration for _, duration in tolerated), default=0.0)
    pairs = [(steepest, longest_s), *tolerated]
    return np.asarray(
        np.any([(fits.slopes > slope) & (fits.durations_s > duration_s) for slope, duration_s in pairs], axis=0)
    )
