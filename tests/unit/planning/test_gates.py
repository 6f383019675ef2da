from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from memroll.model.permissions import Permissions
from memroll.model.pods import ObjectRef
from memroll.planning import gates
from memroll.planning.gate_result import MAX_GATE_MESSAGE_CHARS, Gate, GateResult
from memroll.planning.gates import GATES, explain, first_blocking_gate
from memroll.planning.plan import make_plan
from memroll.planning.rate_limit import RecentRolls
from tests.builders import at, candidate, context, ended_roll, leak_verdict, pod, roll, workload

if TYPE_CHECKING:
    from memroll.planning.candidate import Candidate

BARE = pod(controller=None)
JOB = workload(owner=ObjectRef("batch/v1", "Job", "once", "job-1"), hash_label="")
ACTIVE = roll(
    "Replacing", spec={"podUID": "another"}, workload={"apiVersion": "apps/v1", "kind": "Deployment", "name": "leaky"}
)
NIGHTS = {"allow": [{"start": "01:00", "end": "05:00"}]}

BLOCKED = [
    pytest.param(
        {}, {"policy": {"suspend": True}}, "PolicySuspended", "the policy is suspended", id="a suspended policy"
    ),
    pytest.param(
        {}, {"policy": {"mode": "Observe"}}, "ObserveOnly", "the policy only observes (mode: Observe)", id="an observer"
    ),
    pytest.param(
        {},
        {"is_leader": False},
        "NotLeader",
        "this process does not hold the Lease: another replica rolls the pods",
        id="a process that is not the leader",
    ),
    pytest.param(
        {"pod": pod(deleting=True)},
        {},
        "PodTerminating",
        "the pod is already being deleted",
        id="a pod that is terminating",
    ),
    pytest.param(
        {"pod": pod(annotations={"memroll.dev/roll": "x"}, labels={"pod-template-hash": "memroll-released"})},
        {},
        "PodReleased",
        "PodRoll x has released the pod and has ended: the pod is restored or evicted once its workload permits",
        id="a pod that is released already",
    ),
    pytest.param(
        {},
        {"policy": {"mode": "DryRun"}, "dry_runs": {"uid-leaky-abc": at(-60)}},
        "DryRun",
        "the pod would have been rolled at 2026-03-01T11:59:00Z (mode: DryRun)",
        id="a pod that a dry run has rolled",
    ),
    pytest.param(
        {"verdict": leak_verdict(400, due=False)},
        {},
        "NotDue",
        "not due: 7m to the limit, rolled when 30s are left",
        id="a leak whose limit is far",
    ),
    pytest.param(
        {"verdict": leak_verdict(None, lead_s=None, due=False)},
        {},
        "NotDue",
        "not due: without a memory limit there is no deadline",
        id="a leak without a limit",
    ),
    pytest.param(
        {"pod": pod(ready=False)},
        {},
        "PodNotReady",
        "the pod is not Ready; its limit is near: set roll.whenNotReady: Evict to evict it before",
        id="a pod that is not Ready",
    ),
    pytest.param(
        {"pod": pod(annotations={"memroll.dev/do-not-disrupt": "true"})},
        {},
        "DoNotDisrupt",
        "the pod is marked memroll.dev/do-not-disrupt: 'true'",
        id="a protected pod",
    ),
    pytest.param(
        {"pod": pod(annotations={"memroll.dev/do-not-disrupt": ""})},
        {},
        "DoNotDisrupt",
        "the pod is marked memroll.dev/do-not-disrupt: ''",
        id="an invalid annotation protects",
    ),
    pytest.param(
        {"pod": pod(annotations={"memroll.dev/do-not-disrupt": "2026-03-01T13:00:00Z"})},
        {},
        "DoNotDisrupt",
        "the pod is marked memroll.dev/do-not-disrupt until 2026-03-01T13:00:00Z",
        id="protection that still lasts",
    ),
    pytest.param(
        {},
        {"namespace_annotations": {"memroll.dev/do-not-disrupt": "true"}},
        "DoNotDisrupt",
        "the namespace is marked memroll.dev/do-not-disrupt: 'true'",
        id="a protected namespace",
    ),
    pytest.param(
        {"pod": pod(annotations={"karpenter.sh/do-not-disrupt": "true"})},
        {},
        "DoNotDisrupt",
        "the pod is marked karpenter.sh/do-not-disrupt: true",
        id="another autoscaler's mark",
    ),
    pytest.param(
        {"pod": BARE, "workload": None},
        {},
        "Unsupported",
        "a pod without a controller would not be replaced: run it by a Deployment or StatefulSet",
        id="a bare pod",
    ),
    pytest.param(
        {"workload": JOB},
        {},
        "Unsupported",
        "pods of a Job are not rolled: one that ends early would lose its work",
        id="a Job's pod",
    ),
    pytest.param(
        {"pod": pod(static=True)},
        {},
        "Unsupported",
        "a static pod is owned by its node's kubelet: the API server can't evict it",
        id="a static pod",
    ),
    pytest.param(
        {"workload": None, "unreadable_because": "ReplicaSet/leaky-5d can't be read: replicasets is forbidden"},
        {},
        "Unsupported",
        "ReplicaSet/leaky-5d can't be read: replicasets is forbidden",
        id="a workload that can't be read",
    ),
    pytest.param(
        {},
        {"permissions": Permissions(acting=False)},
        "Unsupported",
        "memroll was installed without the right to act on pods",
        id="an installation that may only watch",
    ),
    pytest.param(
        {},
        {"permissions": Permissions(surge=False), "policy": {"roll": {"strategy": "Surge"}}},
        "Unsupported",
        "strategy Surge is set in the spec, but memroll was installed without the right to surge",
        id="a surge without the permission for it",
    ),
    pytest.param(
        {"workload": workload(rollout_in_progress="1 of 3 pods are updated")},
        {},
        "RolloutInProgress",
        "1 of 3 pods are updated; its limit is near: set roll.duringRollout: Evict to evict it before",
        id="a workload in a rollout",
    ),
    pytest.param(
        {},
        {"policy": {"roll": {"maintenanceWindows": NIGHTS}}},
        "OutsideMaintenanceWindow",
        "outside the maintenance windows: the next one opens at 2026-03-02T01:00:00Z",
        id="a time outside the windows",
    ),
    pytest.param(
        {},
        {"policy": {"roll": {"maintenanceWindows": NIGHTS | {"whenLimitComesFirst": "Hold"}}}},
        "OutsideMaintenanceWindow",
        "outside the maintenance windows: the next one opens at 2026-03-02T01:00:00Z"
        ", after the pod reaches its limit, and whenLimitComesFirst is Hold",
        id="the same, when that is too late",
    ),
    pytest.param(
        {},
        {"policy": {"roll": {"maintenanceWindows": {"deny": [{}]}}}},
        "OutsideMaintenanceWindow",
        "the maintenance windows never open",
        id="windows that never open",
    ),
    pytest.param(
        {},
        {"recent_rolls": RecentRolls((at(-1800),) * 30, ())},
        "RateLimited",
        "the roll rate limit blocks the roll until 2026-03-01T12:30:00Z: 30 rolls within an hour, at most 30:"
        " check `kubectl get podrolls -A` before you raise rollRateLimit.maxRollsPerHour",
        id="an operator that has made too many rolls",
    ),
    pytest.param(
        {},
        {"recent_rolls": RecentRolls((), (at(-60),) * 3), "watched_pods": 5},
        "RateLimited",
        "the roll rate limit blocks the roll until 2026-03-01T12:59:00Z: 3 rolls of this namespace within an hour,"
        " at most 3 with 5 watched pods: raise rollRateLimit.maxNamespaceShare",
        id="a namespace with too many rolls",
    ),
    pytest.param(
        {},
        {"recent_rolls": RecentRolls((), (at(-60),) * 15, due_elsewhere=True), "watched_pods": 60},
        "RateLimited",
        "the roll rate limit blocks the roll until 2026-03-01T12:59:00Z: 15 rolls of this namespace within an hour,"
        " at most 15 of 30 while a pod of another namespace is due:"
        " raise rollRateLimit.maxRollsPerHour or rollRateLimit.namespaceQuota",
        id="a namespace that has used its quota",
    ),
]


