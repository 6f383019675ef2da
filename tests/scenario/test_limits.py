"""Limits that count instead of that of the container: of the policy, and of the node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from memroll.model.permissions import ALL_PERMISSIONS
from tests.builders import MIB, line
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation

GIB = 1024 * MIB


def at_110_mib(own: int | None, node_mib: int | None = None, **exhaustion: Any) -> Simulation:
    """Simulate a pod on node n1 that leaks, and is at 110 MiB, with this limit of its own."""
    spec = FAST | {"growth": FAST["growth"] | {"perHour": "64Mi"}, "exhaustion": exhaustion}
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}), spec)
    pod = sim.cluster.pods["leaky-1"]
    (container,) = pod.containers
    sim.cluster.pods["leaky-1"] = replace(pod, node="n1", containers=(replace(container, limit_bytes=own),))
    sim.cluster.node_memory = {} if node_mib is None else {"n1": node_mib * MIB}
    return sim


def reasons(sim: Simulation) -> list[str]:
    return [r["spec"]["reason"] for r in sim.cluster.rolls_json.values()]


async def test_the_policy_s_limit_is_the_one_that_the_pod_is_rolled_before():
    sim = at_110_mib(GIB, limit="128Mi")
    await sim.reconcile()
    (reason,) = reasons(sim)
    assert reason.startswith("app: 110.0 MiB of 128.0 MiB (86% of exhaustion.limit; the container has 1024.0 MiB), ")
    (entry,) = sim.status["atRisk"]
    assert entry["limitBytes"] == 128 * MIB
    assert entry["message"].endswith("(limit 128.0 MiB: exhaustion.limit; the container has 1024.0 MiB)")
    (recorded,) = sim.cluster.rolls_json.values()
    assert recorded["spec"]["trigger"]["limitBytes"] == 128 * MIB


async def test_a_pod_without_a_limit_is_rolled_before_that_of_the_policy():
    sim = at_110_mib(None)
    await sim.reconcile()
    assert reasons(sim) == []
    sim = at_110_mib(None, limit="128Mi")
    await sim.reconcile()
    assert "exhaustion.limit; the container has no limit" in reasons(sim)[0]


async def test_a_node_that_is_smaller_than_the_limit_is_the_limit():
    sim = at_110_mib(GIB, node_mib=128)
    await sim.reconcile()
    assert "(86% of allocatable memory of the node; the container has 1024.0 MiB)" in reasons(sim)[0]


async def test_a_share_of_the_node_is_a_limit_for_a_pod_without_one():
    sim = at_110_mib(None, node_mib=256, limit="50%")
    await sim.reconcile()
    assert "110.0 MiB of 128.0 MiB (86% of exhaustion.limit; the container has no limit)" in reasons(sim)[0]


async def test_without_the_permission_no_node_is_read_and_the_pod_s_own_limit_counts():
    sim = at_110_mib(GIB, node_mib=128)
    sim.change_context(permissions=replace(ALL_PERMISSIONS, nodes=False))
    await sim.reconcile()
    assert reasons(sim) == []
    assert sim.status["atRisk"][0]["limitBytes"] == GIB


async def test_a_limit_that_never_counts_is_reported_and_changes_nothing():
    sim = at_110_mib(128 * MIB, limit="2Gi")
    await sim.reconcile()
    assert sim.condition("Misconfigured")[:2] == ("True", "LimitWithoutEffect")
    assert sim.recorder.reasons("MemoryPolicy").count("PolicyMisconfigured") == 1
    assert "110.0 MiB of 128.0 MiB (86%)," in reasons(sim)[0]
