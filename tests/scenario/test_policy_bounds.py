"""Bounds of the administrator in whole reconciles: what exceeds them is refused with the reason, the others go on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from memroll.api.policy_bounds import PolicyBounds
from memroll.controller.key import Key
from memroll.controller.manual_rolls import ManualRolls
from memroll.controller.requeue import REFUSED_S
from memroll.controller.roll_controller import RollController
from tests.builders import at, line, policy_json, roll_json, stamp
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation, controllers


def simulation(replicas: int = 1, **bounds) -> Simulation:
    cluster = FakeCluster(replicas)
    sim = Simulation(cluster, FakePrometheus({f"id-leaky-{i + 1}": line(0.5) for i in range(replicas)}))
    sim.change_context(bounds=PolicyBounds(**bounds))
    return sim


@pytest.mark.parametrize(
    ("bounds", "replicas", "reason", "message"),
    [
        ({"min_interval": timedelta(seconds=30)}, 1, "IntervalTooShort", "spec.interval is 5s"),
        ({"max_window": timedelta(seconds=30)}, 1, "WindowTooLong", "spec.growth.window is 1m"),
        ({"pods_per_policy": 2}, 3, "TooManyPods", "spec.selector selects 3 pods"),
    ],
)
async def test_a_policy_beyond_a_bound_is_not_accepted_and_costs_no_query(bounds, replicas, reason, message):
    sim = simulation(replicas, **bounds)
    assert await sim.reconcile() >= REFUSED_S * 0.9
    status, found, text = sim.condition("Accepted")
    assert (status, found, text[: len(message)]) == ("False", reason, message)
    assert sim.condition("Ready")[:2] == ("False", reason)
    assert (sim.prometheus.prefilters, sim.cluster.rolls_json) == ([], {})
    assert sim.recorder.reasons("MemoryPolicy") == ["PolicyInvalid"]


async def test_only_the_youngest_policies_beyond_their_number_are_refused():
    sim = simulation(policies_per_namespace=2)
    for i in range(3):
        created = f"2026-03-01T1{i}:30:00Z"
        sim.cluster.policies_json[f"p{i}"] = policy_json(FAST, f"p{i}", creationTimestamp=created)
    reasons = {}
    for name in ("leaky", "p0", "p1", "p2"):
        await sim.reconcile(Key("demo", name))
        conditions = sim.cluster.policies_json[name]["status"]["conditions"]
        reasons[name] = next(c["reason"] for c in conditions if c["type"] == "Accepted")
    assert reasons == {"leaky": "Accepted", "p0": "Conflicted", "p1": "TooManyPolicies", "p2": "TooManyPolicies"}


class ByHand:
    """PodRolls by hand in one namespace, in a process with a bound of three within an hour."""

    def __init__(self) -> None:
        self.cluster = FakeCluster(1)
        made = controllers(self.cluster, FakePrometheus({}))
        self.rolls = RollController(made.context, made.rolls.enqueue_policy, ManualRolls(3))

    async def create(self, name: str, **spec) -> tuple[str, str, str]:
        """Create a PodRoll and make its first step; return phase, reason and message."""
        raw = roll_json(created=at(self.cluster.seconds), spec={"policy": "", "podName": "nope"} | spec)
        self.cluster.rolls_json[name] = raw | {"metadata": raw["metadata"] | {"name": name, "uid": name}}
        await self.rolls.reconcile(Key("demo", name))
        status = self.cluster.rolls_json[name]["status"]
        return status["phase"], status["reason"], status["message"]


async def test_podrolls_by_hand_beyond_the_bound_end_with_the_reason():
    by_hand = ByHand()
    assert [(await by_hand.create(f"r{i}"))[0] for i in range(3)] == ["Aborted"] * 3, "their pod does not exist"
    phase, reason, message = await by_hand.create("r3")
    assert (phase, reason) == ("Failed", "TooManyManualRolls")
    assert message == (
        "3 PodRolls by hand began in namespace demo within an hour: the administrator allows 3 "
        f"(policyBounds.manualRollsPerHour); the next one may begin at {stamp(3600)}"
    )
    by_hand.cluster.seconds = 3600.0
    assert (await by_hand.create("r4"))[0] == "Aborted", "an hour later"


async def test_a_podroll_that_names_a_policy_that_does_not_exist_is_one_by_hand():
    by_hand = ByHand()
    for i in range(3):
        await by_hand.create(f"r{i}")
    assert (await by_hand.create("forged", policy="nope"))[1] == "TooManyManualRolls"
    by_hand.cluster.policies_json["leaky"] = policy_json(FAST)
    assert (await by_hand.create("of-a-policy", policy="leaky"))[0] == "Aborted"


async def test_a_restarted_process_counts_the_podrolls_that_exist():
    by_hand = ByHand()
    for i in range(3):
        raw = roll_json("Succeeded", spec={"policy": ""}, times={"announced": stamp(-60 * i)})
        by_hand.cluster.rolls_json[f"r{i}"] = raw | {"metadata": raw["metadata"] | {"name": f"r{i}", "uid": f"r{i}"}}
    await by_hand.rolls.list_keys()
    assert (await by_hand.create("next"))[1] == "TooManyManualRolls"
