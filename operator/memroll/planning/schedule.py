"""When each pod of a pass must go: as late as is safe. Pure.

The judgement gives a leak its own deadline: its limit, less its lead. Three things can bring it forward: siblings that
are to be rolled after it, and would be late; siblings whose next deadlines would fall on the same time again; and
windows, when the deadline falls outside of them. So the latest safe beginning is found backwards, from the sibling with
the most time: it goes at its own deadline, and each one before it early enough for those after it.

Only a confirmed leak is brought forward, and only when nothing but the distance to its limit speaks against rolling it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.quantity import about
from memroll.detection.exhaustion import ROLLS_OF_SLACK
from memroll.detection.verdict import seconds_left
from memroll.model.roll_duration import guessed_s, measured_s
from memroll.planning.candidate import rolls_of
from memroll.planning.maintenance_windows import allowed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from memroll.model.pods import ObjectRef, PodKey
    from memroll.planning.candidate import Candidate, Context
    from memroll.planning.maintenance_windows import Allowed

SPREAD_SHARE = 0.05
"""Siblings are rolled at least this share of a life apart..."""
SPREAD_SHARE_MOST = 0.1
"""...but for that none gives away more than this share of its own."""
FAR_S = 10 * 365 * 86_400.0
"""Nobody plans further ahead, and no calendar reaches as far as some slopes."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How closely the rolls of one workload may follow each other."""

    times: Allowed
    at_once: int
    slot: timedelta
    """What one roll occupies: its duration and the cooldown after it."""
    gap: timedelta
    """What the beginnings of two rolls are apart so that the next deadlines of the siblings are apart."""
    slack: timedelta
    """What a roll needs before the limit."""
    act_early: bool


def scheduled(candidates: Iterable[Candidate], context: Context) -> list[Candidate]:
    """Return the candidates with the latest time at which each must begin, the most urgent first."""
    families: dict[ObjectRef | PodKey, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        families[candidate.target.controller or candidate.target.key].append(candidate)
    found = [c for family in families.values() for c in _of_family(family, context)]
    return sorted(found, key=lambda c: c.urgency)


def _of_family(family: Sequence[Candidate], context: Context) -> list[Candidate]:
    """Schedule the pods of one controller, by deadline; what the judgement doubts has no place in the queue."""
    queue = sorted((c for c in family if c.due or c.movable), key=lambda c: (_ahead(c), c.urgency))
    rest = [c for c in family if not (c.due or c.movable)]
    if not queue:
        return rest
    pace = _pace(queue, context)
    deadlines = [context.now + _ahead(c) for c in queue]
    starts = _latest_starts(deadlines, pace)
    last = _latest_starts(deadlines, replace(pace, gap=timedelta(0)))
    after = range(len(queue) - 1, -1, -1)
    placed = [_placed(c, start, n, pace) for c, start, n in zip(queue, starts, after, strict=True)]
    return rest + [replace(c, pressed=c.movable and at <= context.now) for c, at in zip(placed, last, strict=True)]


def _ahead(candidate: Candidate) -> timedelta:
    """Return the time to its own deadline: its limit, less its lead."""
    if candidate.breach.due:
        return timedelta(0)
    return timedelta(seconds=min(seconds_left(candidate.breach) - (candidate.breach.lead_s or 0.0), FAR_S))


def _pace(queue: Sequence[Candidate], context: Context) -> Pace:
    windows, first = context.spec.roll.windows, queue[0]
    times = allowed(windows, context.now)
    own = measured_s(rolls_of(first.workload, context.rolls))
    of_policy = measured_s(r for r in context.rolls if r.spec.policy == context.policy)
    roll = timedelta(seconds=own or of_policy or guessed_s(first.target, context.spec.roll.drain))
    at_once = context.spec.roll.max_concurrent.of(first.workload.desired if first.workload else len(queue))
    # With windows, a gap could cost a whole window: there one follows the other.
    gap = timedelta(0) if times.windowed else _gap(queue, context)
    act_early = windows is not None and windows.act_early
    return Pace(times, at_once, roll + context.spec.roll.cooldown, gap, ROLLS_OF_SLACK * roll, act_early)


def _gap(queue: Sequence[Candidate], context: Context) -> timedelta:
    lives = [_life_s(c, context) for c in queue if c.movable]
    if len(queue) < 2 or not lives:  # noqa: PLR2004 - one pod has no sibling
        return timedelta(0)
    share = min(SPREAD_SHARE, SPREAD_SHARE_MOST / (len(queue) - 1))
    return timedelta(seconds=share * min(lives))


def _life_s(candidate: Candidate, context: Context) -> float:
    """Return how long this container will have lived when it meets its limit."""
    started = next((c.started_at for c in candidate.target.containers if c.name == candidate.container), None)
    age_s = (context.now - (started or context.now)).total_seconds()
    return max(0.0, age_s) + _left(candidate).total_seconds()


def _left(candidate: Candidate) -> timedelta:
    return timedelta(seconds=min(seconds_left(candidate.breach), FAR_S))


def _latest_starts(deadlines: Sequence[datetime], pace: Pace) -> list[datetime]:
    """Return when each roll must begin at the latest so that all of them begin in time. Found from the last on."""
    starts: list[datetime] = []
    for deadline in reversed(deadlines):
        start = deadline
        if starts:
            start = min(start, starts[-1] - pace.gap)
        if len(starts) >= pace.at_once:
            start = min(start, starts[-pace.at_once] - pace.slot)
        starts.append(pace.times.latest(start) or start)
    return starts[::-1]


def _placed(candidate: Candidate, start: datetime, after: int, pace: Pace) -> Candidate:
    """Say whether it goes now, before its deadline or outside of the windows. `after`: the siblings that follow it."""
    if candidate.movable:
        hurried = _hurried(candidate, start, after, pace)
        candidate = replace(candidate, start_by=start, hurried=hurried)
    return replace(candidate, outside=_outside(candidate, pace)) if candidate.due else candidate


def _hurried(candidate: Candidate, start: datetime, after: int, pace: Pace) -> str:
    """Return why a pod goes now whose own deadline is still ahead, or nothing."""
    now, closes = pace.times.now, pace.times.closes
    ahead = _ahead(candidate)
    if closes is not None and start <= closes < now + ahead:
        return f"{_before(ahead)}: the last window before it closes at {rfc3339(closes)}"
    if start <= now:
        return f"{_before(ahead)}: siblings that leak as well are rolled after it ({after})"
    return ""


def _before(ahead: timedelta) -> str:
    return f"{about(ahead.total_seconds())} before its deadline"


def _outside(candidate: Candidate, pace: Pace) -> str:
    """Return why a pod that is due can't wait for the next window, or nothing."""
    times = pace.times
    if times.is_open or times.opens is None or not pace.act_early:
        return ""
    if times.now + _left(candidate) - pace.slack > times.opens:
        return ""
    return f"outside of the windows: it would reach its limit before the next one opens at {rfc3339(times.opens)}"
