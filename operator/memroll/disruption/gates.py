"""Gates: the named reasons to hold a roll. The order of `GATES` is the order in which they are asked.

Each gate answers with the words that a person reads, or with nothing to let the pod pass. A gate never
touches anything and never knows the others.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.policy import Mode
from memroll.api.quantity import about, format_duration
from memroll.api.roll import Phase, PodRoll
from memroll.disruption.candidate import same_workload
from memroll.disruption.strategy import Refusal, choose
from memroll.disruption.target import PROTECT_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from memroll.disruption.candidate import Candidate, Context

    Gate = Callable[[Candidate, Context], str | None]

HOLD_CHARS_MAX = 256
BACK_OFF_LEAST = timedelta(seconds=30)
BACK_OFF_MOST = timedelta(hours=6)
FOREIGN_MARKS = {
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
}


def not_due(candidate: Candidate, _: Context) -> str | None:
    left, lead = candidate.breach.time_to_limit_s, candidate.breach.lead_s
    if candidate.due:
        return None
    if left is None:
        return "not due: without a memory limit there is no deadline"
    if lead is not None and left > lead:
        return f"not due: {about(left)} to the limit, rolled within {about(lead)} of it"
    return f"not due: {candidate.breach.message}"[:HOLD_CHARS_MAX]


def observing(_: Candidate, context: Context) -> str | None:
    return "the policy observes only (mode: Observe)" if context.spec.mode is Mode.OBSERVE else None


def suspended(_: Candidate, context: Context) -> str | None:
    return "the policy is suspended" if context.spec.suspend else None


def leaving(candidate: Candidate, _: Context) -> str | None:
    return "the pod is already being deleted" if candidate.target.deleting else None


def not_ready(candidate: Candidate, _: Context) -> str | None:
    return None if candidate.target.ready else "the pod is not Ready: replacing it might hide another trouble"


def released(candidate: Candidate, _: Context) -> str | None:
    return "a roll of this pod is under way" if candidate.target.released else None


def protected(candidate: Candidate, context: Context) -> str | None:
    marks = (("pod", candidate.target.annotations), ("namespace", context.namespace_annotations))
    for where, marked in marks:
        until = _protected_until(marked, context.now)
        if until:
            return f"the {where} is protected {until}"
    for name, value in FOREIGN_MARKS.items():
        if candidate.target.annotations.get(name) == value:
            return f"the pod is marked {name}: {value}"
    return None


def refused(candidate: Candidate, context: Context) -> str | None:
    choice = choose(context.spec.roll.strategy, candidate.target, candidate.workload, context.permits)
    return choice.reason if isinstance(choice, Refusal) else None


def mid_rollout(candidate: Candidate, _: Context) -> str | None:
    return candidate.workload.mid_rollout or None if candidate.workload else None


def rolling(candidate: Candidate, context: Context) -> str | None:
    for roll in context.rolls:
        if roll.active and roll.pod_uid == candidate.target.key.uid:
            return f"PodRoll {roll.name} is under way"
    return None


def concurrency(candidate: Candidate, context: Context) -> str | None:
    if candidate.workload is None:
        return None
    active = [r for r in _of_workload(candidate, context.rolls) if r.active]
    planned = [c for c in context.planned if c.workload and c.workload.top == candidate.workload.top]
    allowed = context.spec.roll.max_concurrent.of(candidate.workload.desired)
    if len(active) + len(planned) < allowed:
        return None
    return (
        f"{len(active) + len(planned)} of at most {allowed} concurrent rolls of {candidate.workload.top} are under way"
    )


def cooldown(candidate: Candidate, context: Context) -> str | None:
    ended = [_ended(r) for r in _of_workload(candidate, context.rolls) if not r.active]
    if not ended:
        return None
    free = max(ended) + context.spec.roll.cooldown
    return f"cooling down until {rfc3339(free)}" if context.now < free else None


def backing_off(candidate: Candidate, context: Context) -> str | None:
    """Hold a workload whose last rolls failed: twice as long after each failure in a row."""
    ended = sorted((r for r in _of_workload(candidate, context.rolls) if not r.active), key=_ended)
    failures = 0
    for roll in reversed(ended):
        if roll.status.phase is not Phase.FAILED:
            break
        failures += 1
    if not failures:
        return None
    pause = min(BACK_OFF_MOST, max(BACK_OFF_LEAST, context.spec.roll.cooldown) * 2 ** min(failures - 1, 20))
    free = _ended(ended[-1]) + pause
    if context.now >= free:
        return None
    return f"{failures} failed rolls in a row: tried again at {rfc3339(free)}"


def budget(_: Candidate, context: Context) -> str | None:
    """Every budget holds on its own. Rolls that never touched a pod are not counted."""
    for limit in context.spec.roll.budgets:
        since = context.now - limit.per
        spent = [
            r
            for r in context.rolls
            if r.spec.policy == context.policy and r.created_at > since and r.status.phase is not Phase.ABORTED
        ]
        if len(spent) + len(context.planned) >= limit.rolls:
            return f"the budget of {limit.rolls} rolls per {format_duration(limit.per)} is spent"
    return None


GATES: tuple[Gate, ...] = (
    suspended,
    observing,
    leaving,
    released,
    rolling,
    not_due,
    not_ready,
    protected,
    refused,
    mid_rollout,
    concurrency,
    cooldown,
    backing_off,
    budget,
)


def first_hold(candidate: Candidate, context: Context) -> tuple[str, str] | None:
    """Return the name of the first gate that holds, with its words, or None."""
    for gate in GATES:
        words = gate(candidate, context)
        if words:
            return gate.__name__, words
    return None


def _of_workload(candidate: Candidate, rolls: Iterable[PodRoll]) -> list[PodRoll]:
    workload = candidate.workload
    return [r for r in rolls if workload is not None and same_workload(workload, r)]


def _ended(roll: PodRoll) -> datetime:
    return roll.status.times.finished or roll.created_at


def _protected_until(annotations: Mapping[str, str], now: datetime) -> str | None:
    """Read `memroll.dev/protect`: "true", or a time until when. What can't be read protects."""
    value = annotations.get(PROTECT_ANNOTATION)
    if value is None or value == "false":
        return None
    try:
        until = datetime.fromisoformat(value)
    except ValueError:
        return f"({PROTECT_ANNOTATION}: {value[:40]!r})"
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return f"until {rfc3339(until)}" if now < until else None