@pytest.mark.parametrize(("parts", "around", "gate", "message"), BLOCKED)
def test_a_gate_blocks(parts, around, gate, message):
    assert first_blocking_gate(candidate(**parts), context(**around)) == (gate, message)


def test_nothing_blocks_a_due_pod_of_an_idle_workload():
    assert first_blocking_gate(candidate(), context()) is None


def test_protection_that_has_ended_does_not_block():
    marked = pod(annotations={"memroll.dev/do-not-disrupt": "2026-03-01T11:59:59Z"})
    assert first_blocking_gate(candidate(pod=marked), context()) is None
    assert (
        first_blocking_gate(candidate(pod=pod(annotations={"memroll.dev/do-not-disrupt": "false"})), context()) is None
    )


def test_an_active_roll_of_the_same_pod_blocks():
    assert first_blocking_gate(candidate(), context(roll("Evicting"))) == (
        "RollInProgress",
        "PodRoll leaky-abc-1 is in progress",
    )


def test_one_roll_of_a_workload_at_a_time():
    assert first_blocking_gate(candidate(), context(ACTIVE)) == (
        "Concurrency",
        "1 of at most 1 concurrent rolls of Deployment/leaky are in progress",
    )
    four = candidate(workload=workload(controller_replicas=4))
    assert (
        first_blocking_gate(four, context(ACTIVE, policy={"roll": {"maxConcurrent": "50%", "cooldown": "0s"}})) is None
    )


