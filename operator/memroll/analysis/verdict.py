"""From the samples of one container to a verdict, with the numbers that explain it.

Three answers: Healthy, Breach, Inconclusive. Inconclusive never acts. The checks stand in `GUARDS` in the
order in which they are asked; each is named for what it finds. Persistence is computed from the samples
(the same judgement half of `persist` and all of `persist` ago), not remembered: a restarted operator
forgets nothing, and recorded history can be judged by the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from memroll.analysis.floor import BINS_MIN, SAMPLES_PER_BIN, floor
from memroll.analysis.trend import Trend, trend
from memroll.api.quantity import mib

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.analysis.series import Series

COVERED_SHARE = 0.8
"""How much of the window the samples must span."""
STALE_SHARE = 0.25
STALE_SAMPLES = 6.0
"""Data older than this share of the window, or than so many scrapes, are too old to judge by."""
EFFECT_SHARE_OF_LIMIT = 0.01
EFFECT_NOISE = 3.0
STEP_SHARE_MAX = 0.6
LATE_SHARE_MIN = 0.35
USABLE_SHARE_OF_LIMIT = 0.95
"""The time to the limit is the time to this share of it: the last pages go fast and badly."""


class Code(StrEnum):
    """Why a verdict is what it is; part of the API (status.nearest[].reason)."""

    NO_DATA = "NoData"
    STALE_DATA = "StaleData"
    NOT_RUNNING = "NotRunning"
    WARMING_UP = "WarmingUp"
    TOO_FEW_SAMPLES = "TooFewSamples"
    NO_MEMORY_LIMIT = "NoMemoryLimit"
    NOT_GROWING = "NotGrowing"
    UNCERTAIN = "UncertainTrend"
    SMALL = "SmallRise"
    ONE_STEP = "OneStep"
    SETTLING = "Settling"
    NOT_PERSISTENT = "NotYetPersistent"
    GROWING = "Growing"
    CEILING = "AboveCeiling"


@dataclass(frozen=True, slots=True)
class Rule:
    """What counts as a leak, for one container. Times in seconds."""

    threshold_bytes_per_s: float | None
    """None: the policy gives a share of the limit and the container has none."""
    window_s: float
    warm_up_s: float
    persist_s: float
    ceiling_share: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """One container instance with its samples."""

    rss: Series
    """Anonymous memory, which a leak fills: for the trend."""
    working_set: Series
    """What counts against the limit: for the distance to it."""
    started_at_s: float
    limit_bytes: int | None


@dataclass(frozen=True, slots=True)
class Healthy:
    code: Code
    message: str
    trend: Trend | None
    usage_bytes: float


@dataclass(frozen=True, slots=True)
class Breach:
    """A leak. `time_to_limit_s` is None when the container has no limit."""

    code: Code
    message: str
    trend: Trend | None
    usage_bytes: float
    time_to_limit_s: float | None


@dataclass(frozen=True, slots=True)
class Inconclusive:
    code: Code
    message: str
    usage_bytes: float | None = None


Verdict = Healthy | Breach | Inconclusive


def seconds_left(verdict: Verdict) -> float:
    """Return the time to the limit, in seconds; infinite where nothing leaks or there is no limit."""
    left_s = verdict.time_to_limit_s if isinstance(verdict, Breach) else None
    return float("inf") if left_s is None else left_s


def judge(subject: Subject, rule: Rule, now_s: float) -> Verdict:
    """Judge one container instance at `now_s`, on samples up to then: what a skewed clock puts after is left out."""
    subject = replace(subject, rss=subject.rss.until(now_s), working_set=subject.working_set.until(now_s))
    doubt = _ineligible(subject, rule, now_s)
    if doubt is not None:
        return doubt
    usage = float(subject.working_set.values[-1])
    if above_ceiling(subject, rule, now_s):
        message = f"above the ceiling of {rule.ceiling_share:.0%} of the limit for {rule.persist_s:.0f} s"
        return Breach(Code.CEILING, message, None, usage, 0.0)
    looks = (now_s, now_s - rule.persist_s / 2, now_s - rule.persist_s)
    findings = [_look(subject, rule, at_s) for at_s in looks]
    latest = findings[0]
    if isinstance(latest, _TooFew):
        return Inconclusive(Code.TOO_FEW_SAMPLES, latest.message, usage)
    if latest.guard is not None:
        return Healthy(latest.guard.code, latest.guard.explain(latest.trend, rule, subject), latest.trend, usage)
    if not all(isinstance(f, _Seen) and f.guard is None for f in findings[1:]):
        message = f"grows like a leak, but not yet for {rule.persist_s:.0f} s"
        return Healthy(Code.NOT_PERSISTENT, message, latest.trend, usage)
    left_s = _time_to_limit_s(subject.limit_bytes, usage, latest.trend.slope_bytes_per_s)
    return Breach(Code.GROWING, "grows like a leak", latest.trend, usage, left_s)


def _ineligible(subject: Subject, rule: Rule, now_s: float) -> Inconclusive | None:
    """Return why this container can't be judged now, or None."""
    if not len(subject.rss) or not len(subject.working_set):
        return Inconclusive(Code.NO_DATA, "Prometheus has no samples of this container")
    behind_s = now_s - min(subject.rss.last_s, subject.working_set.last_s)
    if behind_s > min(STALE_SHARE * rule.window_s, STALE_SAMPLES * _spacing_s(subject.rss)):
        return Inconclusive(Code.STALE_DATA, f"the newest sample is {behind_s:.0f} s old")
    usage = float(subject.working_set.values[-1])
    if rule.threshold_bytes_per_s is None:
        return Inconclusive(
            Code.NO_MEMORY_LIMIT,
            "no memory limit: set one, or give growth.perHour as a quantity such as 20Mi",
            usage,
        )
    wait_s = subject.started_at_s + rule.warm_up_s + rule.window_s - now_s
    if wait_s > (1 - COVERED_SHARE) * rule.window_s:
        return Inconclusive(Code.WARMING_UP, f"young: judged {wait_s:.0f} s from now", usage)
    return None


