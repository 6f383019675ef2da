"""Holds: a pod that is not Ready, or whose workload is in a rollout, waits; near its limit the policy decides. Pure.

A hold ends when the pod is Ready, or the rollout is complete. If the pod would reach its limit before, the policy's
choice applies: `Hold` waits and is reported (condition `RollsBlocked`), `Evict` evicts the pod. The gates `PodNotReady`
and `RolloutInProgress` report the holds; `plan` marks the candidates, and the PodRoll has the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.api.quantity import humanize_duration
from memroll.api.roll_spec import HoldOrEvict
from memroll.rolling.eviction_choice import not_evicted_because

if TYPE_CHECKING:
    from memroll.planning.candidate import Candidate, Context

MAX_CAUSE_CHARS = 150
"""Maximum length of a hold's cause in a gate's message, in characters: the remedy follows it. Chosen by hand."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Reason to wait with the roll of a pod, and the policy's choice for a pod near its limit."""

    cause: str
    concern: str
    """Reason for waiting, which the message contains while the pod has time."""
    field: str
    """Field of the policy that has the choice."""
    choice: HoldOrEvict


def readiness_hold(candidate: Candidate, context: Context) -> Hold | None:
    """Return the hold of a pod that is not Ready."""
    choice, concern = context.spec.roll.when_not_ready, "replacing it might hide another problem"
    return None if candidate.pod.ready else Hold("the pod is not Ready", concern, "roll.whenNotReady", choice)


def rollout_hold(candidate: Candidate, context: Context) -> Hold | None:
    """Return the hold of a pod whose workload is in a rollout."""
    rollout = candidate.workload.rollout_of(candidate.pod) if candidate.workload else ""
    return Hold(rollout, "", "roll.duringRollout", context.spec.roll.during_rollout) if rollout else None


def last_chance_s(candidate: Candidate, context: Context) -> float:
    """Return the time to the limit in seconds from which a hold may cost the pod its last chance to be evicted.

    One more reconcile must fit before the limit, and then the roll: `interval` plus the duration of a roll, which is
    at least another `interval`, because the predicted time changes from one reconcile to the next.
    """
    interval_s = context.spec.interval.total_seconds()
    return interval_s + max(interval_s, context.roll_durations.of_pod_s(candidate.pod))


def is_limit_near(candidate: Candidate, context: Context) -> bool:
    """Return whether a pod that is due may reach its limit before the next reconcile could have it evicted."""
    return candidate.due and candidate.verdict.remaining_s <= last_chance_s(candidate, context)


def describe(hold: Hold | None, candidate: Candidate, context: Context) -> str:
    """Return why a hold blocks the roll, with the remedy; empty if it does not."""
    if hold is None:
        return ""
    near, impossible = is_limit_near(candidate, context), not_evicted_because(candidate.workload)
    if not near and hold.choice is HoldOrEvict.HOLD:
        return ": ".join(part for part in (hold.cause, hold.concern) if part)
    if not near:
        left = humanize_duration(last_chance_s(candidate, context))
        outcome = f"evicted when {left} to the limit are left ({hold.field}: Evict)"
    elif impossible:
        outcome = f"its limit is near, but it is not evicted: {impossible}"
    elif hold.choice is HoldOrEvict.HOLD:
        outcome = f"its limit is near: set {hold.field}: Evict to evict it before"
    else:
        return ""
    return f"{hold.cause[:MAX_CAUSE_CHARS]}; {outcome}"


def mark(candidate: Candidate, context: Context) -> Candidate:
    """Return the candidate with what its holds, if it has any, mean for its roll."""
    holds = [h for h in (readiness_hold(candidate, context), rollout_hold(candidate, context)) if h]
    if not holds or not is_limit_near(candidate, context):
        return candidate
    is_blocked = any(describe(hold, candidate, context) for hold in holds)
    causes = " and ".join(f"{hold.cause} ({hold.field}: Evict)" for hold in holds)
    evicted_because = "" if is_blocked else f"evicted before its limit although {causes}"
    return replace(candidate, is_held_at_limit=is_blocked, evicted_because=evicted_because)
