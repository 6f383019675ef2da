"""Status of a policy: conditions, counts, the containers closest to their limit, the last rolls, the leak ledger.

The policy controller passes in the outcome of each reconcile and writes the returned status.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from memroll.api.base import MAX_REFERENCE_CHARS
from memroll.api.conditions import Condition, ConditionStatus, ConditionType, merge_conditions, new_condition
from memroll.api.evidence import MAX_NUMBER
from memroll.api.pod_roll import Phase
from memroll.api.policy import (
    MAX_AT_RISK,
    MAX_AUTOSCALERS,
    AtRiskPod,
    BlockedBy,
    Mode,
    PodCounts,
    PolicyStatus,
    WorkloadAutoscaler,
)
from memroll.api.quantity import humanize_duration
from memroll.errors import BoundExceededError, PrometheusUnavailableError, TerminalError
from memroll.planning.gate_result import MAX_GATE_MESSAGE_CHARS
from memroll.reporting.dry_runs import update_dry_runs
from memroll.reporting.leak_ledger import update_ledger
from memroll.reporting.limit_suggestions import find_suggestions, update_exits
from memroll.reporting.outcome import PodState, state_of
from memroll.reporting.recent_rolls import last_action, last_rolls, roll_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.detection.assessment import Assessment
    from memroll.reporting.outcome import Outcome

VERBS = {Mode.OBSERVE: "observing", Mode.DRY_RUN: "dry run: watching", Mode.ENFORCE: "watching"}
MAX_MESSAGE_CHARS = 1024
"""Maximum length of a verdict's message in status, in characters."""
SUSPENDED_MESSAGE = "suspended: no pod is assessed or rolled"
MAX_AT_RISK_NAMED = 10
"""Maximum number of pods that the condition AtRisk names."""
MAX_HELD_NAMED = 5
"""Maximum number of pods that the condition RollsBlocked names."""
MAX_CONFLICTS_NAMED = 5
"""Maximum number of pods that the condition Accepted names."""


def build_status(outcome: Outcome) -> PolicyStatus:
    """Return the complete new status; after an error, keep the parts that could not be determined again."""
    old = outcome.policy.status
    exits = update_exits(old.exits, outcome)
    dry_runs = update_dry_runs(old.dry_runs, outcome)
    new = PolicyStatus(
        observed_generation=outcome.policy.generation,
        conditions=merge_conditions(old.conditions, _conditions(outcome)),
        rolls=roll_counts(outcome),
        last_rolls=last_rolls(outcome),
        dry_runs=dry_runs,
        last_action=last_action(outcome, dry_runs),
        pods=_pod_counts(outcome),
        at_risk=_at_risk(outcome),
        time_to_limit=_time_to_limit(outcome),
        ledger=old.ledger if outcome.error else update_ledger(old.ledger, outcome),
        autoscalers=_autoscalers(outcome),
        exits=exits,
        suggestions=old.suggestions if outcome.error else find_suggestions(exits, outcome),
    )
    if outcome.error is None:
        return new
    kept = {"rolls": old.rolls, "last_rolls": old.last_rolls, "pods": old.pods, "at_risk": (), "time_to_limit": ""}
    return new.model_copy(update=kept)


def _conditions(outcome: Outcome) -> Iterator[Condition]:
    results = {
        ConditionType.READY: _ready(outcome),
        ConditionType.ACCEPTED: _accepted(outcome),
        ConditionType.PROMETHEUS_REACHABLE: _prometheus_reachable(outcome),
        ConditionType.AT_RISK: _any_at_risk(outcome),
    }
    if outcome.plan.held:
        results[ConditionType.ROLLS_BLOCKED] = _rolls_blocked(outcome)
    shortfall = outcome.plan.shortfall
    if shortfall is not None:
        results[ConditionType.CANNOT_KEEP_UP] = (ConditionStatus.TRUE, shortfall.reason, shortfall.message)
    if outcome.misconfigurations:
        messages = "; ".join(m.message for m in outcome.misconfigurations)
        results[ConditionType.MISCONFIGURED] = (
            ConditionStatus.TRUE,
            outcome.misconfigurations[0].reason.value,
            messages,
        )
    if outcome.policy.spec.suspend:
        results[ConditionType.SUSPENDED] = (ConditionStatus.TRUE, "Suspended", SUSPENDED_MESSAGE)
    if isinstance(outcome.error, TerminalError):
        results[ConditionType.STALLED] = (ConditionStatus.TRUE, outcome.error.reason, outcome.error.message)
    for type_, (status, reason, message) in results.items():
        generation = outcome.policy.generation
        yield new_condition(type_, status, reason, message, generation=generation, now=outcome.now)
    if outcome.error is not None and outcome.misconfigurations is None:
        yield from (c for c in outcome.policy.status.conditions if c.type is ConditionType.MISCONFIGURED)