def _spacing_s(series: Series) -> float:
    """Return the usual time between two samples; infinite when there is but one."""
    return float(np.median(np.diff(series.times_s))) if len(series) > 1 else float("inf")


def above_ceiling(subject: Subject, rule: Rule, now_s: float) -> bool:
    """Whether the usage stood at or above the ceiling throughout the last `persist`."""
    if rule.ceiling_share is None or subject.limit_bytes is None:
        return False
    samples = subject.working_set
    first = int(np.searchsorted(samples.times_s, now_s - rule.persist_s, side="right")) - 1
    if first < 0:
        return False  # not watched for so long yet
    return bool(samples.values[first:].min() >= rule.ceiling_share * subject.limit_bytes)


@dataclass(frozen=True, slots=True)
class _Guard:
    """A named finding that speaks for an innocent pod."""

    code: Code
    found: Callable[[Trend, Rule, Subject], bool]
    explain: Callable[[Trend, Rule, Subject], str]


@dataclass(frozen=True, slots=True)
class _Seen:
    trend: Trend
    guard: _Guard | None
    """The first guard that spoke, or None: it looks like a leak."""


@dataclass(frozen=True, slots=True)
class _TooFew:
    message: str


def _look(subject: Subject, rule: Rule, at_s: float) -> _Seen | _TooFew:
    """Look at the window that ends at `at_s`; warm-up samples are not part of it."""
    start_s = max(at_s - rule.window_s, subject.started_at_s + rule.warm_up_s)
    window = subject.rss.between(start_s, at_s)
    needed = BINS_MIN * SAMPLES_PER_BIN * COVERED_SHARE
    if len(window) < needed:
        return _TooFew(f"{len(window)} samples in the window of {rule.window_s:.0f} s, at least {needed:.0f} needed")
    spanned_s = window.last_s - float(window.times_s[0]) + (window.last_s - float(window.times_s[0])) / len(window)
    if spanned_s < COVERED_SHARE * (at_s - start_s) or at_s - start_s < COVERED_SHARE * rule.window_s:
        return _TooFew(f"the samples span {spanned_s:.0f} s of the window of {rule.window_s:.0f} s")
    found = trend(floor(window, start_s, at_s), rule.window_s)
    guard = next((g for g in GUARDS if g.found(found, rule, subject)), None)
    return _Seen(found, guard)


def not_growing(found: Trend, rule: Rule, _: Subject) -> bool:
    """Whether the slope stays at or below what the policy calls a leak."""
    return found.slope_bytes_per_s <= _threshold(rule)


def uncertain(found: Trend, rule: Rule, _: Subject) -> bool:
    """Whether the slope's lower bound does not clear half of the threshold."""
    return found.bound_bytes_per_s <= _threshold(rule) / 2


def small_rise(found: Trend, _: Rule, subject: Subject) -> bool:
    """Whether the rise over the window is lost in the limit's size or in the noise."""
    least = EFFECT_SHARE_OF_LIMIT * (subject.limit_bytes or 0)
    return found.rise_bytes <= max(least, EFFECT_NOISE * found.noise_bytes)


def one_step(found: Trend, _rule: Rule, _subject: Subject) -> bool:
    """Whether a single jump makes most of the climb: a high-water mark."""
    return found.step_share > STEP_SHARE_MAX


def settling(found: Trend, _rule: Rule, _subject: Subject) -> bool:
    """Whether the climb slows down within the window: a warm-up, or a cache that fills."""
    return found.late_share < LATE_SHARE_MIN


GUARDS: tuple[_Guard, ...] = (
    _Guard(
        Code.NOT_GROWING,
        not_growing,
        lambda t, r, _: f"slope {_per_hour(t.slope_bytes_per_s)}, a leak is above {_per_hour(_threshold(r))}",
    ),
    _Guard(
        Code.UNCERTAIN,
        uncertain,
        lambda t, r, _: (
            f"slope {_per_hour(t.slope_bytes_per_s)} with a lower bound of only "
            f"{_per_hour(t.bound_bytes_per_s)}, at least {_per_hour(_threshold(r) / 2)} needed"
        ),
    ),
    _Guard(
        Code.SMALL,
        small_rise,
        lambda t, _r, _s: f"rise of {mib(t.rise_bytes)} in the window, noise {mib(t.noise_bytes)}",
    ),
    _Guard(
        Code.ONE_STEP,
        one_step,
        lambda t, _r, _s: f"one step makes {t.step_share:.0%} of the climb, a leak has at most {STEP_SHARE_MAX:.0%}",
    ),
    _Guard(
        Code.SETTLING,
        settling,
        lambda t, _r, _s: (
            f"settling: the last third climbs {t.late_share:.2f} times the first, a leak at least {LATE_SHARE_MIN}"
        ),
    ),
)


def _threshold(rule: Rule) -> float:
    assert rule.threshold_bytes_per_s is not None, "checked by _ineligible"
    return rule.threshold_bytes_per_s


def _time_to_limit_s(limit_bytes: int | None, usage_bytes: float, slope_bytes_per_s: float) -> float | None:
    if limit_bytes is None:
        return None
    return max(0.0, (USABLE_SHARE_OF_LIMIT * limit_bytes - usage_bytes) / slope_bytes_per_s)


def _per_hour(bytes_per_s: float) -> str:
    return f"{bytes_per_s * 3600 / 2**20:+.1f} MiB/h"
