"""Mode DryRun in whole reconciles: everything that mode Enforce decides, and no write but the policy's status."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memroll.detection.series import Series
from memroll.inspection.roll_plan import DRY_RUN_MESSAGE
from memroll.planning.rate_limit import RollRateLimit
from tests.builders import at, line
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, POLICY, Simulation
from tests.unit.inspection.test_pod_explanation import explain
from tests.unit.inspection.test_roll_plan import plan

DAY = {"roll": FAST["roll"] | {"budgets": [{"rolls": 1, "per": "24h"}]}}


def dry(replicas: int = 1, **spec: Any) -> Simulation:
    """Simulate a workload whose pods all leak, under a policy in mode DryRun."""
    series = {f"id-leaky-{i + 1}": line(0.5) for i in range(replicas)}
    return Simulation(FakeCluster(replicas), FakePrometheus(series), FAST | {"mode": "DryRun"} | spec)


def change_mode(sim: Simulation, mode: str) -> None:
    raw = sim.cluster.policies_json["leaky"]
    sim.cluster.policies_json["leaky"] = raw | {"spec": raw["spec"] | {"mode": mode}}


def blocked(sim: Simulation) -> dict[str, dict[str, Any]]:
    return {entry["pod"]: entry["blockedBy"] for entry in sim.status["atRisk"]}


def count(sim: Simulation, metric: str) -> float | None:
    return sim.metrics.registry.get_sample_value(metric, {"namespace": "demo", "policy": "leaky"})


def would_roll(sim: Simulation) -> list[str]:
    return [e.regarding.kind for e in sim.recorder.events if e.reason.value == "WouldRoll"]


async def test_a_pod_that_is_due_is_reported_and_nothing_is_written_but_the_status():
    sim = dry()
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    assert set(sim.cluster.writes) == {"status leaky "}
    assert blocked(sim)["leaky-1"] == {
        "gate": "DryRun", "message": "no gate blocks: the pod would be rolled now (mode: DryRun)"
    }  # fmt: skip
    (recorded,) = sim.status["dryRuns"]
    assert (recorded["pod"], recorded["podUID"], recorded["container"]) == ("leaky-1", "uid-leaky-1", "app")
    assert recorded["workload"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "leaky"}
    assert recorded["reason"].startswith("app: ")
    assert would_roll(sim) == ["Pod", "Deployment", "MemoryPolicy"]
    assert count(sim, "memroll_dry_runs_total") == 1
    assert sim.condition("Ready")[2].endswith("would be rolled now (mode: DryRun)")


async def test_a_pod_is_reported_once_also_by_another_process():
    sim = dry()
    sim.prometheus.by_container["id-leaky-1"] = line(0.5, ahead_s=15)
    await sim.reconcile()
    for _ in range(3):
        sim.cluster.seconds += 5
        sim.restart()
        await sim.reconcile()
    assert len(would_roll(sim)) == 3, "one on each object"
    assert len(sim.status["dryRuns"]) == 1
    assert blocked(sim)["leaky-1"]["message"] == "the pod would have been rolled at 2026-03-01T12:00:00Z (mode: DryRun)"


async def test_a_restarted_container_may_be_due_again():
    sim = dry()
    await sim.reconcile()
    pod = sim.cluster.pods["leaky-1"]
    restarted = replace(pod.containers[0], started_at=at(60), restarts=1)
    sim.cluster.pods["leaky-1"] = replace(pod, containers=(restarted,))
    sim.cluster.seconds = 60 + 180
    samples = line(0.5)
    sim.prometheus.by_container["id-leaky-1"] = Series(samples.times_s + sim.cluster.seconds, samples.values)
    await sim.reconcile()
    assert [entry["time"] for entry in sim.status["dryRuns"]] == ["2026-03-01T12:04:00Z", "2026-03-01T12:00:00Z"]


async def test_a_dry_run_counts_for_budgets_and_all_blocking_gates_are_shown():
    sim = dry(2, **DAY)
    await sim.reconcile()
    assert blocked(sim)["leaky-2"]["gate"] == "Concurrency"
    assert blocked(sim)["leaky-2"]["others"] == ["Budget"]
    sim.cluster.seconds += 10
    await sim.reconcile()
    assert len(sim.status["dryRuns"]) == 1
    assert (blocked(sim)["leaky-2"]["gate"], "others" in blocked(sim)["leaky-2"]) == ("Budget", False)
    text = next(e.message for e in sim.recorder.events if e.reason.value == "RollBlocked")
    assert text.endswith("; also blocked by Budget")


async def test_a_dry_run_counts_for_the_cooldown():
    sim = dry(2, roll=FAST["roll"] | {"cooldown": "10m"})
    await sim.reconcile()
    sim.cluster.seconds += 10
    await sim.reconcile()
    assert blocked(sim)["leaky-2"]["gate"] == "Cooldown"
    assert len(sim.status["dryRuns"]) == 1


async def test_dry_runs_end_with_the_mode_and_count_for_no_real_roll():
    sim = dry(**DAY)
    await sim.reconcile()
    change_mode(sim, "Enforce")
    await sim.reconcile()
    assert len(sim.cluster.rolls_json) == 1
    assert "dryRuns" not in sim.status or sim.status["dryRuns"] == []


async def test_a_trial_causes_no_alert_and_takes_no_quota_of_another_namespace():
    sim = dry(2, **DAY)
    sim.cluster.pods["leaky-1"] = replace(sim.cluster.pods["leaky-1"], ready=False)
    await sim.reconcile()
    assert blocked(sim)["leaky-1"]["gate"] == "PodNotReady"
    gauges = ("memroll_held_pods", "memroll_roll_rate_limited", "memroll_cannot_keep_up")
    assert [count(sim, gauge) for gauge in gauges] == [0, 0, 0]
    assert not sim.controllers.policies.due_namespaces.is_due_elsewhere("other", at(sim.cluster.seconds))


async def test_an_error_keeps_the_dry_runs():
    sim = dry()
    await sim.reconcile()
    recorded = sim.status["dryRuns"]
    sim.prometheus.error = OSError("a bug")
    sim.cluster.seconds += 5
    await sim.reconcile()
    assert sim.status["dryRuns"] == recorded


@pytest.mark.parametrize("mode", ["Observe", "Enforce"])
async def test_no_other_mode_makes_dry_runs(mode):
    sim = dry()
    change_mode(sim, mode)
    await sim.reconcile()
    assert (sim.status.get("dryRuns", []), would_roll(sim)) == ([], [])


async def test_a_roll_in_progress_is_stopped_by_the_change_to_dry_run_before_anything_is_changed():
    sim = dry()
    change_mode(sim, "Enforce")
    await sim.reconcile()
    change_mode(sim, "DryRun")
    await sim.run_rolls()
    assert sim.phases == ["Aborted"]
    assert not [w for w in sim.cluster.writes if w.startswith(("release", "evict"))]


async def test_the_commands_show_what_a_dry_run_would_do():
    sim = dry()
    found = await explain(sim)
    assert (found.blocking_gate, found.would_roll) == (None, True)
    assert found.next_step.startswith("the next reconcile reports that the pod would be rolled (mode: DryRun): ")
    (planned,) = (await plan(sim))[0].rolls
    assert (planned.is_now, planned.gate, planned.message) == (True, None, DRY_RUN_MESSAGE)
    await sim.reconcile()
    found = await explain(sim)
    assert found.blocking_gate == "DryRun"


async def test_many_pods_are_reported_by_one_event():
    sim = dry(8, roll=FAST["roll"] | {"maxConcurrent": "100%", "budgets": [{"rolls": 8, "per": "24h"}]})
    unlimited = replace(sim.controllers.policies, rate_limit=RollRateLimit(1000, 1000))
    await unlimited.reconcile(POLICY)
    assert would_roll(sim) == ["MemoryPolicy"]
    assert len(sim.status["dryRuns"]) == 8
