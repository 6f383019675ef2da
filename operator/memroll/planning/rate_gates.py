"""The gates of the pace: how many rolls, how soon after each other, at what time of the week.

Everything is counted from PodRolls, so a restarted operator, or a second one, can't overspend.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.pod_roll import Effect, Phase
from memroll.api.quantity import about, format_duration
from memroll.planning import rate_limit
from memroll.planning.answer import Answer
from memroll.planning.candidate import rolls_of
from memroll.planning.gate_result import NOTHING
from memroll.planning.maintenance_windows import EVER, allowed

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.api.roll_spec import Budget
    from memroll.planning.candidate import Candidate, Context
    from memroll.planning.maintenance_windows import Allowed

BACK_OFF_LEAST = timedelta(seconds=30)
BACK_OFF_MOST = timedelta(hours=6)
FLEET_LEAST = 3
FLEET_SHARE = 0.5
"""More of a workload's pods in breach at once may be a load or a release."""
MISSED = ", after its limit, and actEarly is false"


def concurrency(candidate: Candidate, context: Context) -> Answer:
    workload = candidate.workload
    if workload is None:
        return Answer("", NOTHING, NOTHING)
    count = sum(1 for r in rolls_of(workload, context.rolls) if r.active) + len(_planned(candidate, context))
    most = context.spec.roll.max_concurrent.of(workload.desired)
    words = f"{count} of at most {most} concurrent rolls of {workload.top} are under way" if count >= most else ""
    return Answer(words, f"{count} under way", f"under {most}")


def cooldown(candidate: Candidate, context: Context) -> Answer:
    pause = context.spec.roll.cooldown
    threshold = f"{format_duration(pause)} ago or more"
    last = max((_ended(r) for r in rolls_of(candidate.workload, context.rolls) if not r.active), default=None)
    if last is None:
        return Answer("", "no roll has ended", threshold)
    words = f"cooling down until {rfc3339(last + pause)}" if context.now < last + pause else ""
    return Answer(words, f"the last roll ended {about((context.now - last).total_seconds())} ago", threshold)


def backing_off(candidate: Candidate, context: Context) -> Answer:
    """Hold a workload whose last rolls failed: twice as long after each failure in a row."""
    ended = sorted((r for r in rolls_of(candidate.workload, context.rolls) if not r.active), key=_ended)
    failures = 0
    for roll in reversed(ended):
        if roll.status.phase is not Phase.FAILED:
            break
        failures += 1
    if not failures:
        return Answer("", "the last roll did not fail", NOTHING)
    pause = min(BACK_OFF_MOST, max(BACK_OFF_LEAST, context.spec.roll.cooldown) * 2 ** min(failures - 1, 20))
    free = _ended(ended[-1]) + pause
    words = f"{failures} failed rolls in a row: tried again at {rfc3339(free)}" if context.now < free else ""
    ago = about((context.now - _ended(ended[-1])).total_seconds())
    return Answer(words, f"{failures} failed in a row, the last {ago} ago", f"{format_duration(pause)} ago or more")


def budget(_: Candidate, context: Context) -> Answer:
    """Every budget holds on its own; the one that frees last is named."""
    spendings = [_spent(limit, context) for limit in context.spec.roll.budgets]
    if not spendings:
        return Answer("", NOTHING, NOTHING)
    limit, count, free = max(spendings, key=lambda s: (s[2], s[1] - s[0].rolls))
    most = f"{limit.rolls} rolls per {format_duration(limit.per)}"
    until = "" if free == EVER else f" until {rfc3339(free)}"
    words = f"the budget of {most} is spent{until}" if free > context.now else ""
    return Answer(words, f"{count} rolls", f"under {most}")


