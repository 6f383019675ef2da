"""Stage one: which containers are worth a judgement at all.

Prometheus answers with the least-squares slope of each container (`deriv`) over a few windows; what neither grows in
any of them nor stands near its limit is healthy, and its samples need not be read. The screen only ever says "not worth
a look": it is wider than the judgement by a factor of two to four in every slope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.exhaustion import USAGE_SHARE_LEAST
from memroll.detection.verdict import STALE_SHARE, Healthy, Inconclusive
from memroll.detection.window import COVERED_SHARE, Code, per_hour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from memroll.detection.container_history import Rule, Subject
    from memroll.detection.samples import ScreenRow
    from memroll.detection.series import Series
    from memroll.detection.verdict import Verdict

SHARES = (1.0, 4.0, 1 / 3, 1 / 8)
"""Shares of the policy's window over which the slopes are asked for."""
SLOPE_SHARES = (0.25, 0.5, 0.5, 0.5)
"""Share of the threshold that each of them must exceed."""
SAMPLES_MIN = 3
NEAR_ONLY = (False, False, True, True)
"""Whether a window counts only near the limit."""


def windows_s(rule: Rule) -> tuple[float, ...]:
    return tuple(share * rule.window_s for share in SHARES)


def suspect(rule: Rule, limit_bytes: int | None, usage_bytes: float, slopes: Sequence[float | None]) -> bool:
    """Whether to judge a container with these slopes, in bytes per second, one per window; None: not known."""
    threshold = rule.threshold_bytes_per_s
    if threshold is None or all(s is None for s in slopes):
        return True  # it is for the judgement to say what is missing
    near = limit_bytes is not None and usage_bytes >= USAGE_SHARE_LEAST * limit_bytes
    if limit_bytes is not None and rule.ceiling_share is not None and usage_bytes >= rule.ceiling_share * limit_bytes:
        return True
    return any(
        slope is not None and slope > share * threshold and (near or not near_only)
        for slope, share, near_only in zip(slopes, SLOPE_SHARES, NEAR_ONLY, strict=True)
    )


def screened(row: ScreenRow, rule: Rule, limit_bytes: int | None, started_at_s: float, now_s: float) -> Verdict | None:
    """Return the verdict of a container that is not worth a look, or None for one that is."""
    usage, age_s = row.working_set_bytes, now_s - started_at_s
    if usage is None or now_s - row.last_s > STALE_SHARE * rule.window_s:
        return None
    if suspect(rule, limit_bytes, usage, row.slopes_bytes_per_s):
        return None
    wait_s = rule.warm_up_s + COVERED_SHARE * rule.window_s - age_s
    if wait_s > 0:
        return Inconclusive(Code.WARMING_UP, f"young: judged {wait_s:.0f} s from now", usage)
    steepest = max(s for s in row.slopes_bytes_per_s if s is not None)
    return Healthy(Code.NOT_GROWING, f"slope {per_hour(steepest)} at the most", None, usage)


def suspects(subject: Subject, rule: Rule, times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Screen one container at many times at once. Shape of the answer: that of `times_s`."""
    slopes = [slopes_at(subject.rss, window_s, times_s) for window_s in windows_s(rule)]
    last = np.searchsorted(subject.working_set.times_s, times_s, side="right") - 1
    usage = np.where(last >= 0, subject.working_set.values[np.maximum(last, 0)], 0.0)
    return np.array(
        [
            suspect(rule, subject.limit_bytes, float(u), [None if np.isnan(x) else float(x) for x in row])
            for u, row in zip(usage, np.transpose(slopes), strict=True)
        ],
        dtype=np.bool_,
    )


def slopes_at(series: Series, window_s: float, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the least-squares slopes of the windows that end at `times_s`, as `deriv` does; NaN for under 3 samples.

    By prefix sums about the series' own middle, so that no digits are lost.
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
    return np.where(n >= SAMPLES_MIN, slopes, np.nan)
