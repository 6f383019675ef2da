"""Condition CannotKeepUp of a policy: present, with Event and metric, while a budget leaves too little time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.builders import at, container, line, policy_json
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation

PODS = ("leaky-1", "leaky-2", "leaky-3")


def with_budget(rolls: int) -> dict[str, Any]:
    return FAST | {"roll": FAST["roll"] | {"maxConcurrent": "100%", "budgets": [{"rolls": rolls, "per": "24h"}]}}


def conditions(sim: Simulation) -> list[str]:
    return [c["type"] for c in sim.status["conditions"]]


def metric(sim: Simulation) -> float | None:
    labels = {"namespace": "demo", "policy": "leaky"}
    return sim.metrics.registry.get_sample_value("memroll_cannot_keep_up", labels)


async def test_the_condition_is_present_until_the_budget_suffices():
    sim = Simulation(FakeCluster(3), FakePrometheus({f"id-{name}": line(0.5) for name in PODS}), with_budget(1))
    await sim.reconcile()
    message = (
        "2 of 3 pods of Deployment/leaky reach their limit before the budget of 1 rolls per 24h allows the roll:"
        " raise roll.budgets"
    )
    assert sim.condition("CannotKeepUp") == ("True", "BudgetTooSmall", message)
    assert sim.recorder.reasons("MemoryPolicy").count("CannotKeepUp") == 1
    assert metric(sim) == 1
    assert sim.condition("Ready")[0] == "True"
    sim.cluster.policies_json["leaky"] = policy_json(with_budget(10_000))
    await sim.reconcile()
    assert "CannotKeepUp" not in conditions(sim)
    assert metric(sim) == 0


async def test_a_policy_that_only_observes_has_no_such_condition():
    spec = with_budget(1) | {"mode": "Observe"}
    sim = Simulation(FakeCluster(3), FakePrometheus({f"id-{name}": line(0.5) for name in PODS}), spec)
    await sim.reconcile()
    assert "CannotKeepUp" not in conditions(sim)


async def test_the_status_names_the_spent_budget_of_a_pod_that_was_oom_killed():
    sim = Simulation(FakeCluster(2), FakePrometheus({f"id-{name}": line(0.5) for name in PODS}), with_budget(1))
    await sim.reconcile()
    await sim.run_rolls()
    name, held = next((name, p) for name, p in sim.cluster.pods.items() if name in PODS)
    killed = container(id="", restarts=4, oom_killed_at=at(sim.cluster.seconds - 1))
    sim.cluster.pods = {name: replace(held, ready=False, containers=(killed,))}
    await sim.reconcile()
    message = sim.condition("Ready")[2]
    assert message.startswith(
        "watching 1 pod: 0 healthy, 1 inconclusive (the container is not running; OOM-killed, and"
    )
    assert "the budget of 1 rolls per 24h is spent until " in message
