"""From the samples of one container to a verdict, with the numbers that explain it.

Three answers: Healthy, Breach, Inconclusive. Inconclusive never acts. Two questions are kept apart: whether it leaks,
which is told when it is known, and whether it must be rolled now, which is asked of the last stretch before the limit
alone (deadline.py). Persistence is computed from the samples (the same judgement half of `persist` and all of
`persist` ago), not remembered: a restarted operator forgets nothing, and recorded history is judged by the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.container_history import Rule, Subject
from memroll.detection.exhaustion import Deadline, deadline, lead_of
from memroll.detection.growth_phase import climb
from memroll.detection.leak_checks import Finding, look_back
from memroll.detection.peers import newest
from memroll.detection.process_restarts import lives
from memroll.detection.time_to_limit import time_to_limit_s
from memroll.detection.trend import Trend
from memroll.detection.window import COVERED_SHARE, Code, Look

if TYPE_CHECKING:
    from collections.abc import Sequence

STALE_SHARE = 0.25
STALE_SAMPLES = 6.0
"""Data older than this share of the window, or than so many scrapes, are too old to judge by."""

__all__ = ["Breach", "Code", "Healthy", "Inconclusive", "Rule", "Subject", "Told", "Trend", "Verdict", "judge", "told"]


@dataclass(frozen=True, slots=True)
class Healthy:
    code: Code
    message: str
    trend: Trend | None
    usage_bytes: float


@dataclass(frozen=True, slots=True)
class Breach:
    """A leak, or a container that runs out of memory. `time_to_limit_s` is None when it has no limit."""

    code: Code
    message: str
    trend: Trend | None
    usage_bytes: float
    time_to_limit_s: float | None
    lead_s: float | None = None
    """How long before its limit it is rolled."""
    due: bool = False
    """It must be rolled now."""


@dataclass(frozen=True, slots=True)
class Inconclusive:
    code: Code
    message: str
    usage_bytes: float | None = None


Verdict = Healthy | Breach | Inconclusive


class Told(StrEnum):
    """What a verdict says to people, whatever is done about it."""

    NOTHING = "Nothing"
    SUSPECTED = "Suspected"
    CONFIRMED = "Confirmed"


def told(verdict: Verdict) -> Told:
    match verdict:
        case Breach(code=Code.GROWING):
            return Told.CONFIRMED
        case Breach() | Healthy(code=Code.SUSPECTED):
            return Told.SUSPECTED
        case _:
            return Told.NOTHING


def seconds_left(verdict: Verdict) -> float:
    """Return the time to the limit, in seconds; infinite where nothing leaks or there is no limit."""
    left_s = verdict.time_to_limit_s if isinstance(verdict, Breach) else None
    return float("inf") if left_s is None else left_s


def judge(subject: Subject, rule: Rule, now_s: float, peers: Sequence[Subject] = ()) -> Verdict:
    """Judge one container instance at `now_s`, on samples up to then: what a skewed clock puts after is left out.

    `peers`: the other instances of the same container of the same workload, running ones and earlier ones.
    """
    subject = subject.seen(now_s, rule.lookback_s)
    doubt = _ineligible(subject, rule, now_s)
    if doubt is not None:
        return doubt
    *earlier, current = lives(subject, rule)
    others = (*newest(peers, rule, now_s), *earlier)
    usage = float(subject.working_set.values[-1])
    if above_ceiling(subject, rule, now_s):
        message = f"above the ceiling of {rule.ceiling_share:.0%} of the limit for {rule.persist_s:.0f} s"
        return Breach(Code.CEILING, message, None, usage, 0.0, due=True)
    last_stretch = _deadline(current, rule, now_s, others)
    latest, persistent = look_back(current, rule, now_s, others)
    if latest is not None and latest.code is None and persistent:
        return _leak(latest, last_stretch, usage)
    if last_stretch.due:
        left, lead = last_stretch.time_to_limit_s, last_stretch.lead_s
        message = "climbs into its limit"
        return Breach(Code.EXHAUSTING, message, last_stretch.trend, usage, left, lead, due=True)
    if latest is None:
        return _too_early(current, rule, now_s, usage)
    return _healthy(latest, usage)


def _ineligible(subject: Subject, rule: Rule, now_s: float) -> Inconclusive | None:
    """Return why this container can't be judged now, or None."""
    if not len(subject.rss) or not len(subject.working_set):
        return Inconclusive(Code.NO_DATA, "Prometheus has no samples of this container")
    behind_s = now_s - min(subject.rss.last_s, subject.working_set.last_s)
    if behind_s > min(STALE_SHARE * rule.window_s, STALE_SAMPLES * subject.rss.spacing_s):
        return Inconclusive(Code.STALE_DATA, f"the newest sample is {behind_s:.0f} s old")
    if rule.threshold_bytes_per_s is None:
        return Inconclusive(
            Code.NO_MEMORY_LIMIT,
            "no memory limit: set one, or give growth.perHour as a quantity such as 20Mi",
            float(subject.working_set.values[-1]),
        )
    return None