def _ready(outcome: Outcome) -> tuple[ConditionStatus, str, str]:
    error, spec = outcome.error, outcome.policy.spec
    if error is not None:
        return ConditionStatus.FALSE, error.reason, f"no pod is assessed or rolled: {error.message}"
    if spec.suspend:
        return ConditionStatus.TRUE, "Suspended", SUSPENDED_MESSAGE
    if not outcome.watched_pods and outcome.conflicting_pods:
        return ConditionStatus.FALSE, "Conflicted", _describe_conflicts(outcome, "watches all of its pods")
    if not outcome.watched_pods:
        return ConditionStatus.FALSE, "TargetNotFound", describe_missing_target(outcome)
    return ConditionStatus.TRUE, "Watching", _summary(outcome)


def describe_missing_target(outcome: Outcome) -> str:
    """Return why the policy selects no pod."""
    ref = outcome.policy.spec.target_ref
    if ref is None:
        return "the selector matches no pod of this namespace"
    return f"{ref} does not exist in this namespace, or has no pods"


def _summary(outcome: Outcome) -> str:
    """Return the most important fact in one line: the rolls in progress, else the pods at risk, else the counts."""
    active = [r for r in outcome.rolls if r.active]
    if active:
        return "; ".join(f"rolling {r.spec.pod_name}: {r.status.phase or Phase.ANNOUNCED}" for r in active[:3])
    counts = _pod_counts(outcome)
    nearest = min(outcome.at_risk, key=lambda a: (a.is_reported_only, a.verdict.remaining_s), default=None)
    if nearest is not None:
        pod = nearest.pod.key
        blocked = outcome.plan.blocked_by(pod.uid)
        action = "reported only, see exhaustion.otherMemory" if nearest.is_reported_only else "to be rolled"
        action = blocked.message if blocked else action
        return f"{counts.at_risk} of {_format_pods(counts.total)} at risk; {pod.name}: {action}"
    verb = VERBS[outcome.policy.spec.mode]
    others = f", {counts.suspected} suspected" if counts.suspected else ""
    others += f", {counts.inconclusive} inconclusive ({_why_inconclusive(outcome)})" if counts.inconclusive else ""
    return f"{verb} {_format_pods(counts.total)}: {counts.healthy} healthy{others}"


def _format_pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _why_inconclusive(outcome: Outcome) -> str:
    """Return the message of the most common reason of inconclusive verdicts; after OOM kills also a spent budget.

    A container that was OOM-killed because its budget is spent has no verdict while it is not running, or is too young.
    """
    inconclusive = [a for a in outcome.assessments if a.verdict.is_inconclusive]
    if not inconclusive:
        return "no watched container"
    ((most_common, _),) = Counter(a.verdict.reason for a in inconclusive).most_common(1)
    message = next(a.verdict.message for a in inconclusive if a.verdict.reason is most_common)
    was_oom_killed = any(a.container.oom_killed_at is not None for a in inconclusive)
    spent_budget = outcome.plan.spent_budget
    return f"{message}; OOM-killed, and {spent_budget}" if was_oom_killed and spent_budget else message


def _describe_conflicts(outcome: Outcome, verb: str) -> str:
    """Return the pods that belong to an older policy, and which of these policies are suspended."""
    pods = ", ".join(outcome.conflicting_pods[:MAX_CONFLICTS_NAMED])
    if not outcome.suspended_owners:
        return f"an older policy {verb}: {pods}"
    names = ", ".join(outcome.suspended_owners[:MAX_CONFLICTS_NAMED])
    remedy = "a suspended policy keeps its pods: resume it, delete it, or change what it selects"
    return f"pods belong to an older policy: {pods}; suspended: {names}; {remedy}"


def _accepted(outcome: Outcome) -> tuple[ConditionStatus, str, str]:
    if isinstance(outcome.error, TerminalError):
        reason = outcome.error.reason if isinstance(outcome.error, BoundExceededError) else "Invalid"
        return ConditionStatus.FALSE, reason, outcome.error.message
    if outcome.conflicting_pods:
        return ConditionStatus.FALSE, "Conflicted", _describe_conflicts(outcome, "already watches")
    if outcome.error is None and not outcome.watched_pods and not outcome.policy.spec.suspend:
        return ConditionStatus.FALSE, "TargetNotFound", describe_missing_target(outcome)
    return ConditionStatus.TRUE, "Accepted", "the policy is valid"


def _prometheus_reachable(outcome: Outcome) -> tuple[ConditionStatus, str, str]:
    if isinstance(outcome.error, PrometheusUnavailableError):
        return ConditionStatus.FALSE, outcome.error.reason, outcome.error.message
    if outcome.error is None and outcome.watched_pods and not outcome.policy.spec.suspend:
        return ConditionStatus.TRUE, "QuerySucceeded", "the last query succeeded"
    return ConditionStatus.UNKNOWN, "NotQueried", "the last reconcile made no query"


