"""The plan of a namespace agrees with what the operator does, and nothing is created."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import AsyncMock

import pytest

from memroll.errors import PrometheusUnavailableError
from memroll.inspection.operator_view import read_namespace
from memroll.inspection.read_only import ReadOnlyCluster
from memroll.inspection.roll_plan import plan_namespace
from memroll.planning.gate_result import Gate
from memroll.settings import Settings
from tests.builders import NOW, at, line, policy_json
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation, leaking


async def plan(sim: Simulation, ahead: timedelta = timedelta(hours=6)):
    cluster = ReadOnlyCluster(sim.cluster)
    view = await read_namespace(cluster, "demo", Settings(), at(sim.cluster.seconds))
    return await plan_namespace(view, cluster, sim.prometheus, ahead)


async def test_a_due_pod_is_rolled_now_and_nothing_is_created():
    sim = leaking()
    (found,) = await plan(sim)
    (roll,) = found.rolls
    assert (roll.is_now, roll.at, roll.gate) == (True, NOW, None)
    assert (roll.candidate.pod.key.name, roll.workload) == ("leaky-1", "Deployment/leaky")
    assert (sim.cluster.rolls_json, sim.cluster.writes) == ({}, [])
    await sim.reconcile()
    assert len(sim.cluster.rolls_json) == 1


@pytest.mark.parametrize("name", ["protected", "selected by its hash"])
async def test_what_is_read_only_for_pods_that_are_due_blocks_them_as_in_a_reconcile(name, monkeypatch):
    sim = leaking()
    if name == "protected":
        found_annotations = {"memroll.dev/do-not-disrupt": "true"}
        monkeypatch.setattr(sim.cluster, "get_namespace_annotations", AsyncMock(return_value=found_annotations))
    else:
        sim.cluster.hash_selected_by = "Service chat selects the pod by its label"
        sim.cluster.policies_json["leaky"]["spec"] = FAST | {"roll": FAST["roll"] | {"strategy": "Surge"}}
    (found,) = await plan(sim)
    (roll,) = found.rolls
    await sim.reconcile()
    blocked = sim.status["atRisk"][0]["blockedBy"]
    assert (roll.gate, roll.message, roll.at) == (blocked["gate"], blocked["message"], None)


async def test_a_second_pod_waits_for_the_first_with_its_gate():
    sim = leaking(2)
    sim.prometheus.by_container["id-leaky-2"] = line(0.5)
    (found,) = await plan(sim)
    assert [(r.is_now, r.gate) for r in found.rolls] == [(True, None), (False, Gate.CONCURRENCY)]


async def test_a_blocked_pod_that_only_a_person_can_release_has_no_time():
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}), FAST | {"mode": "Observe"})
    (found,) = await plan(sim)
    (roll,) = found.rolls
    assert (roll.gate, roll.at, roll.is_now) == (Gate.OBSERVE_ONLY, None, False)


async def test_a_suspended_policy_plans_nothing_and_reads_nothing():
    sim = Simulation(FakeCluster(1), FakePrometheus({}), FAST | {"suspend": True})
    (found,) = await plan(sim)
    assert (found.rolls, found.error, sim.prometheus.prefilters) == ((), None, [])


async def test_an_error_of_prometheus_is_that_of_the_policy():
    error = PrometheusUnavailableError("Timeout", "no answer")
    (found,) = await plan(Simulation(FakeCluster(1), FakePrometheus({}, error)))
    assert found.error is error


async def test_every_policy_is_planned_the_oldest_first():
    sim = leaking()
    sim.cluster.policies_json = {
        "younger": policy_json(FAST, name="younger", creationTimestamp="2026-03-01T11:00:00Z")
    } | sim.cluster.policies_json
    assert [(p.policy.name, p.watched_pods) for p in await plan(sim)] == [("leaky", 1), ("younger", 0)]


async def test_pods_without_samples_are_counted():
    (found,) = await plan(Simulation(FakeCluster(2), FakePrometheus({})))
    assert (found.watched_pods, found.inconclusive_pods) == (2, 2)
