"""Tell early, act late: whether a container must be rolled now.

A leak does not have to be rolled when it is recognised, only before it hurts. Rolling just in time gives away a tenth
of a pod's life instead of half of it, and an innocent pod that was suspected has time to prove itself. So this asks
only about the last stretch: does the usage meet the limit within the lead, on a climb that has lasted and goes on, and
does nothing else explain it?
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.quantity import about, mib
from memroll.detection import load_correlation, peers, seasonality
from memroll.detection.growth_phase import Climb, climb
from memroll.detection.window import GUARDS, Code, Look, usable_limit

if TYPE_CHECKING:
    from memroll.detection.container_history import Rule, Subject
    from memroll.detection.trend import Trend

LEAD_SHARE_OF_CLIMB = 0.25
LEAD_SHARE_OF_BEGAN = 0.2
LONG_CLIMB_WINDOWS = 0.6
LEAD_OF_LONG_CLIMB_WINDOWS = 0.21
"""What has climbed for most of a window is rolled over an hour ahead (of 6 h): people may want to look."""
LEAD_SHARE_OF_LIFE = 0.15
LEAD_MIN_WINDOWS = 1 / 24
LEAD_MAX_WINDOWS = 1 / 3
LEAD_MAX_YOUNG_WINDOWS = 1 / 4
"""For a pod without a day before: what climbs for hours may be its first day."""
ROLLS_OF_SLACK = 3.0
USAGE_SHARE_MIN = 0.8
"""Below this share of its limit nothing is due, however steep the line looks..."""
USAGE_SHARE_LEAST = 0.6
"""...unless a roll takes so long, or the policy's lead is so long, that it must begin earlier."""
CLIMB_MIN_WINDOWS = 1 / 8
CLIMB_MIN_SHARE_OF_AGE = 0.5
WINDOWS = (1.0, 1 / 3, 1 / 8)
"""Shares of the policy's window in which the last stretch is looked at."""
LATEST = 1 / 18
"""The shortest window only contradicts: it may say that the climb has slowed down."""
PEAK_WINDOWS = 1 / 8
PEAK_TIMES_LEFT = 2.0
BURST_SHARE_OF_LIMIT = 0.025
TINY = 1e-9
WARM_UP_SHARE = 1 / 3
"""Of the warm-up, for the short windows: a fast leak would be over before all of it."""
NEW_HIGH_SHARE_OF_LIMIT = 0.01
STOOD_TIMES_LEFT = 4.0
STOOD_MIN_WINDOWS = 5 / 6
STALL_SHARE = 0.5
STALL_TIMES = 1.5


SHAPE_GUARDS = tuple(g for g in GUARDS if g.code is not Code.PLATEAU)
"""A climb that bends is seen by the caps on its slope; two short windows are too rough to project a plateau from."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a container must be rolled. `code` is None when that is now."""

    code: Code | None
    message: str
    usage_bytes: float
    time_to_limit_s: float = float("inf")
    lead_s: float | None = None
    trend: Trend | None = None

    @property
    def due(self) -> bool:
        return self.code is None


def peak_bytes(subject: Subject, at_s: float, back_s: float) -> float:
    """Return the highest usage of the last `back_s` seconds: it is a peak that meets the limit, not a mean.

    Where it has no sample, the newest one; 0 without any.
    """
    recent = subject.working_set.between(at_s - back_s, at_s)
    if len(recent):
        return float(recent.values.max())
    known = subject.working_set.until(at_s)
    return float(known.values[-1]) if len(known) else 0.0


def deadline(subject: Subject, rule: Rule, at_s: float, peers: tuple[Subject, ...]) -> Deadline:
    """Ask at `at_s` alone; a judgement asks at the look before, too."""
    usage = peak_bytes(subject, at_s, PEAK_WINDOWS * rule.window_s)
    limit = subject.limit_bytes
    if limit is None:
        return Deadline(Code.NO_MEMORY_LIMIT, "without a memory limit there is no deadline", usage)
    early = max(rule.lead.least_s, rule.lead.fixed_s or 0.0) > LEAD_MAX_WINDOWS * rule.window_s
    least_share = USAGE_SHARE_LEAST if early else USAGE_SHARE_MIN
    if usage < least_share * limit:
        return Deadline(Code.NOT_GROWING, f"usage below {least_share:.0%} of the limit", usage)
    now = climb(subject, rule, at_s)
    if now is None:
        return Deadline(Code.TOO_FEW_SAMPLES, "too few samples of late", usage)
    looks = [_look(subject, rule, share, at_s, peers) for share in (*WINDOWS, LATEST)]
    nearest = Deadline(Code.TOO_FEW_SAMPLES, "too few samples of late", usage)
    for i, look in enumerate(looks[:-1]):
        if look.shortage:
            continue
        answer = _ask(look, looks[i + 1 :], now, usage)
        if answer.due:
            return answer
        if nearest.code is Code.TOO_FEW_SAMPLES or answer.time_to_limit_s < nearest.time_to_limit_s:
            nearest = answer
    return nearest


def _look(subject: Subject, rule: Rule, share: float, at_s: float, peers: tuple[Subject, ...]) -> Look:
    warm_up_s = rule.warm_up_s if share == 1.0 else WARM_UP_SHARE * rule.warm_up_s
    return Look(subject, rule, share * rule.window_s, at_s, peers, warm_up_s)


