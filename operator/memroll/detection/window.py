"""One window of one container: its trend, and the guards that speak for an innocent pod.

A guard is a number and what it must exceed. All of them are kept, so that a verdict explains itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from memroll.api.quantity import mib
from memroll.detection.lower_envelope import BINS_MIN, SAMPLES_PER_BIN, Floor, floor
from memroll.detection.trend import Trend, median, middle, pairwise_slopes, trend

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.detection.container_history import Rule, Subject

COVERED_SHARE = 0.8
"""How much of the window the samples must span."""
EFFECT_SHARE_OF_LIMIT = 0.02
SHORT_EFFECT_SHARE_OF_LIMIT = 0.01
"""In windows shorter than the policy's."""
EFFECT_NOISE = 3.0
REST_SHARE_MIN = 0.4
LATE_SHARE_MIN = 0.35
LATE_OF_EXPECTED_MIN = 0.2
SLOWING_SHARE = 0.8
"""A slope below this share of the one a window earlier slows down; its plateau is worth projecting."""
USABLE_SHARE_OF_LIMIT = 0.95
RECENT_BINS = 3


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
    PLATEAU = "HeadedForPlateau"
    AS_YESTERDAY = "AsYesterday"
    BUSIER_DAY = "BusierDay"
    NO_NEW_HIGH = "NoNewHigh"
    NO_HISTORY = "NoHistory"
    FOLLOWS_LOAD = "FollowsLoad"
    SHARED = "SharedBySiblings"
    SURVIVED = "SurvivedBySibling"
    RECENT = "RecentClimb"
    TOGETHER = "ClimbTogether"
    SUSPECTED = "Suspected"
    GROWING = "Growing"
    EXHAUSTING = "Exhausting"
    CEILING = "AboveCeiling"
    JUDGING_FAILED = "JudgingFailed"


@dataclass(frozen=True)
class Look:
    """The window of `window_s` seconds that ends at `at_s`. Warm-up samples are not part of it."""

    subject: Subject
    rule: Rule
    window_s: float
    at_s: float
    peers: tuple[Subject, ...] = ()
    warm_up_s: float | None = None
    """None: that of the rule."""

    @property
    def judged_from_s(self) -> float:
        """When the warm-up of this life ended."""
        warm_up_s = self.rule.warm_up_s if self.warm_up_s is None else self.warm_up_s
        return self.subject.started_at_s + warm_up_s

    @property
    def start_s(self) -> float:
        return max(self.at_s - self.window_s, self.judged_from_s)

    @cached_property
    def shortage(self) -> str:
        """Say what is missing for a judgement, or nothing."""
        window = self.subject.rss.between(self.start_s, self.at_s)
        needed = BINS_MIN * SAMPLES_PER_BIN * COVERED_SHARE
        if len(window) < needed:
            return f"{len(window)} samples in the window of {self.window_s:.0f} s, at least {needed:.0f} needed"
        spanned_s = (window.last_s - window.first_s) * (1 + 1 / len(window))
        if min(spanned_s, self.at_s - self.start_s) < COVERED_SHARE * self.window_s:
            return f"the samples span {spanned_s:.0f} s of the window of {self.window_s:.0f} s"
        return ""

    @cached_property
    def points(self) -> Floor:
        return floor(self.subject.rss, self.start_s, self.at_s)

    @cached_property
    def trend(self) -> Trend:
        return trend(self.points, self.at_s - self.start_s)

    @cached_property
    def before_bytes_per_s(self) -> float | None:
        """The slope of the window before this one; None where there is too little of it."""
        start_s = max(self.start_s - self.window_s, self.judged_from_s)
        if self.start_s - start_s < COVERED_SHARE * self.window_s:
            return None
        points = floor(self.subject.rss, start_s, self.start_s)
        return middle(pairwise_slopes(points)) if len(points) >= BINS_MIN else None

    @property
    def level_bytes(self) -> float:
        """The level of the last few bins of the floor."""
        return median(self.points.values_bytes[-RECENT_BINS:])


