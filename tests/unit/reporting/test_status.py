"""Status of a policy: counts of pods by state, and the condition AtRisk."""

from __future__ import annotations

from typing import Any

from memroll.api.base import MAX_REFERENCE_CHARS
from memroll.api.conditions import ConditionType
from memroll.api.policy import MAX_AUTOSCALERS
from memroll.detection.assessment import Assessment
from memroll.detection.reasons import VerdictReason
from memroll.detection.verdict import ContainerVerdict, Verdict
from memroll.model.autoscalers import Autoscaler
from memroll.model.pod_names import WorkloadName
from memroll.planning.gate_result import Gate
from memroll.planning.plan import Blocked, Plan
from memroll.reporting.outcome import Outcome
from memroll.reporting.status import build_status
from tests.builders import (
    MIB,
    NOW,
    above_threshold_verdict,
    at,
    candidate,
    container,
    exhausting_verdict,
    healthy_verdict,
    inconclusive_verdict,
    leak_verdict,
    pod,
    policy,
    suspected_verdict,
)


def status(plan=None, **verdicts):
    """Build the status of a policy whose pods have these verdicts."""
    assessments = tuple(Assessment(pod(name), container(), verdict) for name, verdict in verdicts.items())
    return build_status(Outcome(policy(), NOW, len(assessments), assessments, plan=plan or Plan()))


def condition(status, type_=ConditionType.AT_RISK):
    (found,) = [c for c in status.conditions if c.type is type_]
    return found.status.value, found.reason, found.message


def test_each_pod_is_counted_once_by_its_state():
    counts = status(
        a=leak_verdict(),
        b=exhausting_verdict(20.0),
        c=above_threshold_verdict(),
        d=suspected_verdict(),
        e=healthy_verdict(),
        f=inconclusive_verdict(),
    ).pods
    assert counts.to_dict() == {"total": 6, "healthy": 1, "suspected": 1, "atRisk": 3, "inconclusive": 1}


def test_the_condition_rolls_blocked_names_a_few_of_the_held_pods():
    names = [f"p{i}" for i in range(7)]
    blocked = tuple(
        Blocked(candidate(pod=pod(name), is_held_at_limit=True), Gate.POD_NOT_READY, "the pod is not Ready")
        for name in names
    )
    found = status(Plan((), blocked), **dict.fromkeys(names, leak_verdict()))
    expected = "held near the limit: p0, p1, p2, p3, p4 and 2 more: the pod is not Ready"
    assert condition(found, ConditionType.ROLLS_BLOCKED) == ("True", "PodNotReady", expected)


def test_a_pod_without_a_watched_container_is_inconclusive():
    counts = build_status(Outcome(policy(), NOW, 2)).pods
    assert (counts.total, counts.inconclusive) == (2, 2)


def test_the_condition_has_the_reason_of_the_most_urgent_pod():
    far, near = leak_verdict(9000.0, due=False), exhausting_verdict(20.0)
    assert condition(status(b=far, a=near)) == ("True", "Exhausting", "at risk: a (Exhausting), b (Leaking)")
    assert condition(status(b=far)) == ("True", "Leaking", "at risk: b (Leaking)")
    above = status(c=above_threshold_verdict(), b=far)
    assert condition(above) == ("True", "AboveThreshold", "at risk: b (Leaking), c (AboveThreshold)")


def test_a_suspected_leak_is_not_at_risk():
    assert condition(status(a=suspected_verdict(), b=healthy_verdict())) == ("False", "NoneAtRisk", "no pod is at risk")


def test_the_summary_contains_the_counts_or_the_gate_that_blocks_the_most_urgent_pod():
    calm = status(a=suspected_verdict(), b=healthy_verdict())
    assert condition(calm, ConditionType.READY)[2] == "watching 2 pods: 1 healthy, 1 suspected"
    blocked = Blocked(candidate(pod=pod("a")), Gate.COOLDOWN, "cooling down")
    risky = status(Plan((), (blocked,)), a=leak_verdict(), b=healthy_verdict())
    assert condition(risky, ConditionType.READY)[2] == "1 of 2 pods at risk; a: cooling down"
    (listed, _) = risky.at_risk
    assert listed.to_dict()["blockedBy"] == {"gate": "Cooldown", "message": "cooling down"}


def test_autoscalers_are_named_in_a_fixed_order_and_are_bounded():
    target = WorkloadName("Deployment", "leaky")
    listed = [Autoscaler("ScaledObject", f"s{i:02}", target, "scales by cpu") for i in range(15)]
    found = build_status(Outcome(policy(), NOW, autoscalers=tuple(reversed(listed)))).autoscalers
    assert [a.name for a in found] == [f"ScaledObject/s{i:02}" for i in range(MAX_AUTOSCALERS)]
    assert {(a.workload, a.message) for a in found} == {("Deployment/leaky", "scales by cpu")}
    long = Autoscaler("ScaledObject", "s" * 1000, target, "")
    (cut,) = build_status(Outcome(policy(), NOW, autoscalers=(long,))).autoscalers
    assert len(cut.name) == MAX_REFERENCE_CHARS


def test_the_summary_names_the_budget_because_of_which_pods_were_oom_killed():
    spent = "the budget of 30 rolls per 1h is spent until 2026-01-01T01:00:00Z"
    verdict = inconclusive_verdict(VerdictReason.NOT_RUNNING, "the container is not running")

    def summary(plan: Plan, **changes: Any) -> str:
        assessments = (Assessment(pod(), container(**changes), verdict),)
        return condition(build_status(Outcome(policy(), NOW, 1, assessments, plan=plan)), ConditionType.READY)[2]

    counts = "watching 1 pod: 0 healthy, 1 inconclusive (the container is not running"
    held = Plan(spent_budget=spent)
    assert summary(held, oom_killed_at=at(-60)) == f"{counts}; OOM-killed, and {spent})"
    assert summary(held) == summary(Plan(), oom_killed_at=at(-60)) == f"{counts})"


def other_memory(verdict: Verdict, *, due: bool = False) -> ContainerVerdict:
    reason = VerdictReason.OTHER_MEMORY
    return ContainerVerdict(
        verdict, reason, "memory outside of its processes grows", 100.0 * MIB, None, 3600.0, due=due
    )


def test_other_memory_that_is_only_reported_is_at_risk_and_names_the_field():
    found = status(a=other_memory(Verdict.SUSPECTED), b=healthy_verdict())
    assert condition(found) == ("True", "OtherMemory", "at risk: a (OtherMemory)")
    expected = "1 of 2 pods at risk; a: reported only, see exhaustion.otherMemory"
    assert condition(found, ConditionType.READY)[2] == expected
    assert (found.pods.at_risk, found.pods.suspected, found.time_to_limit) == (1, 0, "1h")
    assert (found.at_risk[0].reason, found.at_risk[0].verdict) == ("OtherMemory", "Suspected")


def test_a_leak_is_named_before_other_memory_that_is_only_reported():
    found = status(a=other_memory(Verdict.SUSPECTED), b=leak_verdict(7200.0, due=False))
    assert condition(found) == ("True", "Leaking", "at risk: a (OtherMemory), b (Leaking)")
    assert condition(found, ConditionType.READY)[2] == "2 of 2 pods at risk; b: to be rolled"


def test_other_memory_that_is_rolled_is_at_risk_as_any_other():
    found = status(a=other_memory(Verdict.EXHAUSTING, due=True))
    assert condition(found) == ("True", "OtherMemory", "at risk: a (OtherMemory)")
    assert condition(found, ConditionType.READY)[2] == "1 of 1 pod at risk; a: to be rolled"
