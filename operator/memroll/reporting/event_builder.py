"""Events about outcomes and roll steps: on the pod, on its workload, on the PodRoll and on the policy.

The controllers pass in the outcome of each reconcile and each step of a roll, and publish the returned Events.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from memroll.api import API_VERSION
from memroll.api.evidence import EvidenceSection
from memroll.api.pod_roll import EffectResult, Phase
from memroll.api.quantity import humanize_duration
from memroll.api.roll_spec import Strategy
from memroll.detection.assessment import OTHER_MEMORY_REMEDY, describe_growth
from memroll.detection.reasons import VerdictReason
from memroll.errors import InternalError, PrometheusUnavailableError, TerminalError
from memroll.evidence.describe import describe_evidence
from memroll.planning.gate_result import Gate
from memroll.reporting.event_groups import PodFinding, group_findings
from memroll.reporting.event_objects import about_pod, about_policy
from memroll.reporting.events import Event, EventReason, EventType, Regarding
from memroll.reporting.limit_suggestions import new_suggestions
from memroll.reporting.plan_findings import blocked_finding, dry_run_finding
from memroll.reporting.status import describe_missing_target
from memroll.rolling.reasons import BLOCKED_BY_PDB, DRAIN_METRIC_MISSING, INTERNAL_ERROR, STILL_RELEASED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.api.pod_roll import PodRoll, PodRollStatus
    from memroll.api.policy import MemoryPolicy
    from memroll.detection.assessment import Assessment
    from memroll.detection.verdict import ContainerVerdict
    from memroll.reporting.outcome import Outcome

GATES_WITHOUT_EVENTS = frozenset(
    {
        Gate.POLICY_SUSPENDED,
        Gate.OBSERVE_ONLY,
        Gate.NOT_LEADER,
        Gate.POD_TERMINATING,
        Gate.POD_RELEASED,
        Gate.ROLL_IN_PROGRESS,
        Gate.DRY_RUN,
        Gate.NOT_DUE,
    }
)
"""Gates that block in normal operation: status contains them, no Event does."""
EVENTED_REASONS = frozenset(
    {VerdictReason.NO_MEMORY_LIMIT, VerdictReason.NO_DATA, VerdictReason.NO_RSS, VerdictReason.STALE_DATA}
)
"""Reasons of inconclusive verdicts that need a person's action; the others end without one."""

WARNED_REASONS = MappingProxyType(
    {BLOCKED_BY_PDB: EventReason.EVICTION_BLOCKED, DRAIN_METRIC_MISSING: EventReason.DRAIN_METRIC_MISSING}
)
"""Events of the reasons for which a roll waits and a person can do something."""


def outcome_events(outcome: Outcome) -> Iterator[Event]:
    """Build the Events of one reconcile of a policy."""
    policy = about_policy(outcome.policy)
    if outcome.error is not None:
        yield from _error_events(policy, outcome)
        return
    if not (outcome.watched_pods or outcome.conflicting_pods or outcome.policy.spec.suspend):
        text = f"No pod is watched: {describe_missing_target(outcome)}"
        yield Event(policy, EventType.WARNING, EventReason.TARGET_NOT_FOUND, text)
    for found in outcome.misconfigurations or ():
        text = f"{found.message[0].upper()}{found.message[1:]}"
        yield Event(policy, EventType.WARNING, EventReason.POLICY_MISCONFIGURED, text, found.reason.value)
    # The most urgent pods first: one Event about many pods names the first ones.
    urgent = sorted(outcome.assessments, key=lambda a: (not a.verdict.due, a.verdict.remaining_s))
    yield from group_findings(policy, filter(None, (_assessment_finding(policy, a) for a in urgent)))
    yield from _suggestion_events(policy, outcome)
    blocked = (b for b in outcome.plan.blocked if b.candidate.due and b.gate not in GATES_WITHOUT_EVENTS)
    yield from group_findings(policy, map(blocked_finding, blocked))
    yield from group_findings(policy, (dry_run_finding(outcome.policy, c) for c in outcome.plan.dry_runs))
    yield from _pace_events(policy, outcome)
    for roll in outcome.measured_rolls:
        yield from _effect_events(roll, outcome.policy)


def invalid_policy_event(namespace: str, name: str, uid: str, message: str) -> Event:
    """Build the Event about a policy that can't be read."""
    regarding = Regarding(API_VERSION, "MemoryPolicy", namespace, name, uid)
    return Event(regarding, EventType.WARNING, EventReason.POLICY_INVALID, message, "Invalid")


def _suggestion_events(policy: Regarding, outcome: Outcome) -> Iterator[Event]:
    """Build the Events about new suggestions, one for each container."""
    for suggestion in new_suggestions(outcome):
        text = f"{suggestion.workload}, container {suggestion.container}: {suggestion.message}"
        subject = f"{suggestion.workload}/{suggestion.container}"
        yield Event(policy, EventType.NORMAL, EventReason.LIMIT_SUGGESTED, text, subject)