def _any_at_risk(outcome: Outcome) -> tuple[ConditionStatus, str, str]:
    if outcome.error is not None or outcome.policy.spec.suspend:
        return ConditionStatus.UNKNOWN, "NotAssessed", "the last reconcile assessed no pod"
    if not outcome.at_risk:
        return ConditionStatus.FALSE, "NoneAtRisk", "no pod is at risk"
    reasons: dict[str, str] = {}
    for assessment in outcome.at_risk:
        reasons.setdefault(assessment.pod.key.name, assessment.verdict.reason.value)
    pods = ", ".join(f"{pod} ({reason})" for pod, reason in sorted(reasons.items())[:MAX_AT_RISK_NAMED])
    return ConditionStatus.TRUE, outcome.at_risk[0].verdict.reason.value, f"at risk: {pods}"


def _rolls_blocked(outcome: Outcome) -> tuple[ConditionStatus, str, str]:
    """Return the pods that are held near their limit, with the gate and the remedy of the most urgent one."""
    held = outcome.plan.held
    names = ", ".join(b.candidate.pod.key.name for b in held[:MAX_HELD_NAMED])
    more = f" and {len(held) - MAX_HELD_NAMED} more" if len(held) > MAX_HELD_NAMED else ""
    return ConditionStatus.TRUE, held[0].gate.value, f"held near the limit: {names}{more}: {held[0].message}"


def _pod_counts(outcome: Outcome) -> PodCounts:
    states = Counter(state_of(assessments) for _, assessments in outcome.group_by_pod())
    total = max(outcome.watched_pods, states.total())
    return PodCounts(
        total=total,
        healthy=states[PodState.HEALTHY],
        suspected=states[PodState.SUSPECTED],
        at_risk=states[PodState.AT_RISK],
        # A pod without a watched container has no assessment: it is inconclusive as well.
        inconclusive=total - states.total() + states[PodState.INCONCLUSIVE],
    )


def _time_to_limit(outcome: Outcome) -> str:
    left_s = min((a.verdict.remaining_s for a in outcome.at_risk), default=float("inf"))
    return "" if left_s == float("inf") else humanize_duration(left_s)


def _closeness(assessment: Assessment) -> tuple[int, float, float, str]:
    """Return the sort key of `status.atRisk`: at risk first, then least time to limit, highest usage ratio, name."""
    verdict = assessment.verdict
    usage_ratio = (verdict.usage_bytes or 0.0) / (assessment.container.limit_bytes or float("inf"))
    rank = 0 if verdict.is_at_risk or assessment.is_reported_only else 2 if verdict.is_inconclusive else 1
    return rank, verdict.remaining_s, -usage_ratio, assessment.pod.key.name


def _at_risk(outcome: Outcome) -> tuple[AtRiskPod, ...]:
    closest = sorted(outcome.assessments, key=_closeness)[:MAX_AT_RISK]
    return tuple(_at_risk_pod(outcome, a) for a in closest)


def _at_risk_pod(outcome: Outcome, assessment: Assessment) -> AtRiskPod:
    verdict = assessment.verdict
    trend, left_s = verdict.trend, verdict.remaining_s
    return AtRiskPod(
        pod=assessment.pod.key.name,
        container=assessment.container.name,
        verdict=verdict.verdict.value,
        reason=verdict.reason.value,
        message=assessment.message[:MAX_MESSAGE_CHARS],
        usage_bytes=None if verdict.usage_bytes is None else int(verdict.usage_bytes),
        limit_bytes=assessment.container.limit_bytes,
        growth_bytes_per_hour=None if trend is None else int(trend.slope_bytes_per_s * 3600),
        time_to_limit_seconds=None if left_s == float("inf") else int(min(left_s, MAX_NUMBER)),
        blocked_by=_blocked_by(outcome, assessment),
    )


def _blocked_by(outcome: Outcome, assessment: Assessment) -> BlockedBy | None:
    blocked = outcome.plan.blocked_by(assessment.pod.key.uid)
    if blocked is None:
        return None
    message = blocked.message[:MAX_GATE_MESSAGE_CHARS]
    return BlockedBy(gate=blocked.gate, message=message, others=tuple(gate.value for gate in blocked.others) or None)


def _autoscalers(outcome: Outcome) -> tuple[WorkloadAutoscaler, ...]:
    """Return the autoscalers in a fixed order, so that the status changes only if they do; unknown ones stay."""
    if outcome.error or outcome.autoscalers is None:
        return outcome.policy.status.autoscalers
    named = sorted({(str(a), str(a.target), a.message) for a in outcome.autoscalers})[:MAX_AUTOSCALERS]
    return tuple(
        WorkloadAutoscaler(name=name[:MAX_REFERENCE_CHARS], workload=target[:MAX_REFERENCE_CHARS], message=message)
        for name, target, message in named
    )