def _spent(limit: Budget, context: Context) -> tuple[Budget, int, datetime]:
    """Return how many rolls count against a budget, and when it has room again. What never touched a pod is free."""
    since = context.now - limit.per
    times = sorted(
        r.created_at
        for r in context.rolls
        if r.spec.policy == context.policy and r.created_at > since and r.status.phase is not Phase.ABORTED
    )
    count = len(times) + len(context.planned)
    if count < limit.rolls:
        return limit, count, context.now
    return limit, count, rate_limit.freed_at(times, len(context.planned), limit.rolls, limit.per, context.now) or EVER


def outside_windows(candidate: Candidate, context: Context) -> Answer:
    """Hold outside of the windows, unless the schedule says that this pod can't wait for the next one."""
    windows = context.spec.roll.windows
    if windows is None:
        return Answer("", NOTHING, NOTHING)
    times = allowed(windows, context.now)
    if times.is_open or candidate.outside:
        return Answer("", candidate.outside or _opening(times), "open")
    if times.opens is None:
        return Answer(times.trouble or "the windows never open", "never open", "open")
    missed = MISSED if not windows.act_early and _reached_by(candidate, context, times.opens) else ""
    words = f"outside of the windows: the next one opens at {rfc3339(times.opens)}{missed}"
    return Answer(words, _opening(times), "open")


def _opening(times: Allowed) -> str:
    change = times.closes if times.is_open else times.opens
    return ("open" if times.is_open else "closed") + (f" until {rfc3339(change)}" if change else "")


def _reached_by(candidate: Candidate, context: Context, at: datetime) -> bool:
    """Whether the pod will have reached its limit by then."""
    left_s = candidate.breach.time_to_limit_s
    return left_s is not None and left_s <= (at - context.now).total_seconds()


def runaway_guard(_: Candidate, context: Context) -> Answer:
    if context.tally is None:
        return Answer("", "not counted: nothing is about to be rolled", NOTHING)
    return rate_limit.held(context.guard, context.tally, context.watched_pods, len(context.planned), context.now)


def fleet(candidate: Candidate, context: Context) -> Answer:
    """Let one pod go first when most of a workload breach at once, and the others when that has helped.

    A pod whose deadline has come, or that of one queued behind it, does not wait: there is nothing to learn in time.
    """
    workload = candidate.workload
    if workload is None:
        return Answer("", NOTHING, NOTHING)
    breaching = sum(1 for c in context.breaching if c.target.controller == candidate.target.controller)
    value = f"{breaching} of {workload.desired} pods breach"
    if workload.desired < FLEET_LEAST or breaching <= FLEET_SHARE * workload.desired:
        return Answer("", value, "at most half")
    first = _first_of(candidate, context)
    waits = bool(first) and not (candidate.breach.due or candidate.pressed)
    words = f"{value} at once: waiting to see whether rolling {first} helps" if waits else ""
    return Answer(words, value, "at most half, or a replacement that shows that rolling helps")


def _first_of(candidate: Candidate, context: Context) -> str:
    """Return the pod whose replacement has not yet shown what it is worth; none when one has, or none has begun."""
    began = context.now - context.spec.growth.window - context.spec.growth.persist
    recent = [
        r
        for r in rolls_of(candidate.workload, context.rolls)
        if r.active or (r.status.phase is Phase.SUCCEEDED and _ended(r) > began)
    ]
    if any(_has_helped(r, context) for r in recent):
        return ""
    names = (*(r.spec.pod_name for r in recent), *(c.target.key.name for c in _planned(candidate, context)))
    return next(iter(names), "")


def _has_helped(roll: PodRoll, context: Context) -> bool:
    effect = roll.status.memory.effect if roll.status.memory else None
    if effect is not None:
        return effect is not Effect.INEFFECTIVE
    replacement = roll.status.replacement
    return not roll.active and replacement is not None and replacement.uid in context.healthy


def _planned(candidate: Candidate, context: Context) -> list[Candidate]:
    """Return what this pass rolls of the candidate's workload."""
    workload = candidate.workload
    return [c for c in context.planned if workload and c.workload and c.workload.top == workload.top]


def _ended(roll: PodRoll) -> datetime:
    return roll.status.times.finished or roll.created_at