def _pace_events(policy: Regarding, outcome: Outcome) -> Iterator[Event]:
    """Build the Events about limits that delay rolls."""
    limited = next((b.message for b in outcome.plan.blocked if b.gate is Gate.RATE_LIMITED), "")
    if limited:
        text = f"{limited[0].upper()}{limited[1:]}"
        yield Event(policy, EventType.WARNING, EventReason.ROLL_RATE_LIMITED, text)
    shortfall = outcome.plan.shortfall
    if shortfall is not None:
        text = f"{shortfall.message[0].upper()}{shortfall.message[1:]}"
        yield Event(policy, EventType.WARNING, EventReason.CANNOT_KEEP_UP, text, shortfall.reason)


def _error_events(policy: Regarding, outcome: Outcome) -> Iterator[Event]:
    error = outcome.error
    if isinstance(error, PrometheusUnavailableError):
        text = f"No pod is assessed or rolled: {error.message}"
        yield Event(policy, EventType.WARNING, EventReason.PROMETHEUS_UNAVAILABLE, text, error.reason)
    elif isinstance(error, InternalError):
        text = f"No pod is assessed or rolled: {error.message}"
        yield Event(policy, EventType.WARNING, EventReason.INTERNAL_ERROR, text)
    elif isinstance(error, TerminalError):
        yield Event(policy, EventType.WARNING, EventReason.POLICY_INVALID, error.message, error.reason)


def _assessment_finding(policy: Regarding, assessment: Assessment) -> PodFinding | None:
    """Return the Events about a container, None if it needs none: on its pod, if the pod is at risk on the policy."""
    verdict, container = assessment.verdict, assessment.container
    pod, name, on_policy = about_pod(assessment.pod), container.name, False
    type_, subject = EventType.WARNING, container.name
    if verdict.is_at_risk:
        reason, verb = _risk(verdict)
        text, on_policy = f"Container {name} {verb}: {describe_growth(assessment)}", True
    elif assessment.is_reported_only:
        reason, on_policy = EventReason.OTHER_MEMORY_GROWS, True
        text = f"Container {name} runs out of memory outside of its processes: {assessment.message}; "
        text += f"{OTHER_MEMORY_REMEDY}. With exhaustion.otherMemory: Roll its pod would be rolled"
    elif verdict.is_suspected:
        type_, reason = EventType.NORMAL, EventReason.LEAK_SUSPECTED
        text = f"Container {name} may leak: {assessment.message}"
    elif verdict.is_inconclusive and verdict.reason in EVENTED_REASONS:
        reason, subject = EventReason.INSUFFICIENT_DATA, f"{name}/{verdict.reason}"
        text = f"Container {name} can't be assessed: {assessment.message}"
    else:
        return None
    named = f"Pod {pod.name}: {text[0].lower()}{text[1:]}"
    events = [Event(pod, type_, reason, text, subject)]
    if on_policy:
        events.append(Event(policy, type_, reason, named, f"{pod.uid}/{name}"))
    cause = verdict.reason.value if reason is EventReason.INSUFFICIENT_DATA else ""
    return PodFinding(pod.name, named, tuple(events), cause)


def _risk(verdict: ContainerVerdict) -> tuple[EventReason, str]:
    """Return the reason and the verb for a container at risk; only a confirmed leak is called a leak."""
    if verdict.is_confirmed_leak:
        return EventReason.LEAK_CONFIRMED, "leaks"
    if verdict.is_above_threshold:
        return EventReason.MEMORY_EXHAUSTING, "uses too much memory"
    return EventReason.MEMORY_EXHAUSTING, "runs out of memory"


def roll_step_events(before: PodRollStatus, roll: PodRoll, policy: MemoryPolicy | None) -> Iterator[Event]:
    """Build the Events of a step that changed a roll's status from `before` to its current one."""
    for described in (_describe_step(before, roll), _describe_evidence(before, roll), _describe_failure(before, roll)):
        if described is None:
            continue
        type_, reason, text = described
        for regarding in _involved(roll, policy):
            yield Event(regarding, type_, reason, text, roll.uid)


def _describe_step(before: PodRollStatus, roll: PodRoll) -> tuple[EventType, EventReason, str] | None:
    status = roll.status
    waits_for = WARNED_REASONS.get(status.reason) if before.reason != status.reason else None
    if waits_for is not None:
        return EventType.WARNING, waits_for, f"Pod {roll.spec.pod_name}: {status.message}"
    if before.phase is None and status.phase in (Phase.ANNOUNCED, Phase.CAPTURING_EVIDENCE):
        return _describe_announcement(roll)
    return None if before.phase == status.phase else _describe_phase(roll)


def _describe_announcement(roll: PodRoll) -> tuple[EventType, EventReason, str]:
    why = roll.spec.reason or "The PodRoll was created by hand"
    strategy = f"{roll.status.strategy}: {roll.status.strategy_reason}"
    return EventType.NORMAL, EventReason.ROLL_ANNOUNCED, f"Replacing pod {roll.spec.pod_name} ({strategy}). {why}"


