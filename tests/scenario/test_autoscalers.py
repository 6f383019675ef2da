"""Workloads with an autoscaler: it is named in the policy's status, and may scale in the middle of a roll."""

from __future__ import annotations

import pytest

from memroll.errors import PrometheusUnavailableError
from memroll.model.autoscalers import Autoscaler
from memroll.model.pod_names import WorkloadName
from tests.builders import line
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import Simulation, leaking

HPA = Autoscaler("HorizontalPodAutoscaler", "leaky", WorkloadName("Deployment", "leaky"), "scales by memory: a leak")
NAMED = [
    {"name": "HorizontalPodAutoscaler/leaky", "workload": "Deployment/leaky", "message": "scales by memory: a leak"}
]


async def test_the_autoscaler_of_a_leaking_workload_is_named_in_the_status():
    sim = leaking()
    sim.cluster.autoscalers = (HPA,)
    await sim.reconcile()
    assert sim.status["autoscalers"] == NAMED
    await sim.step_rolls()
    await sim.reconcile()
    assert sim.status["autoscalers"] == NAMED, "while the pod is rolled"


async def test_it_stays_named_while_prometheus_is_not_reachable():
    sim = leaking()
    sim.cluster.autoscalers = (HPA,)
    await sim.reconcile()
    sim.prometheus.error = PrometheusUnavailableError("Timeout", "no response")
    await sim.reconcile()
    assert sim.status["autoscalers"] == NAMED
    assert sim.cluster.autoscaler_reads == 1


async def test_it_stays_named_while_the_autoscalers_cannot_be_read():
    sim = leaking()
    sim.cluster.autoscalers = (HPA,)
    await sim.reconcile()
    sim.cluster.autoscalers = None
    await sim.reconcile()
    assert sim.status["autoscalers"] == NAMED
    sim.cluster.autoscalers = ()
    await sim.reconcile()
    assert sim.status["autoscalers"] == []


async def test_without_a_sign_of_a_leak_no_autoscaler_is_read():
    sim = Simulation(FakeCluster(), FakePrometheus({"id-leaky-1": line(0.0)}))
    sim.cluster.autoscalers = (HPA,)
    await sim.reconcile()
    assert sim.cluster.autoscaler_reads == 0
    assert sim.status["autoscalers"] == []


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2), (3, 1)], ids=["up", "down by one", "down to one"])
async def test_a_workload_that_is_scaled_while_its_pod_is_replaced_keeps_its_ready_pods(before, after):
    sim = leaking(before, replacements_ready=False)
    await sim.reconcile()
    await sim.run_rolls(4)
    assert sim.phases == ["Replacing"]
    sim.cluster.desired = after
    sim.cluster.min_ready = before
    await sim.run_rolls(2)
    sim.cluster.replacements_ready = True
    await sim.run_rolls(8)
    (status,) = (r["status"] for r in sim.cluster.rolls_json.values())
    assert (status["phase"], status["strategy"]) == ("Succeeded", "Surge")
    assert sim.cluster.evicted == ["uid-leaky-1"]
    assert sim.cluster.min_ready == min(before, after), "at no time fewer pods were Ready"
    running = [p for p in sim.cluster.pods.values() if not p.deleting]
    assert [p.ready for p in running] == [True] * after
