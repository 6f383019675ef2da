"""State of policies as a tree, from their status and their PodRolls."""

from __future__ import annotations

import pytest

from memroll.api.conditions import pending_status
from memroll.api.policy import MemoryPolicy
from memroll.inspection.status_tree import NOT_RECONCILED, build_tree
from tests.builders import MIB, policy_json, roll
from tests.scenario.simulation import FAST

AT_RISK = {
    "pod": "leaky-5d-abcde",
    "container": "app",
    "verdict": "Leaking",
    "reason": "Leaking",
    "message": "grows like a leak",
    "usageBytes": 96 * MIB,
    "limitBytes": 128 * MIB,
    "growthBytesPerHour": 3 * MIB,
    "timeToLimitSeconds": 7200,
    "blockedBy": {"gate": "NotDue", "message": "not due: 2h to the limit"},
}


def condition(type_: str, status: str, message: str):
    return {
        "type": type_,
        "status": status,
        "reason": "Reason",
        "message": message,
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }


def policy(*at_risk, **status) -> MemoryPolicy:
    conditions = [condition("Ready", "True", "watching"), *status.pop("conditions", [])]
    found = {"conditions": conditions, "atRisk": list(at_risk), "pods": {"total": 2, "atRisk": len(at_risk)}}
    return MemoryPolicy.read(policy_json(FAST) | {"status": found | status})


def test_a_container_has_its_numbers_and_the_gate_that_blocks_it():
    (node,) = build_tree([policy(AT_RISK)], [], {("demo", "leaky-5d-abcde"): "Deployment/leaky"})
    (workload,) = node.workloads
    (pod,) = workload.pods
    assert workload.name == "Deployment/leaky"
    assert (pod.usage, pod.growth, pod.time_to_limit) == ("96.0 MiB of 128.0 MiB (75%)", "+3.0 MiB/h", "2h")
    assert pod.state == "blocked by NotDue: not due: 2h to the limit"
    assert (node.is_at_risk, node.is_ready, node.message) == (True, True, "watching")


def test_a_roll_in_progress_is_shown_instead_of_the_gate():
    rolls = [
        roll("Replacing", spec={"podName": "leaky-5d-abcde"}),
        roll("Succeeded", spec={"podName": "leaky-5d-abcde"}),
    ]
    (node,) = build_tree([policy(AT_RISK)], rolls, {})
    assert node.workloads[0].pods[0].state == "rolling: Replacing (PodRoll leaky-abc-1)"


def test_the_workload_of_an_unknown_pod_is_derived_from_its_name():
    found = AT_RISK | {"pod": "chat-7d4b9c5f6-x7k2p"}
    (node,) = build_tree([policy(found)], [], {})
    assert node.workloads[0].name == "chat"


def test_pods_of_one_workload_are_grouped_in_their_order():
    second = AT_RISK | {"pod": "leaky-5d-fghij"}
    other = AT_RISK | {"pod": "db-0"}
    (node,) = build_tree(
        [policy(AT_RISK, other, second)], [], {("demo", "leaky-5d-abcde"): "D", ("demo", "leaky-5d-fghij"): "D"}
    )
    assert [(w.name, len(w.pods)) for w in node.workloads] == [("D", 2), ("db", 1)]


def test_missing_numbers_are_left_out():
    bare = {"pod": "a", "container": "app", "verdict": "Inconclusive", "reason": "NoData"}
    pod = build_tree([policy(bare)], [], {})[0].workloads[0].pods[0]
    assert (pod.usage, pod.growth, pod.time_to_limit, pod.state) == ("", "", "", "NoData")
    unlimited = bare | {"usageBytes": 3 * MIB}
    assert build_tree([policy(unlimited)], [], {})[0].workloads[0].pods[0].usage == "3.0 MiB"


@pytest.mark.parametrize("status", [{}, pending_status(observedGeneration=-1)])
def test_a_policy_that_the_operator_has_not_seen_has_a_remedy(status):
    (node,) = build_tree([MemoryPolicy.read(policy_json(FAST) | {"status": status})], [], {})
    assert (node.is_ready, node.message, node.warnings) == (False, NOT_RECONCILED, ())


def test_a_dry_run_shows_all_gates_that_block():
    blocked = {"gate": "Cooldown", "message": "cooling down", "others": ["Budget", "RateLimited"]}
    (node,) = build_tree([policy(AT_RISK | {"blockedBy": blocked})], [], {})
    state = node.workloads[0].pods[0].state
    assert state == "blocked by Cooldown: cooling down; also by Budget, RateLimited"


def test_warnings_are_conditions_that_are_true():
    conditions = [condition("CannotKeepUp", "True", "too slow"), condition("Stalled", "False", "")]
    (node,) = build_tree([policy(conditions=conditions)], [], {})
    assert [c.message for c in node.warnings] == ["too slow"]


def test_a_suspended_policy_is_shown_as_such():
    raw = policy_json(FAST | {"suspend": True})
    assert build_tree([MemoryPolicy.read(raw)], [], {})[0].mode == "suspended"
