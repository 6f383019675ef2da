"""Check whether budgets, concurrency and maintenance windows leave time for all rolls: condition CannotKeepUp. Pure.

`plan` passes in the pods that it rolls or that only wait; `reporting` publishes the Shortfall. Two questions: does a
pod reach its limit before its roll can start, if all rolls start as early as possible? And do pods live shorter than
the budgets permit in the long run?
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING

from memroll.api.policy import Mode
from memroll.api.quantity import humanize_duration
from memroll.planning.budgets import BudgetTimeline, budget_limits, budget_users, used_times
from memroll.planning.maintenance_windows import FOREVER, MAX_AHEAD_S
from memroll.planning.plan_index import index_of
from memroll.planning.schedule import roll_spacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from memroll.planning.budgets import BudgetLimit
    from memroll.planning.candidate import Candidate, Context, PodGroup
    from memroll.planning.schedule import RollSpacing

ALL_TOGETHER = "roll.budgets, roll.maxConcurrent, roll.cooldown and the maintenance windows together allow"
"""Cause of a shortfall that no single field would end."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Reason why not all pods can be rolled in time, with the numbers and the remedy."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class _Pace:
    """Limits of a simulation; without one of them, the simulation shows what that one costs."""

    limits: tuple[BudgetLimit, ...]
    has_slots: bool = True
    has_windows: bool = True


def find_shortfall(waiting: Sequence[Candidate], context: Context) -> Shortfall | None:
    """Return why some pods can't be rolled in time; None if all can. `waiting`: pods that only the pace delays."""
    if context.spec.mode is Mode.OBSERVE or context.spec.suspend:
        return None
    users = budget_users(waiting, context)
    queue = sorted((c for c in waiting if c.pod.key in users), key=lambda c: _limit_time(c, context))
    pace = _Pace(budget_limits(context))
    late = _late(queue, context, pace)
    return _explain(late, queue, context, pace) if late else _long_run_shortfall(queue, context)


def _limit_time(candidate: Candidate, context: Context) -> datetime:
    """Return the time at which the pod reaches its limit; a pod above its usage threshold is not about to."""
    verdict = candidate.verdict
    left_s = MAX_AHEAD_S if verdict.is_above_threshold else min(verdict.remaining_s, MAX_AHEAD_S)
    return context.now + timedelta(seconds=left_s)


def _late(queue: Sequence[Candidate], context: Context, pace: _Pace) -> list[Candidate]:
    """Return the pods that reach their limit before their roll can start, if the nearest limit always comes first."""
    timeline = BudgetTimeline(pace.limits, used_times(context), context.now)
    groups: dict[PodGroup, list[Candidate]] = defaultdict(list)
    for candidate in queue:
        groups[candidate.group].append(candidate)
    spacings = {group: roll_spacing(peers, context) for group, peers in groups.items()}
    slots = {group: _free_slots(peers[0], spacings[group], context) for group, peers in groups.items()}
    late = []
    for candidate in queue:
        spacing, limit_time = spacings[candidate.group], _limit_time(candidate, context)
        free_at = slots[candidate.group][0] if pace.has_slots else context.now
        start = _earliest_start(free_at, limit_time, spacing if pace.has_windows else None, timeline)
        if start > context.now and start >= limit_time:
            late.append(candidate)
        if start < FOREVER:
            timeline.add(start)
            heapreplace(slots[candidate.group], start + spacing.roll_slot)
    return late


def _free_slots(candidate: Candidate, spacing: RollSpacing, context: Context) -> list[datetime]:
    """Return the times from which the workload may have another roll, one for each concurrent roll, as a heap."""
    rolls = index_of(context).rolls_of(candidate.workload)
    ended = [r.status.times.finished or r.created_at for r in rolls if not r.active]
    idle_from = max((at + context.spec.roll.cooldown for at in ended), default=context.now)
    busy = sorted(max(context.now, r.created_at + spacing.roll_slot) for r in rolls if r.active)
    slots = busy[-spacing.max_concurrent :]
    slots += [max(context.now, idle_from)] * (spacing.max_concurrent - len(slots))
    heapify(slots)
    return slots