def _deadline(current: Subject, rule: Rule, now_s: float, peers: tuple[Subject, ...]) -> Deadline:
    """Return the deadline; it is due when it was at the look before, too, or when there is no time for another."""
    found = deadline(current, rule, now_s, peers)
    if not found.due or found.time_to_limit_s <= rule.lead.least_s:
        return found
    before_s = now_s - rule.interval_s
    before = deadline(current.seen(before_s), rule, before_s, tuple(p.seen(before_s) for p in peers))
    return found if before.due else replace(found, code=Code.SUSPECTED, message="not yet at two looks in a row")


def _leak(found: Finding, last_stretch: Deadline, usage: float) -> Breach:
    """Say that it leaks, and when it must be rolled."""
    left_s: float | None = min(last_stretch.time_to_limit_s, time_to_limit_s(found.look))
    lead_s = last_stretch.lead_s
    if found.look.subject.limit_bytes is None:
        left_s = lead_s = None
    elif lead_s is None:
        now = climb(found.look.subject, found.look.rule, found.look.at_s)
        lead_s = lead_of(found.look, now, left_s or 0.0) if now is not None else None
    message = "grows like a leak" if last_stretch.due else f"grows like a leak; {last_stretch.message}".rstrip("; ")
    return Breach(Code.GROWING, message, found.look.trend, usage, left_s, lead_s, last_stretch.due)


def _too_early(current: Subject, rule: Rule, now_s: float, usage: float) -> Inconclusive:
    """Say why no window could be looked at."""
    wait_s = current.started_at_s + rule.warm_up_s + COVERED_SHARE * rule.window_s - now_s
    if wait_s > 0:
        return Inconclusive(Code.WARMING_UP, f"young: judged {wait_s:.0f} s from now", usage)
    shortage = Look(current, rule, rule.window_s, now_s).shortage
    return Inconclusive(Code.TOO_FEW_SAMPLES, shortage, usage)


def _healthy(found: Finding, usage: float) -> Healthy:
    if found.code is None or found.suspicious:
        words = found.message or f"grows like a leak, but not yet for {found.look.rule.persist_s:.0f} s"
        return Healthy(Code.SUSPECTED, words, found.look.trend, usage)
    return Healthy(found.code, found.message, found.look.trend, usage)


def above_ceiling(subject: Subject, rule: Rule, now_s: float) -> bool:
    """Whether the usage stood at or above the ceiling throughout the last `persist`."""
    if rule.ceiling_share is None or subject.limit_bytes is None:
        return False
    samples = subject.working_set
    first = int(np.searchsorted(samples.times_s, now_s - rule.persist_s, side="right")) - 1
    if first < 0:
        return False  # not watched for so long yet
    return bool(samples.values[first:].min() >= rule.ceiling_share * subject.limit_bytes)
