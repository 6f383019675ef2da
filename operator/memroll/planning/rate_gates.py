"""Gates that limit how many pods are rolled, how soon after each other, and at what time of the week.

`gates` lists them. Everything is counted from PodRolls, so that neither a restarted operator nor a second one exceeds
a limit.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.pod_roll import EffectResult, Phase
from memroll.api.quantity import format_duration, humanize_duration
from memroll.api.roll_spec import WhenLimitComesFirst
from memroll.planning import rate_limit
from memroll.planning.budgets import budget_limits, used_times
from memroll.planning.gate_result import NONE, GateResult
from memroll.planning.maintenance_windows import FOREVER, open_intervals
from memroll.planning.plan_index import index_of

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.model.roll_record import RollRecord
    from memroll.planning.budgets import BudgetLimit
    from memroll.planning.candidate import Candidate, Context
    from memroll.planning.maintenance_windows import OpenIntervals

MIN_FAILURE_PAUSE = timedelta(seconds=30)
"""Minimum pause after a failed roll; `roll.cooldown` if that is longer. Chosen by hand."""
MAX_FAILURE_PAUSE = timedelta(hours=6)
"""Maximum pause after failed rolls in a row. Chosen by hand."""
MAX_DOUBLINGS = 20
"""Maximum number of doublings of the pause that are calculated; `MAX_FAILURE_PAUSE` is reached earlier."""
MIN_CANARY_REPLICAS = 3
"""Minimum number of replicas of a workload that gets a canary."""
MAX_AT_RISK_RATIO = 0.5
"""Maximum ratio of a workload's pods that may be at risk without a canary: more may be due to load or to a release."""
HOLD_CONSEQUENCE = ", after the pod reaches its limit, and whenLimitComesFirst is Hold"
"""End of the message about a window that opens too late for the pod."""


def check_concurrency(candidate: Candidate, context: Context) -> GateResult:
    """Block if the workload has the maximum number of rolls in progress."""
    workload = candidate.workload
    if workload is None:
        return GateResult("", NONE, NONE)
    index = index_of(context)
    count = sum(1 for r in index.rolls_of(workload) if r.active) + len(index.planned_of(workload))
    maximum = context.spec.roll.max_concurrent.to_count(workload.controller_replicas)
    message = ""
    if count >= maximum:
        message = f"{count} of at most {maximum} concurrent rolls of {workload.owner} are in progress"
    return GateResult(message, f"{count} in progress", f"under {maximum}")


def check_cooldown(candidate: Candidate, context: Context) -> GateResult:
    """Block if a roll of the workload has ended recently."""
    pause = context.spec.roll.cooldown
    required = f"{format_duration(pause)} ago or more"
    last = max((_ended_at(r) for r in index_of(context).rolls_of(candidate.workload) if not r.active), default=None)
    if last is None:
        return GateResult("", "no roll has ended", required)
    message = f"cooling down until {rfc3339(last + pause)}" if context.now < last + pause else ""
    ago = humanize_duration((context.now - last).total_seconds())
    return GateResult(message, f"the last roll ended {ago} ago", required)


def check_failure_backoff(candidate: Candidate, context: Context) -> GateResult:
    """Block while the pause after failed rolls of the workload lasts; it doubles with each failure in a row."""
    ended = sorted((r for r in index_of(context).rolls_of(candidate.workload) if not r.active), key=_ended_at)
    failures = 0
    for roll in reversed(ended):
        if roll.status.phase is not Phase.FAILED:
            break
        failures += 1
    if not failures:
        return GateResult("", "the last roll did not fail", NONE)
    first_pause = max(MIN_FAILURE_PAUSE, context.spec.roll.cooldown)
    pause = min(MAX_FAILURE_PAUSE, first_pause * 2 ** min(failures - 1, MAX_DOUBLINGS))
    next_at = _ended_at(ended[-1]) + pause
    message = f"{failures} failed rolls in a row: next attempt at {rfc3339(next_at)}" if context.now < next_at else ""
    ago = humanize_duration((context.now - _ended_at(ended[-1])).total_seconds())
    return GateResult(
        message, f"{failures} failed in a row, the last {ago} ago", f"{format_duration(pause)} ago or more"
    )


def check_budgets(_: Candidate, context: Context) -> GateResult:
    """Block if any budget is spent; the message names the one that is free last."""
    return budget_state(context)


def budget_state(context: Context) -> GateResult:
    """Return the state of the policy's budgets, which is the same for all of its pods."""
    usages = [_usage(limit, context) for limit in budget_limits(context)]
    if not usages:
        return GateResult("", NONE, NONE)
    limit, count, free_at = max(usages, key=lambda usage: (usage[2], usage[1] - usage[0].max_rolls))
    until = "" if free_at == FOREVER else f" until {rfc3339(free_at)}"
    message = f"the budget of {limit} is spent{until}" if free_at > context.now else ""
    return GateResult(message, f"{count} rolls", f"under {limit}")


