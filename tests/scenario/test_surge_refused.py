"""A leaking pod that must not be surged: what is done instead, and what a person reads."""

from __future__ import annotations

from dataclasses import replace

from memroll.model.permissions import Permits
from tests.builders import line, workload
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.test_passes import FAST, Stage, leaking, run_rolls

BY_HASH = "Service chat selects the pod by its label pod-template-hash"
NEVER_TWO = "Deployment/leaky has strategy Recreate (two of its pods must never run at once)"


def released(cluster: FakeCluster) -> bool:
    return any(write.startswith("release") for write in cluster.writes)


async def test_a_pod_that_a_service_selects_by_its_hash_is_evicted():
    stage = leaking()
    stage.cluster.selected_by = BY_HASH
    await stage.judge()
    await run_rolls(stage)
    (status,) = (r["status"] for r in stage.cluster.rolls_json.values())
    assert (status["phase"], status["strategy"], status["strategyReason"]) == ("Succeeded", "Evict", BY_HASH)
    assert stage.cluster.evicted == ["uid-leaky-1"]
    assert not released(stage.cluster)


async def test_where_the_policy_insists_on_a_surge_nothing_is_recorded_and_the_reason_is_told():
    spec = FAST | {"roll": {**FAST["roll"], "strategy": "Surge"}}
    stage = Stage(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}), spec)
    stage.cluster.selected_by = BY_HASH
    await stage.judge()
    assert stage.cluster.rolls_json == {}
    assert stage.status["nearest"][0]["heldBy"] == f"the policy asks for Surge, but {BY_HASH}"
    assert "RollHeld" in stage.log.reasons("Pod")


async def test_a_service_that_appears_after_the_announcement_is_heeded():
    """As when Argo Rollouts is given its Services in the middle of a roll."""
    stage = leaking()
    await stage.judge()
    await stage.step_all()
    assert stage.phases == ["Announced"]
    stage.cluster.selected_by = BY_HASH
    await run_rolls(stage)
    assert stage.phases == ["Succeeded"]
    assert not released(stage.cluster)


async def test_a_workload_that_recreates_is_held_where_restarts_are_not_allowed():
    stage = leaking()
    stage.cluster.changes = {"recreates": True}
    stage.passes = replace(stage.passes, permits=Permits(restart=False))
    await stage.judge()
    assert stage.cluster.rolls_json == {}
    held = stage.status["nearest"][0]["heldBy"]
    assert held.startswith(f"{NEVER_TWO}, and memroll was installed without the right to restart workloads: ")
    assert "restart.enabled" in held


async def test_a_workload_that_recreates_is_restarted_where_restarts_are_allowed():
    stage = leaking()
    stage.cluster.changes = {"recreates": True}
    await stage.judge()
    for _ in range(3):
        await stage.step_all()
    (status,) = (r["status"] for r in stage.cluster.rolls_json.values())
    assert (status["phase"], status["strategy"], status["strategyReason"]) == ("Replacing", "Restart", NEVER_TWO)
    assert "restart leaky" in stage.cluster.writes
    assert stage.cluster.evicted == []
    assert not released(stage.cluster)


async def test_a_workload_with_no_room_for_one_more_is_evicted():
    stage = leaking()
    stage.cluster.changes = {"surge_refused": "Deployment/leaky has maxSurge 0"}
    await stage.judge()
    await run_rolls(stage)
    assert stage.phases == ["Succeeded"]
    assert not released(stage.cluster)
    assert stage.cluster.pods.keys() == {"leaky-2"}
    assert workload().surge_refused == "", "what all other tests are about"