def test_another_workload_s_rolls_do_not_count():
    other = candidate(workload=workload(owner=ObjectRef("apps/v1", "Deployment", "other", "d-2")))
    assert first_blocking_gate(other, context(ACTIVE)) is None


@pytest.mark.parametrize(("ago_s", "blocked"), [(599, True), (600, False)])
def test_a_cooldown_after_each_roll(ago_s, blocked):
    found = first_blocking_gate(candidate(), context(ended_roll("Succeeded", -ago_s)))
    assert (found == ("Cooldown", "cooling down until 2026-03-01T12:00:01Z")) is blocked


def test_failures_in_a_row_double_the_pause():
    spec = {"policy": {"roll": {"cooldown": "0s"}}}
    once, twice = (ended_roll("Failed", -40),), (ended_roll("Failed", -40), ended_roll("Failed", -50))
    assert first_blocking_gate(candidate(), context(*once, **spec)) is None
    assert first_blocking_gate(candidate(), context(*twice, **spec)) == (
        "FailureBackoff",
        "2 failed rolls in a row: next attempt at 2026-03-01T12:00:20Z",
    )
    assert first_blocking_gate(candidate(), context(*twice, ended_roll("Succeeded", -1), **spec)) is None


def test_the_most_restrictive_budget_wins():
    budgets = [{"rolls": 9, "per": "24h"}, {"rolls": 1, "per": "1h"}]
    spec = {"policy": {"roll": {"cooldown": "0s", "budgets": budgets}}}
    message = "the budget of 1 rolls per 1h is spent until 2026-03-01T12:29:50Z"
    assert first_blocking_gate(candidate(), context(ended_roll("Succeeded", -1800), **spec)) == ("Budget", message)
    assert first_blocking_gate(candidate(), context(ended_roll("Succeeded", -3700), **spec)) is None
    assert first_blocking_gate(candidate(), context(ended_roll("Aborted", -1800), **spec)) is None


def test_of_several_spent_budgets_the_one_that_is_free_last_is_named():
    budgets = [{"rolls": 1, "per": "1h"}, {"rolls": 2, "per": "24h"}]
    rolls = (ended_roll("Succeeded", -600), ended_roll("Succeeded", -7200))
    found = first_blocking_gate(candidate(), context(*rolls, policy={"roll": {"cooldown": "0s", "budgets": budgets}}))
    assert found == ("Budget", "the budget of 2 rolls per 24h is spent until 2026-03-02T09:59:50Z")


