"""Pods that leak during a rollout, or while they are not Ready: held and reported, or evicted by choice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memroll.model.pods import ObjectRef
from tests.builders import line
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation

NEAR_S = 20
"""Seconds until the limit is near: a pod that is due 36 s before its limit, with 20 s for a reconcile and a roll."""
BROKEN_IMAGE = {"rollout_in_progress": "Deployment/leaky is at revision 4, the pod at 3"}
PAUSED_CANARY = {
    "owner": ObjectRef("argoproj.io/v1alpha1", "Rollout", "leaky", "rollout-1"),
    "rollout_in_progress": "Rollout/leaky is updating from 5d to 7c",
}
QUOTA = {"rollout_in_progress": "Deployment/leaky still has 1 pods of leaky-old", "replica_failure": "exceeded quota"}
ROLLOUTS = [
    pytest.param(BROKEN_IMAGE, id="a revision whose image does not exist"),
    pytest.param(PAUSED_CANARY, id="a paused canary"),
    pytest.param(QUOTA, id="a rollout that waits for a quota"),
]


def leaking(ready: bool = True, **roll: Any) -> Simulation:  # noqa: FBT001, FBT002 - one flag
    spec = FAST | {"roll": FAST["roll"] | roll}
    sim = Simulation(FakeCluster(2), FakePrometheus({"id-leaky-1": line(0.5, ahead_s=60)}), spec)
    pod = sim.cluster.pods["leaky-1"]
    sim.cluster.pods["leaky-1"] = replace(pod, ready=ready, ready_at=pod.ready_at if ready else None)
    return sim


def conditions(sim: Simulation) -> list[str]:
    return [c["type"] for c in sim.status["conditions"]]


def held(sim: Simulation) -> float | None:
    labels = {"namespace": "demo", "policy": "leaky"}
    return sim.metrics.registry.get_sample_value("memroll_held_pods", labels)


@pytest.mark.parametrize("changes", ROLLOUTS)
async def test_a_pod_in_a_rollout_is_held_and_reported_near_its_limit(changes: dict[str, Any]) -> None:
    sim = leaking()
    sim.cluster.workload_changes = changes
    await sim.reconcile()
    assert (sim.blocked_message, held(sim)) == (changes["rollout_in_progress"], 0)
    assert "RollsBlocked" not in conditions(sim)
    sim.cluster.seconds = NEAR_S
    await sim.reconcile()
    status, reason, message = sim.condition("RollsBlocked")
    assert (status, reason, held(sim)) == ("True", "RolloutInProgress", 1)
    assert message == (
        f"held near the limit: leaky-1: {changes['rollout_in_progress']}; "
        "its limit is near: set roll.duringRollout: Evict to evict it before"
    )
    assert "RollBlocked" in sim.recorder.reasons("Pod")
    assert sim.cluster.rolls_json == {}


async def test_the_condition_ends_with_the_rollout() -> None:
    sim = leaking()
    sim.cluster.workload_changes, sim.cluster.seconds = BROKEN_IMAGE, NEAR_S
    await sim.reconcile()
    assert "RollsBlocked" in conditions(sim)
    sim.cluster.workload_changes = {}
    await sim.reconcile()
    assert ("RollsBlocked" in conditions(sim), held(sim), len(sim.cluster.rolls_json)) == (False, 0, 1)


@pytest.mark.parametrize("changes", ROLLOUTS)
async def test_by_choice_a_pod_in_a_rollout_is_evicted_before_its_limit(changes: dict[str, Any]) -> None:
    sim = leaking(duringRollout="Evict")
    sim.cluster.workload_changes = changes
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}, "not earlier than necessary: the rollout may end"
    sim.cluster.seconds = NEAR_S
    await sim.reconcile()
    await sim.run_rolls()
    (roll,) = sim.cluster.rolls_json.values()
    assert (roll["status"]["phase"], roll["status"]["strategy"]) == ("Succeeded", "Evict")
    assert "evicted before its limit although" in roll["spec"]["reason"]
    assert "leaky-1" not in sim.cluster.pods
    assert "RollsBlocked" not in conditions(sim)


async def test_an_eviction_is_not_begun_once_the_rollout_has_scaled_the_replica_set_down() -> None:
    """The ReplicaSet would not create the pod again: it is about to be deleted by the rollout anyway."""
    sim = leaking(duringRollout="Evict")
    sim.cluster.workload_changes, sim.cluster.seconds = BROKEN_IMAGE, NEAR_S
    await sim.reconcile()
    await sim.step_rolls()
    sim.cluster.desired = 0
    await sim.step_rolls()  # captures evidence with what the announcement has observed
    await sim.step_rolls()
    (roll,) = sim.cluster.rolls_json.values()
    assert (roll["status"]["phase"], roll["status"]["reason"]) == ("Aborted", "WorkloadChanging")
    assert "leaky-1" in sim.cluster.pods


async def test_a_pod_that_is_not_ready_is_held_and_reported_near_its_limit() -> None:
    sim = leaking(ready=False)
    sim.cluster.seconds = NEAR_S
    await sim.reconcile()
    assert sim.condition("RollsBlocked")[1] == "PodNotReady"
    assert "set roll.whenNotReady: Evict" in sim.condition("RollsBlocked")[2]
    assert sim.cluster.rolls_json == {}


async def test_by_choice_a_pod_that_is_not_ready_is_evicted_before_its_limit() -> None:
    sim = leaking(ready=False, whenNotReady="Evict")
    sim.cluster.seconds = NEAR_S
    await sim.reconcile()
    await sim.run_rolls()
    (roll,) = sim.cluster.rolls_json.values()
    assert (roll["status"]["phase"], roll["status"]["strategy"]) == ("Succeeded", "Evict")
    assert "leaky-1" not in sim.cluster.pods
