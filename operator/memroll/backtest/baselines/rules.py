"""Baseline rules that a policy is compared with: common Prometheus alerts, and two published detectors.

Each rule sees only the samples up to each evaluation time, and has no `for`. Times in seconds, memory in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.backtest.baselines.precogmf import precogmf_alerts
from memroll.backtest.baselines.resin import resin_alerts
from memroll.detection.prefilter import least_squares_slopes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from memroll.backtest.trace import Trace
    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters
    from memroll.detection.series import Series

MIN_COVERED_RATIO = 0.8
"""Minimum ratio of a slope's window that the samples must span; common in such alerts."""
HORIZON_WINDOWS = 4.0
"""Maximum time to the limit for `deriv`, in windows: 24 h, if a window has 6 h."""
AHEAD_WINDOWS = 2 / 3
"""Prediction interval of `predict-linear`, in windows: 4 h, if a window has 6 h."""
MIN_PREDICTED_USAGE_RATIO = 0.7
"""Minimum ratio of usage to limit for `predict-linear`; common in such alerts."""


@dataclass(frozen=True, slots=True)
class BaselineRule:
    """Alert rule, by the name that the outputs show."""

    name: str
    description: str
    alerts: Callable[[ContainerHistory, DetectionParameters, NDArray[np.float64]], NDArray[np.bool_]]
    """Function that returns, for each time, whether the rule alerts; called only for containers with a limit."""


def first_alert_s(baseline: BaselineRule, trace: Trace, parameters: DetectionParameters) -> float | None:
    """Return the time of the rule's first alert; None without an alert, or if the rules can't assess the trace."""
    if not can_assess(trace):
        return None
    times_s = trace.evaluation_times_s(parameters.interval_s)
    alerts = np.flatnonzero(baseline.alerts(trace.history, parameters, times_s))
    return float(times_s[alerts[0]]) if alerts.size else None


def can_assess(trace: Trace) -> bool:
    """Return whether the rules can assess a trace: all need a limit, and samples of RSS and working set."""
    return trace.history.limit_bytes is not None and trace.has_memory


def usage_at(series: Series, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the newest sample at each time; 0 before the first sample."""
    return np.nan_to_num(series.at(times_s))


def usage_above(
    ratio: float,
) -> Callable[[ContainerHistory, DetectionParameters, NDArray[np.float64]], NDArray[np.bool_]]:
    """Return a rule that alerts when the working set is at this ratio of the limit or above."""

    def alerts(history: ContainerHistory, _: DetectionParameters, times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        return usage_at(history.working_set, times_s) >= ratio * (history.limit_bytes or 0)

    return alerts


def deriv_alerts(
    history: ContainerHistory, parameters: DetectionParameters, times_s: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return whether growth is above the threshold and the limit near. The slope is that of anonymous memory.

    Anonymous memory gives this rule fewer false alerts than the working set, and memroll uses it as well.
    """
    slopes = covered_slopes(history.rss, parameters.window_s, times_s)
    remaining_bytes = (history.limit_bytes or 0) - usage_at(history.working_set, times_s)
    threshold = parameters.threshold_bytes_per_s
    return (slopes > (threshold or 0.0)) & (remaining_bytes <= HORIZON_WINDOWS * parameters.window_s * slopes)


def predict_linear_alerts(
    history: ContainerHistory, parameters: DetectionParameters, times_s: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return whether the line over the window exceeds the limit soon, at high usage."""
    slopes = covered_slopes(history.working_set, parameters.window_s, times_s)
    mean_s, mean = _means(history.working_set, parameters.window_s, times_s)
    predicted = mean + slopes * (times_s + AHEAD_WINDOWS * parameters.window_s - mean_s)
    limit = history.limit_bytes or 0
    return (predicted > limit) & (usage_at(history.working_set, times_s) >= MIN_PREDICTED_USAGE_RATIO * limit)


def covered_slopes(series: Series, window_s: float, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slope at each time; NaN where the samples span too little of the window."""
    oldest, newest = _window_bounds(series, window_s, times_s)
    last = np.maximum(newest - 1, 0)
    spanned_s = series.times_s[last] - series.times_s[np.minimum(oldest, last)]
    covered = (newest > oldest) & (spanned_s >= MIN_COVERED_RATIO * window_s - series.spacing_s)
    return np.where(covered, least_squares_slopes(series, window_s, times_s), np.nan)


def _window_bounds(
    series: Series, window_s: float, times_s: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the index of the first sample in each window, and of the first sample after it."""
    oldest = np.searchsorted(series.times_s, times_s - window_s, side="right")
    return oldest, np.searchsorted(series.times_s, times_s, side="right")


def _means(
    series: Series, window_s: float, times_s: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean time and mean value of each window: a point on its regression line."""
    oldest, newest = _window_bounds(series, window_s, times_s)
    count = np.maximum(newest - oldest, 1)
    start_s = series.first_s
    sums = (np.concatenate(([0.0], np.cumsum(v))) for v in (series.times_s - start_s, series.values))
    mean_s, mean = ((s[newest] - s[oldest]) / count for s in sums)
    return mean_s + start_s, mean


RULES: tuple[BaselineRule, ...] = (
    BaselineRule("working-set-80", "working set at 80 % of the limit or above", usage_above(0.80)),
    BaselineRule("working-set-95", "working set at 95 % of the limit or above", usage_above(0.95)),
    BaselineRule(
        "deriv", "deriv() over the window above growth.perHour, limit within 4 windows (24h of 6h)", deriv_alerts
    ),
    BaselineRule(
        "predict-linear",
        "predict_linear() of the window above the limit in 2/3 of a window (4h of 6h), usage at 70 % or above",
        predict_linear_alerts,
    ),
    BaselineRule(
        "resin-like", "more time at high usage than mean + 3 sigma of earlier windows, and growth", resin_alerts
    ),
    BaselineRule(
        "precogmf-like", "a linear trend since a change point that exceeds the trends of the first day", precogmf_alerts
    ),
)
RULE_NAMES = tuple(rule.name for rule in RULES)


def rules_named(names: Collection[str]) -> tuple[BaselineRule, ...]:
    """Return the rules of these names, in their own order."""
    return tuple(rule for rule in RULES if rule.name in names)
