"""Outcomes and roll steps as events: on the pod, on its workload and on the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api import API_VERSION
from memroll.api.evidence import Part
from memroll.api.pod_roll import Effect, Phase
from memroll.api.quantity import about
from memroll.detection.assessment import numbers
from memroll.detection.verdict import Breach, Code, Inconclusive, Told, told
from memroll.errors import PrometheusUnavailable, Stalled
from memroll.evidence.describe import in_words
from memroll.reporting.events import Event, EventType, Reason, Regarding
from memroll.reporting.status import no_target
from memroll.rolling.surge import HELD_BY_PDB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.api.pod_roll import PodRoll, RollStatus
    from memroll.api.policy import MemoryPolicy
    from memroll.detection.assessment import Assessment
    from memroll.model.pods import Target
    from memroll.planning.plan import Hold
    from memroll.reporting.outcome import Outcome

QUIET_GATES = frozenset({"not_due", "rolling", "released", "observing", "suspended", "leaving", "not_leading"})
"""Gates whose holds are everyday business: status shows them, no event does."""
RUNAWAY = "runaway_guard"
WORTH_TELLING = frozenset({Code.NO_MEMORY_LIMIT, Code.NO_DATA, Code.STALE_DATA})
"""Doubts that a person must end; the others end by themselves."""


def of_outcome(outcome: Outcome) -> Iterator[Event]:
    """Build the events of one pass over a policy."""
    policy = of_policy(outcome.policy)
    if outcome.trouble is not None:
        yield from _trouble(policy, outcome)
        return
    if not (outcome.targets or outcome.conflicts or outcome.policy.spec.suspend):
        text = f"Nothing to watch: {no_target(outcome)}"
        yield Event(policy, EventType.WARNING, Reason.TARGET_NOT_FOUND, text)
    for assessment in outcome.assessments:
        yield from _assessed(policy, assessment)
    for hold in outcome.plan.holds:
        if hold.candidate.due and hold.gate not in QUIET_GATES:
            yield from _held(hold)
    runaway = next((h.words for h in outcome.plan.holds if h.gate == RUNAWAY), "")
    if runaway:
        yield Event(policy, EventType.WARNING, Reason.RUNAWAY_GUARD, f"{runaway[0].upper()}{runaway[1:]}")
    for roll in outcome.learned:
        yield from _learned(roll, outcome.policy)


def _trouble(policy: Regarding, outcome: Outcome) -> Iterator[Event]:
    trouble = outcome.trouble
    if isinstance(trouble, PrometheusUnavailable):
        text = f"Nothing is judged or rolled: {trouble.message}"
        yield Event(policy, EventType.WARNING, Reason.PROMETHEUS_UNAVAILABLE, text, trouble.reason)
    elif isinstance(trouble, Stalled):
        yield Event(policy, EventType.WARNING, Reason.POLICY_INVALID, trouble.message, trouble.reason)


def _assessed(policy: Regarding, assessment: Assessment) -> Iterator[Event]:
    verdict = assessment.verdict
    pod, container = of_pod(assessment.target), assessment.container
    if isinstance(verdict, Breach):
        reason, verb = _headline(verdict)
        text = f"Container {container.name} {verb}: {numbers(assessment)}"
        yield Event(pod, EventType.WARNING, reason, text, container.name)
        named = f"Pod {pod.name}: {text[0].lower()}{text[1:]}"
        subject = f"{pod.uid}/{container.name}"
        yield Event(policy, EventType.WARNING, reason, named, subject)
    elif told(verdict) is Told.SUSPECTED:
        text = f"Container {container.name} may leak: {verdict.message}"
        yield Event(pod, EventType.NORMAL, Reason.LEAK_SUSPECTED, text, container.name)
    elif isinstance(verdict, Inconclusive) and verdict.code in WORTH_TELLING:
        text = f"Container {container.name} can't be judged: {verdict.message}"
        yield Event(pod, EventType.WARNING, Reason.NOT_ENOUGH_DATA, text, f"{container.name}/{verdict.code}")


def _headline(breach: Breach) -> tuple[Reason, str]:
    """Return what a breach is called: one that was never recognised as a leak, but is due, is not called one."""
    if told(breach) is Told.CONFIRMED:
        return Reason.LEAK_CONFIRMED, "leaks"
    return Reason.MEMORY_EXHAUSTING, "runs out of memory"


def _held(hold: Hold) -> Iterator[Event]:
    target = hold.candidate.target
    text = f"Due to be rolled, but {hold.words}"
    yield Event(of_pod(target), EventType.WARNING, Reason.ROLL_HELD, text, hold.gate)
    if hold.candidate.workload is not None:
        top = hold.candidate.workload.top
        regarding = Regarding(top.api_version, top.kind, target.key.namespace, top.name, top.uid)
        named = f"Pod {target.key.name} is due to be rolled, but {hold.words}"
        yield Event(regarding, EventType.WARNING, Reason.ROLL_HELD, named, f"{target.key.uid}/{hold.gate}")


def of_roll_step(before: RollStatus, roll: PodRoll, policy: MemoryPolicy | None) -> Iterator[Event]:
    """Build the events of a roll that has just moved from `before` to its present status."""
    for said in (_said(before, roll), _captured(before, roll)):
        if said is None:
            continue
        type_, reason, text = said
        for regarding in _involved(roll, policy):
            yield Event(regarding, type_, reason, text, roll.uid)


def _said(before: RollStatus, roll: PodRoll) -> tuple[EventType, Reason, str] | None:
    status = roll.status
    if before.reason != status.reason and status.reason == HELD_BY_PDB:
        return EventType.WARNING, Reason.EVICTION_BLOCKED, f"Pod {roll.spec.pod_name}: {status.message}"
    return None if before.phase == status.phase else _moved(roll)


def _captured(before: RollStatus, roll: PodRoll) -> tuple[EventType, Reason, str] | None:
    """Say what was found of the pod; nothing where nothing was captured."""
    found = roll.status.evidence
    if found is None or before.evidence is not None or any(m.part is Part.ALL for m in found.missing):
        return None
    return EventType.NORMAL, Reason.EVIDENCE_CAPTURED, in_words(roll.spec.pod_name, found)


def _moved(roll: PodRoll) -> tuple[EventType, Reason, str] | None:
    """Say what it means that the roll is in a new phase."""
    status, pod = roll.status, roll.spec.pod_name
    match status.phase:
        case Phase.ANNOUNCED:
            why = roll.spec.reason or "asked for by hand"
            return EventType.NORMAL, Reason.ROLL_ANNOUNCED, f"Replacing pod {pod} ({status.message}). {why}"
        case Phase.DRAINING:
            return EventType.NORMAL, Reason.DRAINING, f"Pod {pod} gets no new connections: {status.message}"
        case Phase.EVICTING if status.replacement and not (status.detachment and status.detachment.labels):
            text = f"Replacement {status.replacement.name} of pod {pod} is Ready: evicting the old pod"
            return EventType.NORMAL, Reason.REPLACEMENT_READY, text
        case Phase.SUCCEEDED:
            return EventType.NORMAL, Reason.POD_ROLLED, _rolled(roll)
        case Phase.FAILED if status.release:
            return EventType.WARNING, Reason.ROLL_ROLLED_BACK, f"Pod {pod} was kept: {status.message}"
        case Phase.FAILED:
            return EventType.WARNING, Reason.ROLL_FAILED, f"Pod {pod} was not rolled: {status.message}"
        case Phase.ABORTED:
            return EventType.NORMAL, Reason.ROLL_ABORTED, f"The roll of pod {pod} was stopped: {status.message}"
        case _:
            return None


def _rolled(roll: PodRoll) -> str:
    status = roll.status
    times = status.times
    took = ""
    if times.finished and times.announced:
        took = f" in {about((times.finished - times.announced).total_seconds())}"
    by = f" by {status.replacement.name}" if status.replacement else ""
    why = f" ({roll.spec.reason})" if roll.spec.reason else ""
    return f"Pod {roll.spec.pod_name} was replaced{by}{took}{why}"


def _learned(roll: PodRoll, policy: MemoryPolicy) -> Iterator[Event]:
    """Say once what a roll was worth when it was not worth what it should be. The old pod is gone by then."""
    memory, pod = roll.status.memory, roll.spec.pod_name
    match memory.effect if memory else None:
        case Effect.INEFFECTIVE:
            reason, head = Reason.ROLL_INEFFECTIVE, f"Rolling pod {pod} did not help, and is on hold for a while"
        case Effect.LEAK_PERSISTS:
            reason, head = Reason.LEAK_PERSISTS, f"The leak of pod {pod} is back in its replacement"
        case _:
            return
    text = f"{head}: {memory.message if memory else ''}"
    for regarding in _involved(roll, policy):
        if regarding.kind != "Pod":
            yield Event(regarding, EventType.WARNING, reason, text, roll.uid)


def _involved(roll: PodRoll, policy: MemoryPolicy | None) -> Iterator[Regarding]:
    status = roll.status
    yield Regarding(API_VERSION, "PodRoll", roll.namespace, roll.name, roll.uid)
    if status.pod_uid:
        yield Regarding("v1", "Pod", roll.namespace, roll.spec.pod_name, status.pod_uid)
    if status.workload:
        ref = status.workload
        yield Regarding(ref.api_version, ref.kind, roll.namespace, ref.name, status.workload_uid)
    if policy is not None:
        yield of_policy(policy)


def of_policy(policy: MemoryPolicy) -> Regarding:
    return Regarding(API_VERSION, "MemoryPolicy", policy.namespace, policy.name, policy.uid)


def of_pod(target: Target) -> Regarding:
    return Regarding("v1", "Pod", target.key.namespace, target.key.name, target.key.uid)
