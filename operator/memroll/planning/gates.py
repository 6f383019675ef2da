"""Gates: the named reasons to hold a roll. The order of `GATES` is the order in which they are asked.

Each gate answers with the words that a person reads when it holds, and always with what it looked at and what it asks
for. A gate never touches anything and never knows the others. Those of the pod and its policy are here, those of the
pace in pacing.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.policy import Mode
from memroll.api.quantity import about
from memroll.model.pods import ROLL_ANNOTATION
from memroll.planning.answer import Answer
from memroll.planning.effectiveness_gate import on_hold
from memroll.planning.gate_result import NOTHING, Finding, ask, in_words
from memroll.planning.rate_gates import (
    backing_off,
    budget,
    concurrency,
    cooldown,
    fleet,
    outside_windows,
    runaway_guard,
)
from memroll.rolling.protection import protection
from memroll.rolling.strategy import Refusal, choose

if TYPE_CHECKING:
    from memroll.planning.candidate import Candidate, Context
    from memroll.planning.gate_result import Gate


def suspended(_: Candidate, context: Context) -> Answer:
    is_so = context.spec.suspend
    return Answer("the policy is suspended" if is_so else "", f"suspend: {str(is_so).lower()}", "suspend: false")


def observing(_: Candidate, context: Context) -> Answer:
    mode = context.spec.mode
    words = "the policy observes only (mode: Observe)" if mode is Mode.OBSERVE else ""
    return Answer(words, f"mode: {mode}", f"mode: {Mode.ENFORCE}")


def not_leading(_: Candidate, context: Context) -> Answer:
    words = "" if context.leads else "this process does not hold the Lease: another one acts"
    return Answer(words, "leader" if context.leads else "standby", "leader")


def leaving(candidate: Candidate, _: Context) -> Answer:
    is_so = candidate.target.deleting
    return Answer("the pod is already being deleted" if is_so else "", "deleting" if is_so else "stays", "stays")


def released(candidate: Candidate, _: Context) -> Answer:
    words = "a roll of this pod is under way" if candidate.target.released else ""
    return Answer(words, candidate.target.annotations.get(ROLL_ANNOTATION, NOTHING), NOTHING)


def rolling(candidate: Candidate, context: Context) -> Answer:
    uid = candidate.target.key.uid
    name = next((r.name for r in context.rolls if r.active and r.pod_uid == uid), "")
    return Answer(f"PodRoll {name} is under way" if name else "", name or NOTHING, NOTHING)


def not_due(candidate: Candidate, _: Context) -> Answer:
    left, lead = candidate.breach.time_to_limit_s, candidate.breach.lead_s
    value = f"{about(left)} to the limit" if left is not None else "no memory limit"
    threshold = f"within {about(lead)} of it" if lead is not None else "a deadline"
    return Answer("" if candidate.due else _why_not_due(candidate), value, threshold)


def _why_not_due(candidate: Candidate) -> str:
    left, lead = candidate.breach.time_to_limit_s, candidate.breach.lead_s
    if left is None:
        return "not due: without a memory limit there is no deadline"
    if lead is None or left <= lead:
        return f"not due: {candidate.breach.message}"
    by = f", from {rfc3339(candidate.start_by)} on" if candidate.start_by is not None else ""
    return f"not due: {about(left)} to the limit, rolled within {about(lead)} of it{by}"


def protected(candidate: Candidate, context: Context) -> Answer:
    words = protection(candidate.target.annotations, context.namespace_annotations, context.now)
    return Answer(words, words or NOTHING, NOTHING)


def not_ready(candidate: Candidate, _: Context) -> Answer:
    target = candidate.target
    words = "" if target.ready else "the pod is not Ready: replacing it might hide another trouble"
    return Answer(words, "Ready" if target.ready else f"{target.phase}, not Ready", "Ready")


def refused(candidate: Candidate, context: Context) -> Answer:
    wanted, permits = context.spec.roll.strategy, context.permits
    choice = choose(wanted, candidate.target, candidate.workload, permits, candidate.hash_selected_by)
    if isinstance(choice, Refusal):
        return Answer(choice.reason, "no strategy", "a strategy")
    return Answer("", f"{choice.strategy}: {choice.reason}", "a strategy")


def mid_rollout(candidate: Candidate, _: Context) -> Answer:
    words = candidate.workload.mid_rollout if candidate.workload else ""
    return Answer(words, words or NOTHING, NOTHING)


GATES: tuple[Gate, ...] = (
    suspended,
    observing,
    not_leading,
    leaving,
    released,
    rolling,
    not_due,
    protected,
    not_ready,
    refused,
    mid_rollout,
    concurrency,
    cooldown,
    backing_off,
    budget,
    outside_windows,
    runaway_guard,
    fleet,
    in_words(on_hold),
)


def first_hold(candidate: Candidate, context: Context) -> tuple[str, str] | None:
    """Return the name of the first gate that holds, with its words, or None; those after it are not asked."""
    findings = (ask(gate, candidate, context) for gate in GATES)
    return next(((f.gate, f.words) for f in findings if f.holds), None)


def explain(candidate: Candidate, context: Context) -> tuple[Finding, ...]:
    """Ask all gates, also those after the first that holds. The candidate needs its workload."""
    return tuple(ask(gate, candidate, context) for gate in GATES)