def test_a_budget_of_zero_allows_no_roll():
    spec = {"policy": {"roll": {"budgets": [{"rolls": 0, "per": "1h"}]}}}
    assert first_blocking_gate(candidate(), context(**spec)) == ("Budget", "the budget of 0 rolls per 1h is spent")


def test_the_pod_nearest_its_limit_is_planned_first_and_counts_for_the_next():
    near = candidate(pod=pod("near"), verdict=leak_verdict(5))
    far = candidate(pod=pod("far"), verdict=leak_verdict(25))
    plan = make_plan([far, near], context())
    assert [c.pod.key.name for c in plan.rolls] == ["near"]
    assert [(b.candidate.pod.key.name, b.gate) for b in plan.blocked] == [("far", "Concurrency")]
    (blocked,) = plan.blocked
    assert plan.blocked_by("uid-far") == blocked
    assert (blocked.gate, blocked.message) == (
        Gate.CONCURRENCY,
        "1 of at most 1 concurrent rolls of Deployment/leaky are in progress",
    )
    assert plan.blocked_by("uid-near") is None


def test_no_plan_ever_exceeds_concurrency_or_budget():
    many = [candidate(pod=pod(f"p{i}"), workload=workload(controller_replicas=50)) for i in range(50)]
    spec = {"roll": {"maxConcurrent": "10%", "budgets": [{"rolls": 3, "per": "1h"}]}}
    assert len(make_plan(many, context(policy=spec)).rolls) == 3


COUNTED = {"RollInProgress", "Concurrency", "Cooldown", "FailureBackoff", "Budget", "CanaryPending", "Ineffective"}


def test_each_gate_has_a_test_here():
    assert {param.values[2] for param in BLOCKED} | COUNTED == set(GATES)


def test_the_names_are_in_order_of_evaluation():
    assert [*GATES, Gate.POD_ROLL_NOT_CREATED] == list(Gate)


def test_all_gates_explain_themselves_with_the_observed_and_the_required_value():
    spec = {"roll": {"maintenanceWindows": NIGHTS, "budgets": [{"rolls": 2, "per": "24h"}]}, "suspend": True}
    results = explain(candidate(), context(ended_roll("Failed", -300), policy=spec, recent_rolls=RecentRolls((), ())))
    assert list(results) == list(GATES)
    assert all(result.observed and result.required for result in results.values())
    assert [gate for gate, result in results.items() if result.blocks] == [
        "PolicySuspended",
        "Cooldown",
        "FailureBackoff",
        "OutsideMaintenanceWindow",
    ]
    values = {gate: (result.observed, result.required) for gate, result in results.items()}
    assert values["NotDue"] == ("20s to the limit", "at most 30s to the limit")
    assert values["Concurrency"] == ("0 in progress", "under 1")
    assert values["Cooldown"] == ("the last roll ended 5m ago", "10m ago or more")
    assert values["Budget"] == ("0 rolls", "under 2 rolls per 24h"), "a roll that was rolled back does not count"
    assert results["OutsideMaintenanceWindow"].observed == "closed until 2026-03-02T01:00:00Z"
    assert results["RateLimited"].required == "under 30 in an hour, under 3 of them in the namespace"
    assert results["Unsupported"].observed == "Surge: the replacement can be Ready before the pod leaves"


def test_gates_after_the_first_that_blocks_are_not_evaluated():
    evaluated = []

    def spy(*_: object) -> GateResult:
        evaluated.append("spy")
        return GateResult("", "", "")

    with pytest.MonkeyPatch.context() as patch:
        both = {Gate.POLICY_SUSPENDED: gates.check_policy_active, Gate.OBSERVE_ONLY: spy}
        patch.setattr(gates, "GATES", both)
        assert first_blocking_gate(candidate(), context(policy={"suspend": True})) is not None
        assert evaluated == []
        assert first_blocking_gate(candidate(), context()) is None
        assert evaluated == ["spy"]


def test_a_long_message_is_cut_to_what_status_allows():
    blocking = {"workload": workload(rollout_in_progress="x" * 300), "verdict": leak_verdict(400)}
    assert first_blocking_gate(candidate(**blocking), context()) == ("RolloutInProgress", "x" * MAX_GATE_MESSAGE_CHARS)