@dataclass(frozen=True, slots=True)
class Guard:
    """Holds unless its number is above the least that a leak shows."""

    code: Code
    number: Callable[[Look], float]
    least: Callable[[Look], float]
    words: Callable[[float, float], str]

    def explain(self, look: Look) -> str | None:
        """Return why this window is innocent, or None."""
        number, least = self.number(look), self.least(look)
        return None if number > least else self.words(number, least)


def slope(look: Look) -> float:
    """Bytes per second that the floor gains."""
    return look.trend.slope_bytes_per_s


def slope_bound(look: Look) -> float:
    """Bytes per second that it gains at the least, with 99 % confidence."""
    return look.trend.bound_bytes_per_s


def threshold(look: Look) -> float:
    """Bytes per second above which the policy calls it a leak."""
    assert look.rule.threshold_bytes_per_s is not None, "a container without a threshold is not looked at"
    return look.rule.threshold_bytes_per_s


def rise(look: Look) -> float:
    """Bytes gained over the window."""
    return look.trend.rise_bytes


def notable_rise(look: Look) -> float:
    """Bytes that are lost neither in the limit's size nor in the noise."""
    share = EFFECT_SHARE_OF_LIMIT if look.window_s >= look.rule.window_s else SHORT_EFFECT_SHARE_OF_LIMIT
    return max(share * (look.subject.limit_bytes or 0), EFFECT_NOISE * look.trend.noise_bytes)


def rest_share(look: Look) -> float:
    """Share of the rise that is not its largest single step."""
    return look.trend.rest_share


def late_share(look: Look) -> float:
    """Climb of the last third against the first, and against what the slope promises for a third: the lesser one."""
    return min(look.trend.late_share, look.trend.late_of_expected * LATE_SHARE_MIN / LATE_OF_EXPECTED_MIN)


def plateau_bytes(look: Look) -> float:
    """Where a climb that slows down from window to window will end; infinity where it doesn't slow down."""
    before, now = look.before_bytes_per_s, look.trend.slope_bytes_per_s
    if before is None or before <= 0 or now <= 0 or now >= SLOWING_SHARE * before:
        return float("inf")
    tau_s = look.window_s / np.log(before / now)
    return look.level_bytes + now * float(tau_s)


def usable_limit(look: Look) -> float:
    return USABLE_SHARE_OF_LIMIT * (look.subject.limit_bytes or 0)


GUARDS: tuple[Guard, ...] = (
    Guard(
        Code.NOT_GROWING,
        slope,
        threshold,
        lambda n, m: f"slope {per_hour(n)}, a leak is above {per_hour(m)}",
    ),
    Guard(
        Code.UNCERTAIN,
        slope_bound,
        lambda look: threshold(look) / 2,
        lambda n, m: f"the slope's lower bound is only {per_hour(n)}, above {per_hour(m)} needed",
    ),
    Guard(
        Code.SMALL,
        rise,
        notable_rise,
        lambda n, m: f"rise of {mib(n)} in the window, above {mib(m)} needed to stand out",
    ),
    Guard(
        Code.ONE_STEP,
        rest_share,
        lambda _: REST_SHARE_MIN,
        lambda n, m: f"without its largest step {max(n, 0):.0%} of the rise is left, a leak keeps over {m:.0%}",
    ),
    Guard(
        Code.SETTLING,
        late_share,
        lambda _: LATE_SHARE_MIN,
        lambda n, m: f"settling: the last third climbs {n:.2f} times the first, a leak over {m}",
    ),
    Guard(
        Code.PLATEAU,
        plateau_bytes,
        usable_limit,
        lambda n, m: f"slows down towards {mib(n)}, a leak is headed above {mib(m)}",
    ),
)
"""In the order in which they are asked."""


def per_hour(bytes_per_s: float) -> str:
    return f"{bytes_per_s * 3600 / 2**20:+.1f} MiB/h"
