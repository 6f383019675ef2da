"""Checks of the shape of one window: whether it is that of a leak.

A check passes if its statistic exceeds its threshold. Statistic and threshold are part of the message of a failed
check, so that a verdict explains itself. `leak_checks` evaluates all of them, `exhaustion` all but the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.api.quantity import format_mib, format_rate
from memroll.detection.lower_envelope import MIN_BINS
from memroll.detection.reasons import VerdictReason
from memroll.detection.time_to_limit import daily_peak_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.detection.window import TrendWindow

MIN_RISE_LIMIT_RATIO = 0.02
"""Minimum ratio of the rise over the window to the limit.

Chosen on the design set of `make bench-detect`, as are the other numbers of this module unless noted.
"""
MIN_RISE_LIMIT_RATIO_SHORT = 0.01
"""Minimum ratio of the rise to the limit, in windows shorter than the policy's."""
MIN_RISE_NOISE_RATIO = 3.0
"""Minimum ratio of the rise over the window to the noise. Chosen by hand."""
MIN_RISE_RATIO_WITHOUT_LARGEST_STEP = 0.4
"""Minimum ratio of the rise that remains without its largest step."""
MIN_LAST_TO_FIRST_THIRD_RATIO = 0.35
"""Minimum ratio of the last third's rise to that of the first. Chosen by hand."""
MIN_LAST_THIRD_TO_EXPECTED_RATIO = 0.2
"""Minimum ratio of the last third's rise to the slope's rise in a third."""
MIN_THIRD_TO_EXPECTED_RATIO = 0.2
"""Minimum ratio of each third's rise to a third of the rise, in windows of the long history. Chosen by hand."""
MAX_SLOWING_RATIO = 0.8
"""Maximum ratio of the slope to that of the window before for a plateau to be projected."""


LAST_QUARTER_AGE_RATIO = 1 / 3
"""Ratio of the time to the limit to the age in the last quarter of a predicted lifetime (design note 0023)."""


@dataclass(frozen=True, slots=True)
class Check:
    """Check of one window: passes if its statistic exceeds its threshold."""

    reason: VerdictReason
    """Reason of a container that fails the check."""
    statistic: Callable[[TrendWindow], float]
    threshold: Callable[[TrendWindow], float]
    describe: Callable[[float, float], str]
    """Message of a failed check, from its statistic and its threshold."""

    def failure(self, window: TrendWindow) -> str | None:
        """Return the message if the window fails the check, else None."""
        statistic, threshold = self.statistic(window), self.threshold(window)
        return None if statistic > threshold else self.describe(statistic, threshold)


def slope(window: TrendWindow) -> float:
    """Return the slope of the lower envelope, in bytes per second."""
    return window.trend.slope_bytes_per_s


def slope_ci_lower(window: TrendWindow) -> float:
    """Return the lower 99 % confidence bound of the slope, in bytes per second."""
    return window.trend.slope_ci_lower_bytes_per_s


def growth_threshold(window: TrendWindow) -> float:
    """Return the growth threshold, in bytes per second: the policy's, or less for a slow leak close to its limit.

    In a window of the long history, growth that reaches the limit within a third of the container's known age counts:
    in the last quarter of its predicted lifetime.
    """
    threshold, limit = window.parameters.threshold_bytes_per_s, window.history.limit_bytes
    assert threshold is not None, "a container without a threshold is not checked"
    if not window.is_long or limit is None:
        return threshold
    age_s = min(window.at_s - window.valid_from_s, window.parameters.long_lookback_s)
    distance = max(0.0, limit - daily_peak_bytes(window))
    return min(threshold, distance / (LAST_QUARTER_AGE_RATIO * max(age_s, 1.0)))


def rise_bytes(window: TrendWindow) -> float:
    """Return the rise over the window."""
    return window.trend.rise_bytes


def min_rise_bytes(window: TrendWindow) -> float:
    """Return the minimum rise that stands out from the limit's size and from the noise."""
    ratio = MIN_RISE_LIMIT_RATIO_SHORT if window.is_short else MIN_RISE_LIMIT_RATIO
    return max(ratio * (window.history.limit_bytes or 0), MIN_RISE_NOISE_RATIO * window.trend.noise_bytes)