def _ask(look: Look, shorter: list[Look], now: Climb, usage: float) -> Deadline:
    """Ask everything of one window, what costs least first."""
    for guard in SHAPE_GUARDS:
        words = guard.explain(look)
        if words is not None:
            return Deadline(guard.code, words, usage)
    slope = min([look.trend.slope_bytes_per_s, *_contradicted(shorter, now)])
    if slope <= 0:
        return Deadline(Code.SETTLING, "the climb has come to a halt", usage)
    left_s = _left_s(look, usage, slope)
    # A burst that came within twice the time that is left may come again within it.
    usage = max(usage, peak_bytes(look.subject, look.at_s, min(PEAK_TIMES_LEFT * left_s, look.rule.window_s)))
    left_s = _left_s(look, usage, slope)
    lead_s = lead_of(look, now, left_s)
    found = Deadline(None, "", usage, left_s, lead_s, look.trend)
    code, words = _not_now(look, now, found)
    return found if code is None else Deadline(code, words, usage, left_s, lead_s, look.trend)


def _left_s(look: Look, usage: float, slope: float) -> float:
    """Return the time to the limit from now on: since the newest sample was taken, the climb went on."""
    seen_s = look.subject.working_set.until(look.at_s).last_s
    unseen_s = look.at_s - seen_s if math.isfinite(seen_s) else 0.0
    return max(0.0, ((look.subject.limit_bytes or 0) - usage) / slope - unseen_s)


def _contradicted(shorter: list[Look], now: Climb) -> list[float]:
    """Return how fast the climb can still be, by the windows that end it.

    A window shorter than twice the climb's own pauses says nothing: it may lie within one.
    """
    uppers = []
    for look in shorter:
        pauses = now.stall_most_s >= STALL_SHARE * look.window_s and now.stall_s <= STALL_TIMES * now.stall_most_s
        if not pauses and not look.shortage:
            uppers.append(look.trend.upper_bytes_per_s)
    return uppers


def lead_of(look: Look, now: Climb, left_s: float) -> float:
    """Return how long before its limit the container is rolled, in seconds.

    Auto: a quarter of the time that the climb has lasted, at most a third of the window (2 h of 6 h), or what a slow
    climb takes for the last 2.5 % of the limit: there a burst ends it, not the slope. A workload's only pod has no
    sibling that could speak for or against it: 15 % of its predicted life, if that is more. Never less than what a roll
    needs, and than a twenty-fourth of the window.
    """
    rule = look.rule
    if rule.lead.fixed_s is not None:
        return max(rule.lead.fixed_s, rule.lead.least_s)
    auto_s = max(LEAD_SHARE_OF_CLIMB * now.lasted_s, LEAD_SHARE_OF_BEGAN * now.began_s)
    if now.lasted_s >= LONG_CLIMB_WINDOWS * rule.window_s:
        auto_s = max(auto_s, LEAD_OF_LONG_CLIMB_WINDOWS * rule.window_s)
    if not look.peers:
        auto_s = max(auto_s, LEAD_SHARE_OF_LIFE * (look.at_s - look.subject.started_at_s + left_s))
    young = bool(look.peers) and look.at_s - look.subject.started_at_s < rule.day_s
    most_s = (LEAD_MAX_YOUNG_WINDOWS if young else LEAD_MAX_WINDOWS) * rule.window_s
    burst_s = BURST_SHARE_OF_LIMIT * (look.subject.limit_bytes or 0) / max(look.trend.slope_bytes_per_s, TINY)
    most_s = max(most_s, min(burst_s, rule.window_s))
    return max(rule.lead.least_s, LEAD_MIN_WINDOWS * rule.window_s, min(auto_s, most_s))


def _not_now(look: Look, now: Climb, found: Deadline) -> tuple[Code | None, str]:
    """Return what speaks against rolling now, or None."""
    rule, limit, left_s = look.rule, look.subject.limit_bytes or 0, found.time_to_limit_s
    assert found.lead_s is not None
    if left_s > found.lead_s:
        return Code.GROWING, f"{about(left_s)} to the limit, rolled within {about(found.lead_s)} of it"
    age_s = look.at_s - look.subject.started_at_s
    if now.lasted_s < min(CLIMB_MIN_WINDOWS * rule.window_s, CLIMB_MIN_SHARE_OF_AGE * age_s):
        return Code.ONE_STEP, f"climbs for only {about(now.lasted_s)}"
    margin = NEW_HIGH_SHARE_OF_LIMIT * limit
    if now.past_high_bytes >= now.level_bytes - margin and now.past_peak_bytes >= found.usage_bytes - margin:
        return Code.NO_NEW_HIGH, f"has stood at {mib(now.past_high_bytes)} before"
    peak = seasonality.peak_as_yesterday_bytes(look, found.usage_bytes, left_s)
    if peak < usable_limit(look):
        return Code.AS_YESTERDAY, f"climbed as fast at this hour of the day before, and would end at {mib(peak)}"
    if load_correlation.unexplained_share(look) < load_correlation.UNEXPLAINED_SHARE_MIN:
        return Code.FOLLOWS_LOAD, "load explains most of the climb"
    stood_s = peers.survived(look, look.peers)
    if stood_s >= max(STOOD_TIMES_LEFT * left_s, STOOD_MIN_WINDOWS * rule.window_s):
        return Code.SURVIVED, f"another pod of this workload stood as high for {about(stood_s)} and stopped there"
    return None, ""
