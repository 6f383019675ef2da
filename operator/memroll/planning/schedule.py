"""Latest safe start of each pod's roll. Pure.

`plan` passes in all candidates of a reconcile and gets them back with their latest start. Detection gives a leak its
own deadline: the time at which it reaches its limit, less its lead time. Four things can bring the roll forward: peers
that have to be rolled after it and would be late; the policy's budgets, which must suffice for all of its pods; peers
that would come due at the same time again after their next life; and maintenance windows, if the deadline is outside
them. Therefore the latest starts are found backwards from the pod with the most time left: it starts at its own
deadline, and each one before it early enough for those after it.

Rolls that were made already count for the budgets. If they leave no time for a pod, its latest start is in the past:
it is rolled as soon as possible, because a part of a budget that is not used is lost.

Only a confirmed leak is brought forward, and only if nothing but its remaining time is a reason not to roll it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from memroll.api.base import rfc3339
from memroll.api.quantity import humanize_duration
from memroll.api.roll_spec import WhenLimitComesFirst
from memroll.detection.parameters import MIN_LEAD_ROLLS
from memroll.planning.budgets import BudgetTimeline, budget_limits, budget_users, used_times
from memroll.planning.maintenance_windows import FOREVER, MAX_AHEAD_S, open_intervals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from memroll.planning.candidate import Candidate, Context, PodGroup
    from memroll.planning.maintenance_windows import OpenIntervals

SPREAD_RATIO = 0.05
"""Distance between the rolls of two peers, as a ratio of the time from start to limit. See design note 0008."""
MAX_SPREAD_RATIO = 0.1
"""Maximum ratio of that time by which the spread brings any roll forward. See design note 0008."""


@dataclass(frozen=True, slots=True)
class RollSpacing:
    """Minimum distances between the rolls of one workload."""

    intervals: OpenIntervals
    max_concurrent: int
    roll_slot: timedelta
    """Time that one roll occupies: its duration and the cooldown after it."""
    max_delay: timedelta
    """Time that may pass until the next reconcile starts another roll: the interval of the policy."""
    min_spacing: timedelta
    """Minimum time between the starts of two rolls, so that the next deadlines of the peers are apart as well."""
    reserve: timedelta
    """Time before the limit that a roll needs."""
    may_roll_outside: bool
    """True if a pod may be rolled outside the maintenance windows when it would reach its limit before the next one."""

    def latest_start(self, deadline: datetime, behind: Sequence[datetime]) -> datetime:
        """Return the latest start of a roll; `behind`: starts of the rolls after it, the last one first."""
        start = deadline
        if behind:
            start = min(start, behind[-1] - self.min_spacing)
        if len(behind) >= self.max_concurrent:
            start = min(start, behind[-self.max_concurrent] - self.roll_slot - self.max_delay)
        return self.latest_open(max(start, self.intervals.now - timedelta(seconds=MAX_AHEAD_S)))

    def latest_open(self, at: datetime) -> datetime:
        """Return the last time up to `at` in a maintenance window; `at` itself if there is none from now on."""
        return self.intervals.latest_open(at) or at

    def earliest_open(self, at: datetime, limit_time: datetime) -> datetime:
        """Return the first time from `at` at which a pod with that limit may be rolled; FOREVER: never."""
        opens = self.intervals.earliest_open(at)
        if opens is None:
            return FOREVER
        return at if self.may_roll_outside and opens > limit_time - self.reserve else opens


class _Behind(NamedTuple):
    """Numbers of pods that are rolled after a pod."""

    peers: int
    in_policy: int


def schedule_candidates(candidates: Iterable[Candidate], context: Context) -> list[Candidate]:
    """Return the candidates with their latest start, the most urgent first.

    Pods of one controller wait for each other, and all pods of the policy share its budgets. A pod that failed a check
    has no place in the queue.
    """
    candidates = list(candidates)
    queue = sorted((c for c in candidates if is_queued(c)), key=lambda c: (_time_to_deadline(c), c.urgency))
    rest = [c for c in candidates if not is_queued(c)]
    return sorted([*_schedule_queue(queue, context), *rest], key=lambda c: c.urgency)


def is_queued(candidate: Candidate) -> bool:
    """Return whether the pod is going to be rolled: now, or when only its remaining time is a reason to wait."""
    return candidate.due or candidate.can_advance


def _schedule_queue(queue: Sequence[Candidate], context: Context) -> list[Candidate]:
    """Schedule the pods of a policy, which are sorted by deadline."""
    by_group: dict[PodGroup, list[Candidate]] = defaultdict(list)
    for candidate in queue:
        by_group[candidate.group].append(candidate)
    spacings = {group: roll_spacing(peers, context) for group, peers in by_group.items()}
    unspread = {group: replace(spacing, min_spacing=timedelta(0)) for group, spacing in spacings.items()}
    starts, starts_unspread = (_latest_starts(queue, each, context) for each in (spacings, unspread))
    scheduled: list[Candidate] = []
    peers_left = Counter(c.group for c in queue)
    for candidate, start, start_unspread in zip(queue, starts, starts_unspread, strict=True):
        peers_left[candidate.group] -= 1
        behind = _Behind(peers_left[candidate.group], len(queue) - len(scheduled) - 1)
        placed = _with_start(candidate, start, behind, spacings[candidate.group])
        scheduled.append(replace(placed, holds_up_queue=placed.can_advance and start_unspread <= context.now))
    return scheduled


def _time_to_deadline(candidate: Candidate) -> timedelta:
    """Return the time to the pod's own deadline: that to its limit, less its lead time."""
    if candidate.verdict.due:
        return timedelta(0)
    return timedelta(seconds=min(candidate.verdict.remaining_s - (candidate.verdict.lead_time_s or 0.0), MAX_AHEAD_S))


