"""An outcome as the policy's status: conditions, counts, the pods nearest exhaustion, the last rolls, the ledger."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from memroll.api.conditions import Condition, ConditionType, Status, condition, merge
from memroll.api.pod_roll import Phase
from memroll.api.policy import LAST_ROLLS_MAX, NEAREST_MAX, LastRoll, Mode, NearPod, PodCounts, PolicyStatus, RollCounts
from memroll.api.quantity import about
from memroll.detection.verdict import Breach, Healthy, Inconclusive, seconds_left
from memroll.errors import PrometheusUnavailable, Stalled
from memroll.reporting.leak_ledger import ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.api.pod_roll import PodRoll
    from memroll.detection.assessment import Assessment
    from memroll.reporting.outcome import Outcome


def status_of(outcome: Outcome) -> PolicyStatus:
    """Return the whole new status; what a troubled pass could not see is kept from before."""
    old = outcome.policy.status
    fresh = PolicyStatus(
        observed_generation=outcome.policy.generation,
        conditions=merge(old.conditions, _conditions(outcome)),
        rolls=_roll_counts(outcome),
        last_rolls=_last_rolls(outcome),
        pods=_counts(outcome),
        nearest=_nearest(outcome),
        next_limit=_next_limit(outcome),
        ledger=old.ledger if outcome.trouble else ledger(old.ledger, outcome),
    )
    if outcome.trouble is None:
        return fresh
    kept = {"rolls": old.rolls, "last_rolls": old.last_rolls, "pods": old.pods, "nearest": (), "next_limit": ""}
    return fresh.model_copy(update=kept)


def _conditions(outcome: Outcome) -> Iterator[Condition]:
    def say(type_: ConditionType, status: Status, reason: str, message: str) -> Condition:
        generation = outcome.policy.generation
        return condition(type_, status, reason, message, generation=generation, now=outcome.now)

    trouble = outcome.trouble
    yield say(ConditionType.READY, *_ready(outcome))
    yield say(ConditionType.ACCEPTED, *_accepted(outcome))
    if isinstance(trouble, PrometheusUnavailable):
        yield say(ConditionType.PROMETHEUS_REACHABLE, Status.FALSE, trouble.reason, trouble.message)
    elif trouble is None and outcome.targets and not outcome.policy.spec.suspend:
        yield say(ConditionType.PROMETHEUS_REACHABLE, Status.TRUE, "Answered", "the last query was answered")
    else:
        yield say(ConditionType.PROMETHEUS_REACHABLE, Status.UNKNOWN, "NotAsked", "the last pass asked nothing")
    yield say(ConditionType.BREACHING, *_breaching(outcome))
    if isinstance(trouble, Stalled):
        yield say(ConditionType.STALLED, Status.TRUE, trouble.reason, trouble.message)


def _ready(outcome: Outcome) -> tuple[Status, str, str]:
    trouble, spec = outcome.trouble, outcome.policy.spec
    if trouble is not None:
        return Status.FALSE, trouble.reason, f"nothing is judged or rolled: {trouble.message}"
    if spec.suspend:
        return Status.TRUE, "Suspended", "suspended: nothing is judged or rolled"
    if not outcome.targets and outcome.conflicts:
        return Status.FALSE, "Conflicted", "an older policy watches all of its pods"
    if not outcome.targets:
        return Status.FALSE, "TargetNotFound", no_target(outcome)
    return Status.TRUE, "Watching", _in_words(outcome)


def no_target(outcome: Outcome) -> str:
    """Say what was looked for in vain."""
    ref = outcome.policy.spec.target_ref
    if ref is None:
        return "the selector matches no pod of this namespace"
    return f"{ref} does not exist in this namespace, or has no pods"


def _in_words(outcome: Outcome) -> str:
    """Say in one line what a person wants to know first."""
    active = [r for r in outcome.rolls if r.active]
    if active:
        return "; ".join(f"rolling {r.spec.pod_name}: {r.status.phase or Phase.ANNOUNCED}" for r in active[:3])
    counts = _counts(outcome)
    verb = "watching" if outcome.policy.spec.mode is Mode.ENFORCE else "observing"
    nearest = min(outcome.breaching, key=lambda a: seconds_left(a.verdict), default=None)
    if nearest is not None:
        held = outcome.plan.held_by(nearest.target.key.uid)
        return f"{counts.breaching} of {_pods(counts.total)} leak; {nearest.target.key.name}: {held or 'to be rolled'}"
    rest = f", {counts.inconclusive} not judged ({_doubt(outcome)})" if counts.inconclusive else ""
    return f"{verb} {_pods(counts.total)}: {counts.healthy} healthy{rest}"


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _doubt(outcome: Outcome) -> str:
    """Say why most of the containers that were not judged were not."""
    doubts = [a.verdict for a in outcome.assessments if isinstance(a.verdict, Inconclusive)]
    if not doubts:
        return "no watched container"
    ((most, _),) = Counter(d.code for d in doubts).most_common(1)
    return next(d.message for d in doubts if d.code is most)


def _accepted(outcome: Outcome) -> tuple[Status, str, str]:
    if isinstance(outcome.trouble, Stalled):
        return Status.FALSE, "Invalid", outcome.trouble.message
    if outcome.conflicts:
        names = ", ".join(outcome.conflicts[:5])
        return Status.FALSE, "Conflicted", f"an older policy watches already: {names}"
    if outcome.trouble is None and not outcome.targets and not outcome.policy.spec.suspend:
        return Status.FALSE, "TargetNotFound", no_target(outcome)
    return Status.TRUE, "Accepted", "the policy is understood"


def _breaching(outcome: Outcome) -> tuple[Status, str, str]:
    if outcome.trouble is not None or outcome.policy.spec.suspend:
        return Status.UNKNOWN, "NotJudged", "the last pass judged nothing"
    pods = sorted({a.target.key.name for a in outcome.breaching})
    if pods:
        return Status.TRUE, "LeakConfirmed", f"leaking: {', '.join(pods[:10])}"
    return Status.FALSE, "NoLeak", "no pod leaks"


def _counts(outcome: Outcome) -> PodCounts:
    kinds = Counter(outcome.verdict_of(group) for _, group in outcome.by_pod())
    judged = kinds[Healthy] + kinds[Breach]
    total = max(outcome.targets, kinds.total())
    return PodCounts(total=total, healthy=kinds[Healthy], breaching=kinds[Breach], inconclusive=total - judged)


def _roll_counts(outcome: Outcome) -> RollCounts:
    ended = Counter(r.status.phase for r in outcome.rolls)
    active = sum(1 for r in outcome.rolls if r.active)
    return RollCounts(succeeded=ended[Phase.SUCCEEDED], failed=ended[Phase.FAILED], active=active)


def _next_limit(outcome: Outcome) -> str:
    left = min((seconds_left(a.verdict) for a in outcome.breaching), default=float("inf"))
    return "" if left == float("inf") else about(left)


def _nearness(assessment: Assessment) -> tuple[int, float, float, str]:
    """Order by: breaching first, least time left, largest share of the limit, name."""
    verdict = assessment.verdict
    share = (verdict.usage_bytes or 0.0) / (assessment.container.limit_bytes or float("inf"))
    rank = {Breach: 0, Healthy: 1, Inconclusive: 2}[type(verdict)]
    return rank, seconds_left(assessment.verdict), -share, assessment.target.key.name


def _nearest(outcome: Outcome) -> tuple[NearPod, ...]:
    first = sorted(outcome.assessments, key=_nearness)[:NEAREST_MAX]
    return tuple(_near_pod(outcome, a) for a in first)


def _near_pod(outcome: Outcome, assessment: Assessment) -> NearPod:
    verdict = assessment.verdict
    trend = None if isinstance(verdict, Inconclusive) else verdict.trend
    left = seconds_left(assessment.verdict)
    return NearPod(
        pod=assessment.target.key.name,
        container=assessment.container.name,
        verdict=type(verdict).__name__,
        reason=verdict.code.value,
        message=verdict.message[:1024],
        usage_bytes=None if verdict.usage_bytes is None else int(verdict.usage_bytes),
        limit_bytes=assessment.container.limit_bytes,
        growth_bytes_per_hour=None if trend is None else int(trend.slope_bytes_per_s * 3600),
        time_to_limit_seconds=None if left == float("inf") else int(left),
        held_by=outcome.plan.held_by(assessment.target.key.uid)[:256],
    )


def _last_rolls(outcome: Outcome) -> tuple[LastRoll, ...]:
    newest = sorted(outcome.rolls, key=lambda r: r.created_at, reverse=True)[:LAST_ROLLS_MAX]
    return tuple(_last_roll(r) for r in newest)


def _last_roll(roll: PodRoll) -> LastRoll:
    return LastRoll(
        name=roll.name,
        pod=roll.spec.pod_name,
        phase=roll.status.phase or Phase.ANNOUNCED,
        time=roll.status.times.finished or roll.created_at,
        reason=roll.spec.reason,
    )
