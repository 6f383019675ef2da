"""The simpler rules that a policy is compared with: what people alert on, and two published detectors.

Each is given what it could have known at each look, and no `for`. Times in seconds, memory in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.backtest.baselines.precogmf import precog
from memroll.backtest.baselines.resin import resin
from memroll.detection.prefilter import slopes_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from memroll.backtest.trace import Trace
    from memroll.detection.container_history import Rule, Subject
    from memroll.detection.series import Series

COVERED_SHARE = 0.8
"""How much of a slope's window the samples must span."""
HORIZON_WINDOWS = 4.0
"""24 h of 6 h."""
AHEAD_WINDOWS = 2 / 3
"""4 h of 6 h."""
PREDICT_USAGE_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class SimpleRule:
    name: str
    means: str
    alarms: Callable[[Subject, Rule, NDArray[np.float64]], NDArray[np.bool_]]
    """Whether it alarms at each of the looks; only asked of containers with a limit."""


def first_alarm_s(simple: SimpleRule, trace: Trace, rule: Rule) -> float | None:
    if trace.subject.limit_bytes is None:
        return None
    looks_s = trace.looks_s(rule.interval_s)
    alarms = np.flatnonzero(simple.alarms(trace.subject, rule, looks_s))
    return float(looks_s[alarms[0]]) if alarms.size else None


def usage_at(series: Series, looks_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the newest sample at each look; 0 before the first."""
    last = np.searchsorted(series.times_s, looks_s, side="right") - 1
    return np.where(last >= 0, series.values[np.maximum(last, 0)], 0.0)


def above(share: float) -> Callable[[Subject, Rule, NDArray[np.float64]], NDArray[np.bool_]]:
    def alarms(subject: Subject, _: Rule, looks_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        return usage_at(subject.working_set, looks_s) >= share * (subject.limit_bytes or 0)

    return alarms


def deriv(subject: Subject, rule: Rule, looks_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Anonymous memory for the slope, as memroll takes it: the better of the two."""
    slopes = covered_slopes(subject.rss, rule.window_s, looks_s)
    left = (subject.limit_bytes or 0) - usage_at(subject.working_set, looks_s)
    threshold = rule.threshold_bytes_per_s
    return (slopes > (threshold or 0.0)) & (left <= HORIZON_WINDOWS * rule.window_s * slopes)


def predict_linear(subject: Subject, rule: Rule, looks_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    slopes = covered_slopes(subject.working_set, rule.window_s, looks_s)
    mean_s, mean = _means(subject.working_set, rule.window_s, looks_s)
    predicted = mean + slopes * (looks_s + AHEAD_WINDOWS * rule.window_s - mean_s)
    limit = subject.limit_bytes or 0
    return (predicted > limit) & (usage_at(subject.working_set, looks_s) >= PREDICT_USAGE_SHARE * limit)


def covered_slopes(series: Series, window_s: float, looks_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `deriv`'s slopes; NaN, above nothing, where too little of the window is filled."""
    oldest, newest = _edges(series, window_s, looks_s)
    last = np.maximum(newest - 1, 0)
    spanned_s = series.times_s[last] - series.times_s[np.minimum(oldest, last)]
    covered = (newest > oldest) & (spanned_s >= COVERED_SHARE * window_s - series.spacing_s)
    return np.where(covered, slopes_at(series, window_s, looks_s), np.nan)


def _edges(series: Series, window_s: float, looks_s: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first sample of each look's window, and the first after it."""
    oldest = np.searchsorted(series.times_s, looks_s - window_s, side="right")
    return oldest, np.searchsorted(series.times_s, looks_s, side="right")


def _means(
    series: Series, window_s: float, looks_s: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean time and value of each look's window: the point that its line goes through."""
    oldest, newest = _edges(series, window_s, looks_s)
    count = np.maximum(newest - oldest, 1)
    start_s = series.first_s
    sums = (np.concatenate(([0.0], np.cumsum(v))) for v in (series.times_s - start_s, series.values))
    mean_s, mean = ((s[newest] - s[oldest]) / count for s in sums)
    return mean_s + start_s, mean


RULES: tuple[SimpleRule, ...] = (
    SimpleRule("working-set-80", "working set at 80 % of the limit or above", above(0.80)),
    SimpleRule("working-set-95", "working set at 95 % of the limit or above", above(0.95)),
    SimpleRule("deriv", "deriv() over the window above growth.perHour, limit within 4 windows (24h of 6h)", deriv),
    SimpleRule(
        "predict-linear",
        "predict_linear() of the window above the limit in 2/3 of a window (4h of 6h), usage at 70 % or above",
        predict_linear,
    ),
    SimpleRule("resin-like", "more time in high usage than mean + 3 sigma of its own past, and a slope", resin),
    SimpleRule("precogmf-like", "a line from a change point until now, unlike those of the first day", precog),
)