def _describe_failure(before: PodRollStatus, roll: PodRoll) -> tuple[EventType, EventReason, str] | None:
    """Describe the first of consecutive steps that a bug has ended; None for all others."""
    failure = roll.status.step_failure
    if failure is None or before.step_failure is not None:
        return None
    return EventType.WARNING, EventReason.INTERNAL_ERROR, f"The roll of pod {roll.spec.pod_name}: {failure.message}"


def _describe_evidence(before: PodRollStatus, roll: PodRoll) -> tuple[EventType, EventReason, str] | None:
    """Describe new evidence; None if there is none."""
    new = roll.status.evidence
    if new is None or before.evidence is not None or any(m.section is EvidenceSection.ALL for m in new.missing):
        return None
    return EventType.NORMAL, EventReason.EVIDENCE_CAPTURED, describe_evidence(roll.spec.pod_name, new)


def _describe_phase(roll: PodRoll) -> tuple[EventType, EventReason, str] | None:
    """Describe the phase that a roll has just entered; None if it needs no Event."""
    status, pod = roll.status, roll.spec.pod_name
    match status.phase:
        case Phase.DRAINING:
            return EventType.NORMAL, EventReason.DRAINING, f"Pod {pod} gets no new connections: {status.message}"
        case Phase.EVICTING if _begins_eviction_of_replaced_pod(status):
            name = status.replacement.name if status.replacement else ""
            text = f"Replacement {name} of pod {pod} is Ready: evicting the old pod"
            return EventType.NORMAL, EventReason.REPLACEMENT_READY, text
        case Phase.SUCCEEDED:
            return EventType.NORMAL, EventReason.POD_ROLLED, _describe_success(roll)
        case Phase.FAILED if _is_restored(status):
            text = f"The roll of pod {pod} was rolled back: {status.message}"
            return EventType.WARNING, EventReason.ROLL_REVERTED, text
        case Phase.FAILED:
            return EventType.WARNING, EventReason.ROLL_FAILED, f"The roll of pod {pod} failed: {status.message}"
        case Phase.ABORTED:
            return EventType.NORMAL, EventReason.ROLL_ABORTED, f"The roll of pod {pod} was stopped: {status.message}"
        case _:
            return None


def _is_restored(status: PodRollStatus) -> bool:
    """Return whether the pod of a failed roll was released and is restored: it is neither gone nor still released."""
    is_unknown = status.reason in (STILL_RELEASED, INTERNAL_ERROR)
    return status.release is not None and status.times.verifying is None and not is_unknown


def _begins_eviction_of_replaced_pod(status: PodRollStatus) -> bool:
    """Return whether a surge is about to evict the old pod; after a drain, the Event Draining has reported it."""
    is_drained = status.detachment is not None and bool(status.detachment.labels)
    return status.strategy is Strategy.SURGE and status.replacement is not None and not is_drained


def _describe_success(roll: PodRoll) -> str:
    status = roll.status
    times = status.times
    took = ""
    if times.finished and times.announced:
        took = f" in {humanize_duration((times.finished - times.announced).total_seconds())}"
    by = f" by {status.replacement.name}" if status.replacement else ""
    reason = f" ({roll.spec.reason})" if roll.spec.reason else ""
    return f"Pod {roll.spec.pod_name} was replaced{by}{took}{reason}"


def _effect_events(roll: PodRoll, policy: MemoryPolicy) -> Iterator[Event]:
    """Build the Events about a roll that was ineffective or did not stop the leak. The old pod is gone by then."""
    effect, pod = roll.status.effect, roll.spec.pod_name
    match effect.result if effect else None:
        case EffectResult.INEFFECTIVE:
            reason = EventReason.ROLL_INEFFECTIVE
            text = f"The roll of pod {pod} was ineffective, and further rolls of its workload are paused"
        case EffectResult.LEAK_PERSISTS:
            reason, text = EventReason.LEAK_PERSISTS, f"The replacement of pod {pod} leaks as well"
        case _:
            return
    for regarding in _involved(roll, policy):
        if regarding.kind != "Pod":
            yield Event(regarding, EventType.WARNING, reason, f"{text}: {effect.message if effect else ''}", roll.uid)


def _involved(roll: PodRoll, policy: MemoryPolicy | None) -> Iterator[Regarding]:
    status = roll.status
    yield Regarding(API_VERSION, "PodRoll", roll.namespace, roll.name, roll.uid)
    if status.pod_uid:
        yield Regarding("v1", "Pod", roll.namespace, roll.spec.pod_name, status.pod_uid)
    if status.workload:
        ref = status.workload
        yield Regarding(ref.api_version, ref.kind, roll.namespace, ref.name, status.workload_uid)
    if policy is not None:
        yield about_policy(policy)