def _earliest_start(
    at: datetime, limit_time: datetime, spacing: RollSpacing | None, timeline: BudgetTimeline
) -> datetime:
    """Return the earliest time at which the budgets allow the roll and a window is open; FOREVER: never."""
    while at < FOREVER:
        allowed = timeline.earliest(at)
        opened = allowed if spacing is None or allowed == FOREVER else spacing.earliest_open(allowed, limit_time)
        if opened == allowed:
            return allowed
        at = opened
    return FOREVER


def _explain(late: Sequence[Candidate], queue: Sequence[Candidate], context: Context, pace: _Pace) -> Shortfall:
    """Return the shortfall with the field that causes it: the one without which fewer pods would be late."""
    count = len(late)
    concerned = {c.group for c in late}
    total = sum(1 for c in queue if c.group in concerned)
    pods = f"{count} of {total} pods of {_workloads(late)} reach{'es its' if count == 1 else ' their'} limit before"

    def helps(changed: _Pace) -> bool:
        return len(_late(queue, context, changed)) < count

    for limit in pace.limits:
        if helps(replace(pace, limits=tuple(other for other in pace.limits if other is not limit))):
            text = f"{pods} the budget of {limit} allows the roll: raise roll.budgets"
            return Shortfall("BudgetTooSmall", text)
    if helps(replace(pace, has_slots=False)):
        return Shortfall("PaceTooSlow", f"{pods} {_slots_allow(late[0], context)}")
    if helps(replace(pace, has_windows=False)):
        remedy = "add maintenance windows, or set whenLimitComesFirst: Roll"
        return Shortfall("WindowsTooShort", f"{pods} a maintenance window has room for the roll: {remedy}")
    return Shortfall("PaceTooSlow", f"{pods} {ALL_TOGETHER} the roll: raise them")


def _slots_allow(candidate: Candidate, context: Context) -> str:
    spacing = roll_spacing([candidate], context)
    slot = humanize_duration(spacing.roll_slot.total_seconds())
    concurrent = "1 roll" if spacing.max_concurrent == 1 else f"{spacing.max_concurrent} concurrent rolls"
    return (
        f"it is its turn, with {concurrent} per {slot} (cooldown included):"
        " raise roll.maxConcurrent or reduce roll.cooldown"
    )


def _workloads(candidates: Iterable[Candidate]) -> str:
    names = sorted({str(_workload(c)) for c in candidates})
    return names[0] if len(names) == 1 else f"{len(names)} workloads"


def _workload(candidate: Candidate) -> object:
    if candidate.workload is not None:
        return candidate.workload.owner
    return candidate.pod.controller or candidate.pod.key.name


def _long_run_shortfall(queue: Sequence[Candidate], context: Context) -> Shortfall | None:
    """Return the shortfall if the pods come due again faster than a budget permits."""
    lifetimes = [(c, s) for c in queue if (s := _lifetime_s(c, context)) > 0]
    names = _workloads(c for c, _ in lifetimes)
    for limit in budget_limits(context):
        needed = sum(limit.per.total_seconds() / lifetime_s for _, lifetime_s in lifetimes)
        if needed > limit.max_rolls:
            shortest = humanize_duration(min(lifetime_s for _, lifetime_s in lifetimes))
            pods = f"pod of {names} needs" if len(lifetimes) == 1 else f"pods of {names} need"
            text = (
                f"the budget of {limit} is less than the {needed:.1f} rolls that {len(lifetimes)} {pods} in this time:"
                f" the first reaches its limit {shortest} after its start. Raise roll.budgets"
            )
            return Shortfall("BudgetTooSmall", text)
    return None


def _lifetime_s(candidate: Candidate, context: Context) -> float:
    """Return the seconds from the container's start to its limit; zero if that is not known."""
    started = next((c.started_at for c in candidate.pod.containers if c.name == candidate.container), None)
    left_s = candidate.verdict.time_to_limit_s
    if started is None or left_s is None or candidate.verdict.is_above_threshold:
        return 0.0
    return max(0.0, (context.now - started).total_seconds()) + min(left_s, MAX_AHEAD_S)