def roll_spacing(queue: Sequence[Candidate], context: Context) -> RollSpacing:
    """Return the minimum distances between the rolls of one controller's pods."""
    windows, first = context.spec.roll.maintenance_windows, queue[0]
    intervals = open_intervals(windows, context.now)
    duration = timedelta(seconds=context.roll_durations.of_pod_s(first.pod))
    replicas = first.workload.controller_replicas if first.workload else len(queue)
    return RollSpacing(
        intervals=intervals,
        max_concurrent=context.spec.roll.max_concurrent.to_count(replicas),
        roll_slot=duration + context.spec.roll.cooldown,
        max_delay=context.spec.interval,
        # With windows a spread could cost a whole window: rolls follow each other directly.
        min_spacing=timedelta(0) if intervals.has_windows else _min_spacing(queue, context),
        reserve=MIN_LEAD_ROLLS * duration,
        may_roll_outside=windows is not None and windows.when_limit_comes_first is WhenLimitComesFirst.ROLL,
    )


def _min_spacing(queue: Sequence[Candidate], context: Context) -> timedelta:
    lifetimes = [_lifetime_s(c, context) for c in queue if c.can_advance]
    if len(queue) < 2 or not lifetimes:  # noqa: PLR2004 - one pod has no peer
        return timedelta(0)
    ratio = min(SPREAD_RATIO, MAX_SPREAD_RATIO / (len(queue) - 1))
    return timedelta(seconds=ratio * min(lifetimes))


def _lifetime_s(candidate: Candidate, context: Context) -> float:
    """Return the time from the container's start to its limit, in seconds."""
    started = next((c.started_at for c in candidate.pod.containers if c.name == candidate.container), None)
    age_s = (context.now - (started or context.now)).total_seconds()
    return max(0.0, age_s) + _time_to_limit(candidate).total_seconds()


def _time_to_limit(candidate: Candidate) -> timedelta:
    return timedelta(seconds=min(candidate.verdict.remaining_s, MAX_AHEAD_S))


def _latest_starts(
    queue: Sequence[Candidate], spacings: Mapping[PodGroup, RollSpacing], context: Context
) -> list[datetime]:
    """Return the latest start of each roll such that all of them start in time. Found from the last one backwards."""
    timeline = BudgetTimeline(budget_limits(context), used_times(context), context.now)
    uses_budget = budget_users(queue, context)
    by_group: dict[PodGroup, list[datetime]] = defaultdict(list)
    starts: list[datetime] = []
    for candidate in reversed(queue):
        group = candidate.group
        start = spacings[group].latest_start(context.now + _time_to_deadline(candidate), by_group[group])
        if candidate.pod.key in uses_budget:
            start = _within_budgets(start, spacings[group], timeline)
            timeline.add(start)
        by_group[group].append(start)
        starts.append(start)
    return starts[::-1]


def _within_budgets(start: datetime, spacing: RollSpacing, timeline: BudgetTimeline) -> datetime:
    """Return the latest time up to `start` at which the budgets allow the roll and a maintenance window is open."""
    while True:
        allowed = timeline.latest(start)
        if allowed == start:
            return start
        start = spacing.latest_open(allowed)


def _with_start(candidate: Candidate, start: datetime, behind: _Behind, spacing: RollSpacing) -> Candidate:
    """Return the candidate with its latest start, and with the reasons to roll it early or outside the windows."""
    if candidate.can_advance:
        advanced_because = _why_advanced(candidate, start, behind, spacing)
        candidate = replace(candidate, latest_start=start, advanced_because=advanced_because)
    if candidate.due:
        candidate = replace(candidate, outside_window_because=_why_outside_window(candidate, spacing))
    return candidate


def _why_advanced(candidate: Candidate, start: datetime, behind: _Behind, spacing: RollSpacing) -> str:
    """Return why a pod is rolled now although its own deadline is ahead; empty if it is not."""
    now, closes = spacing.intervals.now, spacing.intervals.closes
    ahead = _time_to_deadline(candidate)
    early = f"{humanize_duration(ahead.total_seconds())} before its deadline"
    if closes is not None and start <= closes < now + ahead:
        return f"{early}: the last maintenance window before it closes at {rfc3339(closes)}"
    if start > now:
        return ""
    if behind.peers or not behind.in_policy:
        return f"{early}: {behind.peers} leaking peer{'' if behind.peers == 1 else 's'} must be rolled after it"
    return f"{early}: {behind.in_policy} more of the policy's pods must be rolled within its budgets"


def _why_outside_window(candidate: Candidate, spacing: RollSpacing) -> str:
    """Return why a pod that is due can't wait for the next maintenance window; empty if it can."""
    intervals = spacing.intervals
    if intervals.is_open or intervals.opens is None or not spacing.may_roll_outside:
        return ""
    if intervals.now + _time_to_limit(candidate) - spacing.reserve > intervals.opens:
        return ""
    opens = rfc3339(intervals.opens)
    return f"outside the maintenance windows: the pod would reach its limit before the next one opens at {opens}"