def _usage(limit: BudgetLimit, context: Context) -> tuple[BudgetLimit, int, datetime]:
    """Return a budget, the number of rolls that count against it, and the time at which it allows another one."""
    times = [at for at in used_times(context) if at > context.now - limit.per]
    planned = len(index_of(context).planned)
    count = len(times) + planned
    if count < limit.max_rolls:
        return limit, count, context.now
    free_at = rate_limit.next_free_at(times, planned, limit.max_rolls, limit.per, context.now)
    return limit, count, free_at or FOREVER


def check_maintenance_window(candidate: Candidate, context: Context) -> GateResult:
    """Block outside the maintenance windows, unless the schedule found that the pod can't wait for the next one."""
    windows = context.spec.roll.maintenance_windows
    if windows is None:
        return GateResult("", NONE, NONE)
    intervals = open_intervals(windows, context.now)
    if intervals.is_open or candidate.outside_window_because:
        return GateResult("", candidate.outside_window_because or _current_state(intervals), "open")
    if intervals.opens is None:
        return GateResult(intervals.error or "the maintenance windows never open", "never open", "open")
    holds = windows.when_limit_comes_first is WhenLimitComesFirst.HOLD
    too_late = HOLD_CONSEQUENCE if holds and _reaches_limit_by(intervals.opens, candidate, context) else ""
    message = f"outside the maintenance windows: the next one opens at {rfc3339(intervals.opens)}{too_late}"
    return GateResult(message, _current_state(intervals), "open")


def _current_state(intervals: OpenIntervals) -> str:
    change = intervals.closes if intervals.is_open else intervals.opens
    return ("open" if intervals.is_open else "closed") + (f" until {rfc3339(change)}" if change else "")


def _reaches_limit_by(at: datetime, candidate: Candidate, context: Context) -> bool:
    """Return whether the pod will have reached its limit at that time."""
    left_s = candidate.verdict.time_to_limit_s
    return left_s is not None and left_s <= (at - context.now).total_seconds()


def check_rate_limit(_: Candidate, context: Context) -> GateResult:
    """Block if the operator or the namespace has made its maximum number of rolls within an hour."""
    recent = context.recent_rolls
    if recent is None:
        return GateResult("", "not counted: no roll is planned", NONE)
    planned = len(index_of(context).planned)
    return rate_limit.check(context.rate_limit, recent, context.watched_pods, planned, context.now)


def check_canary(candidate: Candidate, context: Context) -> GateResult:
    """Block all but one pod if most of a workload is at risk at once, until the first roll proves effective.

    A pod whose deadline, or whose peer's deadline, would be missed is not blocked: no comparison is ready in time.
    """
    workload = candidate.workload
    if workload is None:
        return GateResult("", NONE, NONE)
    replicas = workload.controller_replicas
    at_risk = index_of(context).at_risk[candidate.pod.controller]
    observed = f"{at_risk} of {replicas} pods are at risk"
    if replicas < MIN_CANARY_REPLICAS or at_risk <= MAX_AT_RISK_RATIO * replicas:
        return GateResult("", observed, "at most half")
    canary = _pending_canary(candidate, context)
    waits = bool(canary) and not (candidate.verdict.due or candidate.holds_up_queue)
    message = f"{observed} at once: waiting until the roll of {canary} proves effective" if waits else ""
    return GateResult(message, observed, "at most half, or an effective roll")


def _pending_canary(candidate: Candidate, context: Context) -> str:
    """Return the pod whose roll has not proved effective yet; empty if one has, or if none has begun."""
    since = context.now - context.spec.growth.window - context.spec.growth.for_
    recent = [
        r
        for r in index_of(context).rolls_of(candidate.workload)
        if r.active or (r.status.phase is Phase.SUCCEEDED and _ended_at(r) > since)
    ]
    if any(_is_effective(r, context) for r in recent):
        return ""
    planned = index_of(context).planned_of(candidate.workload)[:1]
    return next(iter((*(r.spec.pod_name for r in recent), *(c.pod.key.name for c in planned))), "")


def _is_effective(roll: RollRecord, context: Context) -> bool:
    """Return whether the comparison has shown an effect or, without a result, the replacement is healthy."""
    result = roll.status.effect.result if roll.status.effect else None
    if result is not None:
        return result is not EffectResult.INEFFECTIVE
    replacement = roll.status.replacement
    return not roll.active and replacement is not None and replacement.uid in context.healthy


def _ended_at(roll: RollRecord) -> datetime:
    return roll.status.times.finished or roll.created_at
