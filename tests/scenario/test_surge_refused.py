"""Leaking pods that must not be surged: the strategy used instead, and the reported reason."""

from __future__ import annotations

from memroll.model.permissions import Permissions
from tests.builders import line, workload
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation, leaking

BY_HASH = "Service chat selects the pod by its label pod-template-hash"
NEVER_TWO = "Deployment/leaky has strategy Recreate (two of its pods must never run at once)"


def released(cluster: FakeCluster) -> bool:
    return any(write.startswith("release") for write in cluster.writes)


async def test_a_pod_that_a_service_selects_by_its_hash_is_evicted():
    sim = leaking()
    sim.cluster.hash_selected_by = BY_HASH
    await sim.reconcile()
    await sim.run_rolls()
    (status,) = (r["status"] for r in sim.cluster.rolls_json.values())
    assert (status["phase"], status["strategy"], status["strategyReason"]) == ("Succeeded", "Evict", BY_HASH)
    assert sim.cluster.evicted == ["uid-leaky-1"]
    assert not released(sim.cluster)


async def test_a_pod_without_room_for_a_second_copy_is_evicted():
    sim = leaking()
    sim.cluster.missing_room = "no node has room for a second copy of the pod: 1 of 1 without a free nvidia.com/gpu"
    await sim.reconcile()
    await sim.run_rolls()
    (status,) = (r["status"] for r in sim.cluster.rolls_json.values())
    assert (status["phase"], status["strategy"]) == ("Succeeded", "Evict")
    assert status["strategyReason"] == sim.cluster.missing_room
    assert not released(sim.cluster)


async def test_a_required_surge_is_tried_even_without_room():
    spec = FAST | {"roll": {**FAST["roll"], "strategy": "Surge"}}
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}), spec)
    sim.cluster.missing_room = "no node has room"
    await sim.reconcile()
    await sim.run_rolls()
    assert released(sim.cluster)
    assert sim.phases == ["Succeeded"]


async def test_with_strategy_surge_no_podroll_is_created_and_the_reason_is_reported():
    spec = FAST | {"roll": {**FAST["roll"], "strategy": "Surge"}}
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}), spec)
    sim.cluster.hash_selected_by = BY_HASH
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    assert sim.blocked_message == f"strategy Surge is set in the spec, but {BY_HASH}"
    assert "RollBlocked" in sim.recorder.reasons("Pod")


async def test_a_service_created_after_the_announcement_is_respected():
    """Argo Rollouts, for example, can be given its Services during a roll."""
    sim = leaking()
    await sim.reconcile()
    await sim.step_rolls()
    assert sim.phases == ["CapturingEvidence"]
    sim.cluster.hash_selected_by = BY_HASH
    await sim.run_rolls()
    assert sim.phases == ["Succeeded"]
    assert not released(sim.cluster)


async def test_a_workload_with_strategy_recreate_is_blocked_without_permission_to_restart():
    sim = leaking()
    sim.cluster.workload_changes = {"has_recreate_strategy": True}
    sim.change_context(permissions=Permissions(restart=False))
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    message = sim.blocked_message
    assert message.startswith(f"{NEVER_TWO}, and memroll was installed without the right to restart workloads: ")
    assert "restart.enabled" in message


async def test_a_workload_with_strategy_recreate_is_restarted():
    sim = leaking()
    sim.cluster.workload_changes = {"has_recreate_strategy": True}
    await sim.reconcile()
    for _ in range(2):
        await sim.step_rolls()
    (status,) = (r["status"] for r in sim.cluster.rolls_json.values())
    assert (status["phase"], status["strategy"], status["strategyReason"]) == ("Replacing", "Restart", NEVER_TWO)
    assert "restart leaky" in sim.cluster.writes
    assert sim.cluster.evicted == []
    assert not released(sim.cluster)


async def test_a_restart_that_is_no_longer_needed_respects_the_services():
    """The workload got strategy RollingUpdate after the announcement, but a Service selects the pod by its hash."""
    sim = leaking()
    sim.cluster.workload_changes = {"has_recreate_strategy": True}
    await sim.reconcile()
    await sim.step_rolls()
    (status,) = (r["status"] for r in sim.cluster.rolls_json.values())
    assert (status["phase"], status["strategy"]) == ("CapturingEvidence", "Restart")
    sim.cluster.workload_changes, sim.cluster.hash_selected_by = {}, BY_HASH
    await sim.run_rolls()
    (status,) = (r["status"] for r in sim.cluster.rolls_json.values())
    assert (status["phase"], status["strategy"], status["strategyReason"]) == ("Succeeded", "Evict", BY_HASH)
    assert not released(sim.cluster)
    assert "restart leaky" not in sim.cluster.writes


async def test_a_pod_of_a_workload_with_maxsurge_0_is_evicted():
    sim = leaking()
    sim.cluster.workload_changes = {"must_not_surge_because": "Deployment/leaky has maxSurge 0"}
    await sim.reconcile()
    await sim.run_rolls()
    assert sim.phases == ["Succeeded"]
    assert not released(sim.cluster)
    assert sim.cluster.pods.keys() == {"leaky-2"}
    assert workload().must_not_surge_because == "", "the default of all other tests"
