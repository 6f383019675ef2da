"""Latest safe start of each pod's roll. Pure.

`plan` passes in all candidates of a reconcile and gets them back with their latest start. Detection gives a leak its
own deadline: the time at which it reaches its limit, less its lead time. Three things can bring the roll forward: peers
that have to be rolled after it and would be late; peers that would come due at the same time again after their next
life; and maintenance windows, if the deadline is outside them. Therefore the latest starts are found backwards from the
peer with the most time left: it starts at its own deadline, and each one before it early enough for those after it.

Only a confirmed leak is brought forward, and only if nothing but its remaining time is a reason not to roll it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.quantity import humanize_duration
from memroll.api.roll_spec import WhenLimitComesFirst
from memroll.detection.parameters import MIN_LEAD_ROLLS
from memroll.planning.maintenance_windows import open_intervals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from memroll.model.pods import ObjectRef, PodKey
    from memroll.planning.candidate import Candidate, Context
    from memroll.planning.maintenance_windows import OpenIntervals

SPREAD_RATIO = 0.05
"""Distance between the rolls of two peers, as a ratio of the time from start to limit. See design note 0008."""
MAX_SPREAD_RATIO = 0.1
"""Maximum ratio of that time by which the spread brings any roll forward. See design note 0008."""
MAX_AHEAD_S = 10 * 365 * 86_400.0
"""Maximum time ahead that is scheduled, in seconds: flat slopes reach their limit beyond the range of datetime."""


@dataclass(frozen=True, slots=True)
class RollSpacing:
    """Minimum distances between the rolls of one workload."""

    intervals: OpenIntervals
    max_concurrent: int
    roll_slot: timedelta
    """Time that one roll occupies: its duration and the cooldown after it."""
    min_spacing: timedelta
    """Minimum time between the starts of two rolls, so that the next deadlines of the peers are apart as well."""
    reserve: timedelta
    """Time before the limit that a roll needs."""
    may_roll_outside: bool
    """True if a pod may be rolled outside the maintenance windows when it would reach its limit before the next one."""


def schedule_candidates(candidates: Iterable[Candidate], context: Context) -> list[Candidate]:
    """Return the candidates with their latest start, the most urgent first."""
    by_controller: dict[ObjectRef | PodKey, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_controller[candidate.pod.controller or candidate.pod.key].append(candidate)
    found = [c for peers in by_controller.values() for c in _schedule_peers(peers, context)]
    return sorted(found, key=lambda c: c.urgency)


def _schedule_peers(peers: Sequence[Candidate], context: Context) -> list[Candidate]:
    """Schedule the pods of one controller by deadline; a pod that failed a check has no place in the queue."""
    queue = sorted((c for c in peers if c.due or c.can_advance), key=lambda c: (_time_to_deadline(c), c.urgency))
    rest = [c for c in peers if not (c.due or c.can_advance)]
    if not queue:
        return rest
    spacing = _spacing(queue, context)
    deadlines = [context.now + _time_to_deadline(c) for c in queue]
    starts = _latest_starts(deadlines, spacing)
    starts_unspread = _latest_starts(deadlines, replace(spacing, min_spacing=timedelta(0)))
    behind = range(len(queue) - 1, -1, -1)
    placed = [_with_start(c, start, n, spacing) for c, start, n in zip(queue, starts, behind, strict=True)]
    return rest + [
        replace(c, holds_up_queue=c.can_advance and start <= context.now)
        for c, start in zip(placed, starts_unspread, strict=True)
    ]


def _time_to_deadline(candidate: Candidate) -> timedelta:
    """Return the time to the pod's own deadline: that to its limit, less its lead time."""
    if candidate.verdict.due:
        return timedelta(0)
    return timedelta(seconds=min(candidate.verdict.remaining_s - (candidate.verdict.lead_time_s or 0.0), MAX_AHEAD_S))


def _spacing(queue: Sequence[Candidate], context: Context) -> RollSpacing:
    windows, first = context.spec.roll.maintenance_windows, queue[0]
    intervals = open_intervals(windows, context.now)
    duration = timedelta(seconds=context.roll_durations.of_pod_s(first.pod))
    replicas = first.workload.controller_replicas if first.workload else len(queue)
    return RollSpacing(
        intervals=intervals,
        max_concurrent=context.spec.roll.max_concurrent.to_count(replicas),
        roll_slot=duration + context.spec.roll.cooldown,
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


def _latest_starts(deadlines: Sequence[datetime], spacing: RollSpacing) -> list[datetime]:
    """Return the latest start of each roll such that all of them start in time. Found from the last one backwards."""
    starts: list[datetime] = []
    for deadline in reversed(deadlines):
        start = deadline
        if starts:
            start = min(start, starts[-1] - spacing.min_spacing)
        if len(starts) >= spacing.max_concurrent:
            start = min(start, starts[-spacing.max_concurrent] - spacing.roll_slot)
        starts.append(spacing.intervals.latest_open(start) or start)
    return starts[::-1]


def _with_start(candidate: Candidate, start: datetime, behind: int, spacing: RollSpacing) -> Candidate:
    """Return the candidate with its latest start, and with the reasons to roll it early or outside the windows.

    `behind`: the number of peers that are rolled after it.
    """
    if candidate.can_advance:
        advanced_because = _why_advanced(candidate, start, behind, spacing)
        candidate = replace(candidate, latest_start=start, advanced_because=advanced_because)
    if candidate.due:
        candidate = replace(candidate, outside_window_because=_why_outside_window(candidate, spacing))
    return candidate


def _why_advanced(candidate: Candidate, start: datetime, behind: int, spacing: RollSpacing) -> str:
    """Return why a pod is rolled now although its own deadline is ahead; empty if it is not."""
    now, closes = spacing.intervals.now, spacing.intervals.closes
    ahead = _time_to_deadline(candidate)
    early = f"{humanize_duration(ahead.total_seconds())} before its deadline"
    if closes is not None and start <= closes < now + ahead:
        return f"{early}: the last maintenance window before it closes at {rfc3339(closes)}"
    if start <= now:
        return f"{early}: {behind} leaking peer{'' if behind == 1 else 's'} must be rolled after it"
    return ""


def _why_outside_window(candidate: Candidate, spacing: RollSpacing) -> str:
    """Return why a pod that is due can't wait for the next maintenance window; empty if it can."""
    intervals = spacing.intervals
    if intervals.is_open or intervals.opens is None or not spacing.may_roll_outside:
        return ""
    if intervals.now + _time_to_limit(candidate) - spacing.reserve > intervals.opens:
        return ""
    opens = rfc3339(intervals.opens)
    return f"outside the maintenance windows: the pod would reach its limit before the next one opens at {opens}"
