"""Budgets of a policy: maximum number of rolls within a sliding period. Pure.

`rate_gates` blocks rolls by them, `schedule` starts rolls early enough for them, and `keep_up` reports when they do not
suffice. Rolls are counted by the time at which their PodRoll was created.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.quantity import format_duration
from memroll.api.roll_spec import Strategy
from memroll.planning.maintenance_windows import FOREVER, MAX_AHEAD_S
from memroll.planning.plan_index import index_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta

    from memroll.model.pods import PodKey
    from memroll.planning.candidate import Candidate, Context, PodGroup

    Range = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class BudgetLimit:
    """Budget with the number of rolls that it allows to this policy now."""

    max_rolls: int
    per: timedelta

    def __str__(self) -> str:
        return f"{self.max_rolls} rolls per {format_duration(self.per)}"


def budget_limits(context: Context) -> tuple[BudgetLimit, ...]:
    """Return the budgets of the policy."""
    return tuple(BudgetLimit(b.max_rolls(context.policy_pods), b.per) for b in context.spec.roll.budgets)


def used_times(context: Context) -> list[datetime]:
    """Return the times of the policy's rolls that count, oldest first."""
    return index_of(context).used_times


def are_scarce(pods: int, context: Context) -> bool:
    """Return whether the budgets may not suffice for that many rolls now."""
    used = used_times(context)
    return any(
        pods + sum(1 for at in used if at > context.now - limit.per) > limit.max_rolls
        for limit in budget_limits(context)
    )


def budget_users(queue: Iterable[Candidate], context: Context) -> set[PodKey]:
    """Return the pods of the queue that need another roll from the budgets, one that does not exist yet.

    A pod that is being rolled needs none, and where the whole workload is restarted, one roll is enough for all pods.
    """
    rolling = {r.pod_uid for r in context.rolls if r.active}
    restarted: set[PodGroup] = set()
    users = set()
    for candidate in queue:
        pod = candidate.pod
        if pod.key.uid in rolling or pod.released or candidate.group in restarted:
            continue
        users.add(pod.key)
        if _restarts_workload(candidate, context):
            restarted.add(candidate.group)
    return users


def _restarts_workload(candidate: Candidate, context: Context) -> bool:
    strategy, workload = context.spec.roll.strategy, candidate.workload
    is_recreate = workload is not None and workload.has_recreate_strategy
    return strategy is Strategy.RESTART or (strategy is Strategy.AUTO and is_recreate)


class BudgetTimeline:
    """Past rolls and scheduled starts of a policy; finds the times at which its budgets allow another one.

    Starts are only added: what is full stays full. The range that was last found to be full in each direction is
    skipped from then on, or each of thousands of pods would search through the starts of all others.
    """

    def __init__(self, limits: Sequence[BudgetLimit], used: Sequence[datetime], now: datetime) -> None:
        self._limits = tuple(limits)
        self._starts = sorted(used)
        self._now = now
        self._full_after = self._full_before = (now, now)
        """Ranges without a free time, as earlier searches forwards and backwards found: from, until."""

    def add(self, start: datetime) -> None:
        """Add the start of a roll."""
        insort(self._starts, start)

    def latest(self, at: datetime) -> datetime:
        """Return the latest time up to `at` at which another roll may start; a time in the past means: none is left.

        A budget of zero is ignored: no start is early enough for it.
        """
        first, last = self._full_before
        begun, at = at, first if first < at <= last else at
        while at >= self._now and (conflict := self._conflict(at)) is not None:
            at = conflict[1] - conflict[2]
        self._full_before = _joined(self._full_before, (at, begun))
        return at

    def earliest(self, at: datetime) -> datetime:
        """Return the earliest time from `at` at which another roll may start; FOREVER: never."""
        if any(limit.max_rolls == 0 for limit in self._limits):
            return FOREVER
        first, last = self._full_after
        begun, at = at, last if first <= at < last else at
        while (conflict := self._conflict(at)) is not None:
            at = conflict[0] + conflict[2]
        self._full_after = _joined(self._full_after, (begun, at))
        return at if (at - self._now).total_seconds() <= MAX_AHEAD_S else FOREVER

    def _conflict(self, at: datetime) -> tuple[datetime, datetime, timedelta] | None:
        """Return first start, last start and period of a budget that is spent by starts around `at`; None: none is."""
        starts, place = self._starts, bisect_left(self._starts, at)
        for limit in self._limits:
            size = limit.max_rolls
            # only starts less than a period before and after `at` can spend the budget together with it
            begin, end = bisect_right(starts, at - limit.per), bisect_left(starts, at + limit.per)
            for i in range(max(begin, place - size), min(place, end - size) + 1) if size else ():
                first, last = starts[i], starts[i + size - 1]
                if max(last, at) - min(first, at) < limit.per:
                    return first, last, limit.per
        return None


def _joined(known: Range, found: Range) -> Range:
    """Return the union of two ranges that touch each other, else the one that was just found, unless it is empty."""
    if found[0] >= found[1]:
        return known
    return (min(known[0], found[0]), max(known[1], found[1])) if _touch(known, found) else found


def _touch(one: Range, other: Range) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
