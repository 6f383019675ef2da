"""PrecogMF, asked at every look: a trend since a change point that is unlike what the first day tolerated.

After Jindal et al., "Memory leak detection algorithms in the cloud-based infrastructure" (2021), with the defaults of
their code: 5 min medians, 1 h rolling median, trends of 6 h and more with R2 of 0.8, limit within 7 d, usage at 40 %.
All of them are shares of the policy's window of 6 h here, so that a shorter one is compared alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.trend import median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import Rule, Subject
    from memroll.detection.series import Series

BINS_PER_WINDOW = 72
SMOOTHED_BINS = 12
TRAINING_WINDOWS = 4
CRITICAL_WINDOWS = 28.0
R2_MIN = 0.8
USAGE_SHARE_MIN = 0.4
HIGH_SHARE = 0.95
"""Values above this share of the limit pass the filter, whatever the training held."""
TOP = 10
MODIFIED_Z_MAX = 3.5
MAD_SCALE = 0.6745


def precog(subject: Subject, rule: Rule, looks_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    width_s = rule.window_s / BINS_PER_WINDOW
    times, values = smoothed(subject.rss, width_s)
    training = int(np.searchsorted(times, subject.started_at_s + TRAINING_WINDOWS * rule.window_s, side="right"))
    if training >= times.size or training < TOP:
        return np.zeros(looks_s.size, dtype=np.bool_)
    run = _Run(times, values, training, float(subject.limit_bytes or 0), rule.window_s)
    alarms = run.alarms()
    newest = np.searchsorted(times, looks_s, side="right") - 1
    return np.asarray((newest >= training) & alarms[np.maximum(newest, 0)])


def smoothed(series: Series, width_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rolling median of the bins' medians, each under the time of its bin's end."""
    bins = np.floor((series.times_s - series.first_s) / width_s)
    starts = np.flatnonzero(np.append(True, np.diff(bins) > 0))
    medians = [median(part) for part in np.split(series.values, starts[1:])]
    values = np.array(medians)
    rolled = np.array([median(values[max(0, n - SMOOTHED_BINS + 1) : n + 1]) for n in range(len(medians))])
    return series.first_s + (bins[starts] + 1) * width_s, rolled


@dataclass(frozen=True, slots=True)
class Fits:
    """Least squares from one point to each later one. All of the same shape; NaN where no line fits."""

    slopes: NDArray[np.float64]
    r2: NDArray[np.float64]
    durations_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Run:
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]
    training: int
    """How many of the points are trained on."""
    limit: float
    window_s: float

    def alarms(self) -> NDArray[np.bool_]:
        """Whether it alarms at each point."""
        tolerated = self._tolerated()
        alarms = np.zeros(self.times_s.size, dtype=np.bool_)
        for start in self._change_points():
            fits = self._fits(start)
            alarms[start:] |= self._critical(fits, start) & _unlike(fits, tolerated) & self._stands_high(start)
        return alarms

    def _change_points(self) -> list[int]:
        """Return where the first difference is an outlier among those of the training, a window or more apart."""
        steps = np.diff(self.values)
        usual = steps[: self.training - 1]
        middle = np.median(usual)
        scatter = np.median(np.abs(usual - middle))
        outliers = np.flatnonzero(MAD_SCALE * np.abs(steps - middle) > MODIFIED_Z_MAX * scatter) + 1
        points = [0]
        for n in outliers.tolist():
            if self.times_s[n] - self.times_s[points[-1]] >= self.window_s:
                points.append(n)
        return points

    def _fits(self, start: int) -> Fits:
        x, y = self.times_s[start:] - self.times_s[start], self.values[start:] - self.values[start]
        n = np.arange(1, x.size + 1)
        sx, sy, sxx, sxy, syy = (np.cumsum(v) for v in (x, y, x * x, x * y, y * y))
        vx, vy, cxy = n * sxx - sx * sx, n * syy - sy * sy, n * sxy - sx * sy
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes, r2 = cxy / vx, cxy * cxy / (vx * vy)
        return Fits(slopes, r2, x)

    def _critical(self, fits: Fits, start: int) -> NDArray[np.bool_]:
        """Whether a trend is long, straight, high, and meets the limit soon enough to matter."""
        left = self.limit - self.values[start:]
        soon = left <= CRITICAL_WINDOWS * self.window_s * fits.slopes
        high = self.values[start:] >= USAGE_SHARE_MIN * self.limit
        long = fits.durations_s >= self.window_s
        return np.asarray((fits.slopes > 0) & (fits.r2 >= R2_MIN) & long & soon & high)

    def _tolerated(self) -> list[tuple[float, float]]:
        """Return slope and duration of the training's trends that had ended when it did."""
        points = [n for n in self._change_points() if n < self.training]
        found = []
        for start in points:
            fits = self._fits(start)
            critical = self._critical(fits, start)
            ended = [end - start for end in points if end > start and critical[end - start]]
            found += [(float(fits.slopes[n]), float(fits.durations_s[n])) for n in ended]
        return found

    def _stands_high(self, start: int) -> NDArray[np.bool_]:
        """Whether the ten highest values since `start` reach the median of the ten highest of the training."""
        usual = float(np.median(np.sort(self.values[: self.training])[-TOP:]))
        least = min(usual, HIGH_SHARE * self.limit)
        return np.asarray(np.cumsum(self.values[start:] >= least) >= TOP)


def _unlike(fits: Fits, tolerated: list[tuple[float, float]]) -> NDArray[np.bool_]:
    """Whether a trend is steeper and longer than all that was tolerated, or than one of them in both."""
    steepest = max((slope for slope, _ in tolerated), default=0.0)
    longest_s = max((duration for _, duration in tolerated), default=0.0)
    pairs = [(steepest, longest_s), *tolerated]
    return np.asarray(
        np.any([(fits.slopes > slope) & (fits.durations_s > lasted_s) for slope, lasted_s in pairs], axis=0)
    )