def pods_at_risk(replicas: int, at_risk: int) -> list[Candidate]:
    """Build pods of one workload that leak and are due an hour from now."""
    return [
        candidate(
            pod=pod(f"p{i}"),
            verdict=leak_verdict(7200 + i, lead_s=3600, due=False),
            workload=workload(controller_replicas=replicas),
        )
        for i in range(at_risk)
    ]


ADVANCED = {"advanced_because": "before its deadline"}
EFFECTIVE = {"effect": {"result": "Effective"}}
INEFFECTIVE = {"effect": {"result": "Ineffective"}}
REPLACED = {"replacement": {"name": "new", "uid": "uid-new"}}
CANARIES = [
    pytest.param(2, 2, (), {}, None, id="two replicas need no canary"),
    pytest.param(4, 2, (("Succeeded", -60, {}),), {}, None, id="half of the pods"),
    pytest.param(4, 3, (), {}, None, id="the first is the canary"),
    pytest.param(4, 3, (("Succeeded", -60, {}),), {}, "leaky-abc", id="one was rolled, with unknown effect"),
    pytest.param(4, 3, (("Succeeded", -60, EFFECTIVE),), {}, None, id="the roll was effective"),
    pytest.param(4, 3, (("Succeeded", -60, INEFFECTIVE),), {}, "leaky-abc", id="the roll was ineffective"),
    pytest.param(4, 3, (("Succeeded", -60, REPLACED),), {}, "leaky-abc", id="its replacement warms up"),
    pytest.param(
        4,
        3,
        (("Succeeded", -60, REPLACED),),
        {"healthy": frozenset({"uid-new"})},
        None,
        id="its replacement is healthy",
    ),
    pytest.param(
        4,
        3,
        (("Evicting", -60, REPLACED),),
        {"healthy": frozenset({"uid-new"})},
        "leaky-abc",
        id="its replacement is healthy, but the roll has not ended",
    ),
    pytest.param(4, 3, (("Failed", -60, {}),), {}, None, id="the canary's roll failed: another one"),
    pytest.param(4, 3, (("Succeeded", -30_000, {}),), {}, None, id="a roll from before the growth began"),
]


@pytest.mark.parametrize(("replicas", "at_risk", "rolls", "around", "first"), CANARIES)
def test_when_most_of_a_workload_is_at_risk_at_once_one_is_rolled_first(replicas, at_risk, rolls, around, first):
    peers = pods_at_risk(replicas, at_risk)
    spec = {"roll": {"cooldown": "0s", "maxConcurrent": 9}}
    seen = context(
        *(ended_roll(phase, at_s, **more) for phase, at_s, more in rolls),
        policy=spec,
        candidates=tuple(peers),
        **around,
    )
    found = first_blocking_gate(replace(peers[-1], **ADVANCED), seen)
    message = f"{at_risk} of {replicas} pods are at risk at once: waiting until the roll of {first} proves effective"
    assert found == (None if first is None else ("CanaryPending", message))
    own = replace(peers[-1], verdict=leak_verdict(20))
    assert first_blocking_gate(own, seen) is None, "its own deadline has come: it does not wait"
    holds_up_queue = replace(peers[-1], **ADVANCED, holds_up_queue=True)
    assert first_blocking_gate(holds_up_queue, seen) is None, "the deadline of one behind it has come"


def test_the_second_of_many_waits_for_the_first_within_one_reconcile():
    peers = tuple(pods_at_risk(4, 4))
    seen = context(policy={"roll": {"maxConcurrent": 9}}, candidates=peers, planned=peers[:1])
    found = first_blocking_gate(replace(peers[1], **ADVANCED), seen)
    assert found == ("CanaryPending", "4 of 4 pods are at risk at once: waiting until the roll of p0 proves effective")


def test_the_backoff_is_bounded():
    failures = [ended_roll("Failed", -i * 10) for i in range(60)]
    found = first_blocking_gate(candidate(), context(*failures, policy={"roll": {"cooldown": "0s"}}))
    assert found is not None
    latest = at(0) + timedelta(hours=6)
    assert found[1].endswith(latest.strftime("%Y-%m-%dT%H:%M:%SZ"))
