"""The do-not-disrupt annotation of a workload, in whole reconciles and in the steps of a roll."""

from __future__ import annotations

from tests.builders import roll_json
from tests.scenario.simulation import leaking

UNTIL = "Deployment/leaky is marked memroll.dev/do-not-disrupt until 2026-03-01T12:00:10Z"


async def test_no_pod_of_a_protected_workload_is_rolled_until_the_protection_ends():
    sim = leaking()
    sim.cluster.workload_changes = {"do_not_disrupt": "2026-03-01T12:00:10Z"}
    await sim.reconcile()
    blocked = sim.status["atRisk"][0]["blockedBy"]
    assert (blocked["gate"], blocked["message"], sim.cluster.rolls_json) == ("DoNotDisrupt", UNTIL, {})
    sim.cluster.seconds = 10
    await sim.reconcile()
    assert len(sim.cluster.rolls_json) == 1


async def test_a_workload_that_is_protected_after_the_plan_is_left_alone():
    sim = leaking()
    await sim.reconcile()
    await sim.step_rolls()
    assert sim.phases == ["CapturingEvidence"]
    sim.cluster.workload_changes = {"do_not_disrupt": "true"}
    sim.restart()  # without the memory of the last step
    await sim.run_rolls()
    assert sim.phases == ["Aborted"]
    assert not [w for w in sim.cluster.writes if w.startswith(("release", "evict"))]


async def test_a_roll_by_hand_of_a_protected_workload_is_refused():
    sim = leaking()
    sim.cluster.workload_changes = {"do_not_disrupt": "2026-03-01T12:00:10Z"}
    raw = roll_json(spec={"podName": "leaky-1", "podUID": "uid-leaky-1", "policy": ""})
    sim.cluster.rolls_json["leaky-abc-1"] = raw
    await sim.step_rolls()
    status = sim.cluster.rolls_json["leaky-abc-1"]["status"]
    assert (status["phase"], status["message"]) == ("Aborted", UNTIL)