def rise_ratio_without_largest_step(window: TrendWindow) -> float:
    """Return the ratio of the rise that remains without its largest step."""
    return window.trend.rise_ratio_without_largest_step


def last_third_ratio(window: TrendWindow) -> float:
    """Return the smaller ratio of the last third's rise: to the first third, and, scaled, to that of the slope."""
    trend = window.trend
    to_expected = trend.last_third_to_expected_ratio * MIN_LAST_TO_FIRST_THIRD_RATIO / MIN_LAST_THIRD_TO_EXPECTED_RATIO
    return min(trend.last_to_first_third_ratio, to_expected)


def smallest_third_ratio(window: TrendWindow) -> float:
    """Return the smallest rise of a third of a long window, as a ratio of a third of the rise; else infinity.

    A rise within hours is a trend of neither three days nor two weeks.
    """
    values = window.envelope.values_bytes
    if not window.is_long or values.size < MIN_BINS:
        return float("inf")
    cuts = np.linspace(0, values.size - 2, 4).round().astype(np.intp)
    levels = np.array([values[c : c + 2].mean() for c in cuts])
    rise = float(levels[-1] - levels[0])
    return float(np.diff(levels).min()) / (rise / 3) if rise > 0 else 0.0


def plateau_bytes(window: TrendWindow) -> float:
    """Return the level at which growth that slows down from window to window will end; infinity if it does not."""
    before, now = window.previous_slope_bytes_per_s, window.trend.slope_bytes_per_s
    if before is None or before <= 0 or now <= 0 or now >= MAX_SLOWING_RATIO * before:
        return float("inf")
    tau_s = window.window_s / np.log(before / now)
    return window.level_bytes + now * float(tau_s)


def usable_limit_bytes(window: TrendWindow) -> float:
    """Return the usage below which a projected peak is harmless."""
    return window.usable_limit_bytes


GROWS_AT_ALL = Check(
    VerdictReason.NOT_GROWING,
    slope_ci_lower,
    lambda _: 0.0,
    lambda n, _: f"the slope's lower bound is {format_rate(n)}: it may not grow at all",
)
"""Check of a container near its limit, whatever `growth.perHour` is."""
GROWTH_REASONS = (VerdictReason.NOT_GROWING, VerdictReason.NOT_SIGNIFICANT)
"""Reasons of the checks that compare the slope with `growth.perHour`."""
SHAPE_CHECKS: tuple[Check, ...] = (
    Check(
        VerdictReason.NOT_GROWING,
        slope,
        growth_threshold,
        lambda n, m: f"slope {format_rate(n)}, a leak is above {format_rate(m)}",
    ),
    Check(
        VerdictReason.NOT_SIGNIFICANT,
        slope_ci_lower,
        lambda window: growth_threshold(window) / 2,
        lambda n, m: f"the slope's lower bound is only {format_rate(n)}, above {format_rate(m)} needed",
    ),
    Check(
        VerdictReason.RISE_TOO_SMALL,
        rise_bytes,
        min_rise_bytes,
        lambda n, m: f"rise of {format_mib(n)} in the window, above {format_mib(m)} needed to stand out",
    ),
    Check(
        VerdictReason.STEP_CHANGE,
        rise_ratio_without_largest_step,
        lambda _: MIN_RISE_RATIO_WITHOUT_LARGEST_STEP,
        lambda n, m: f"without its largest step {max(n, 0):.0%} of the rise is left, a leak keeps over {m:.0%}",
    ),
    Check(
        VerdictReason.GROWTH_TOO_RECENT,
        smallest_third_ratio,
        lambda _: MIN_THIRD_TO_EXPECTED_RATIO,
        lambda n, m: f"one third of the window has {max(n, 0):.2f} of a third of the rise, of a leak's over {m}",
    ),
    Check(
        VerdictReason.GROWTH_SLOWING,
        last_third_ratio,
        lambda _: MIN_LAST_TO_FIRST_THIRD_RATIO,
        lambda n, m: f"growth slows: the last third rises {n:.2f} times the first, a leak over {m}",
    ),
    Check(
        VerdictReason.APPROACHING_PLATEAU,
        plateau_bytes,
        usable_limit_bytes,
        lambda n, m: f"growth slows down towards {format_mib(n)}, a leak is headed above {format_mib(m)}",
    ),
)
"""Checks of the shape, in the order in which they are evaluated."""
