"""Drains whose pod must not be detached, because the dry run of its eviction is refused or has no answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memroll.model.pods import RELEASED_HASH
from tests.builders import line
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation

DETACH = {"mode": "Detach", "minDuration": "10s", "timeout": "60s"}
SPEC = FAST | {"roll": FAST["roll"] | {"drain": DETACH}}


async def announced(replicas: int = 1) -> Simulation:
    """Return a simulation with one roll of a policy that drains; its replacement timeout is a minute."""
    simulation = Simulation(FakeCluster(replicas), FakePrometheus({"id-leaky-1": line(0.5)}), SPEC)
    await simulation.reconcile()
    assert len(simulation.cluster.rolls_json) == 1
    return simulation


async def run_until_replaced(simulation: Simulation) -> None:
    """Step the roll until its pod is released and the replacement is Ready."""
    await simulation.run_rolls(4)
    assert simulation.phases == ["Replacing"]
    assert any(RELEASED_HASH in p.labels.values() for p in simulation.cluster.pods.values())


def status(simulation: Simulation) -> dict[str, Any]:
    (roll,) = simulation.cluster.rolls_json.values()
    return roll["status"]


def changes(simulation: Simulation) -> list[str]:
    """Return the verbs of all writes to pods."""
    verbs = [w.split()[0] for w in simulation.cluster.writes]
    return [v for v in verbs if v not in ("status", "create", "own")]


async def test_a_budget_that_refuses_is_reported_and_the_roll_rolled_back_after_one_timeout():
    simulation = await announced()
    simulation.cluster.budget_allows = False
    await run_until_replaced(simulation)
    await simulation.run_rolls(12)
    assert (status(simulation)["phase"], status(simulation)["reason"]) == ("Replacing", "BlockedByPodDisruptionBudget")
    assert "EvictionBlocked" in simulation.recorder.reasons("Pod")
    await simulation.run_rolls(48)
    assert status(simulation)["phase"] == "Replacing"
    await simulation.run_rolls(4)
    assert (status(simulation)["phase"], status(simulation)["reason"]) == ("Failed", "EvictionTimedOut")
    assert changes(simulation) == ["release", "prefer", "restore"]


async def test_a_pod_is_drained_once_its_budget_permits_that():
    simulation = await announced()
    simulation.cluster.budget_allows = False
    await run_until_replaced(simulation)
    await simulation.run_rolls(50)
    simulation.cluster.budget_allows = True
    await simulation.run_rolls(20)
    assert simulation.phases == ["Succeeded"]
    assert changes(simulation) == ["release", "detach", "evict"]


async def test_a_second_budget_that_is_made_after_the_release_restores_the_pod():
    simulation = await announced()
    await simulation.run_rolls(3)
    simulation.cluster.never_evictable = "two PodDisruptionBudgets"
    await simulation.run_rolls(8)
    assert (status(simulation)["phase"], status(simulation)["reason"]) == ("Failed", "EvictionRefused")
    assert changes(simulation) == ["release", "prefer", "restore"]


@pytest.mark.parametrize(("error_s", "expected"), [(30, ["detach", "evict"]), (80, ["evict"])])
async def test_dry_runs_without_an_answer_delay_a_drain_and_then_omit_it(error_s, expected):
    simulation = await announced()
    simulation.cluster.dry_run_error = 'admission webhook "pods.example.com" does not support dry run'
    await run_until_replaced(simulation)
    await simulation.run_rolls(error_s)
    simulation.cluster.dry_run_error = ""
    await simulation.run_rolls(20)
    assert simulation.phases == ["Succeeded"]
    assert changes(simulation) == ["release", *expected]
    skipped = status(simulation)["detachment"].get("skipped", "")
    assert ("does not support dry run" in skipped) is ("detach" not in expected)


async def test_a_pod_is_drained_although_a_peer_is_not_ready_for_long():
    simulation = await announced(replicas=2)
    for _ in range(90):
        peer = simulation.cluster.pods["leaky-2"]
        if simulation.cluster.seconds >= 3:
            simulation.cluster.pods["leaky-2"] = replace(peer, ready=False)
        await simulation.step_rolls()
        simulation.cluster.settle()
    assert changes(simulation) == ["release", "detach", "evict"]
