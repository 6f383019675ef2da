"""Reconciles after a roll: its effect is compared, reported once, and followed by the right consequence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from memroll.detection.series import Series
from memroll.errors import PrometheusUnavailableError
from tests.builders import LIMIT, MIB, WORKLOAD_REF, at, line, roll_json
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation

if TYPE_CHECKING:
    from memroll.detection.samples import QueryResult, ReadRequest

BORN_S = -180
"""Start of the replacement's container, in seconds from NOW; its predecessor was rolled ten seconds earlier."""


class PartlyFailingPrometheus(FakePrometheus):
    """Prometheus whose queries for the pods in `lost` fail."""

    lost: tuple[str, ...] = ()

    async def read(self, connection: str, request: ReadRequest) -> QueryResult:
        if set(self.lost) & set(request.pods):
            raise PrometheusUnavailableError("QueryTimeout", "slow")
        return await super().read(connection, request)


def stamp(seconds: float) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def earlier(rate: float, base: float = 20.0) -> Series:
    """Build the samples of the old pod, which ran for 190 s."""
    samples = line(rate, age_s=190, base_mib=base)
    return Series(samples.times_s + BORN_S - 10, samples.values)


def rolled(new: Series, old: Series) -> Simulation:
    """Simulate the time after pod leaky-0 was replaced by leaky-1."""
    sim = Simulation(FakeCluster(1), PartlyFailingPrometheus({"id-leaky-0": old, "id-leaky-1": new}))
    trigger = {
        "container": "app", "usageBytes": 115 * MIB, "limitBytes": LIMIT, "growthBytesPerHour": 1800 * MIB,
        "containerStarted": stamp(BORN_S - 200), "image": "",
    }  # fmt: skip
    raw = roll_json(
        "Succeeded",
        created=at(BORN_S - 10),
        spec={"podName": "leaky-0", "podUID": "uid-leaky-0", "trigger": trigger},
        podUID="uid-leaky-0",
        strategy="Surge",
        workload=WORKLOAD_REF,
        workloadUID="deploy-1",
        release={"hashLabel": "pod-template-hash", "templateHash": "5d"},
        replacement={"name": "leaky-1", "uid": "uid-leaky-1"},
        times={"finished": stamp(BORN_S + 5)},
    )
    sim.cluster.rolls_json["first"] = raw | {"metadata": raw["metadata"] | {"name": "first"}}
    return sim


async def at_age(sim: Simulation, seconds: float) -> None:
    """Reconcile when the replacement has this age."""
    sim.cluster.seconds = BORN_S + seconds
    await sim.reconcile()


def effect(sim: Simulation) -> dict[str, Any]:
    return sim.cluster.rolls_json["first"]["status"].get("effect", {})


def effect_events(sim: Simulation) -> list[tuple[str, str]]:
    reasons = ("RollIneffective", "LeakPersists")
    return [(e.reason.value, e.regarding.kind) for e in sim.recorder.events if e.reason.value in reasons]


INEFFECTIVE = line(0.15, base_mib=100)
"""Samples with 103 MiB after the warm-up, of 115 when the predecessor was rolled; due three minutes later."""


async def test_an_ineffective_roll_blocks_the_workload_with_a_message():
    sim = rolled(INEFFECTIVE, earlier(0.5))
    await at_age(sim, 26)
    assert effect(sim)["result"] == "Ineffective"
    assert effect_events(sim) == [("RollIneffective", k) for k in ("PodRoll", "Deployment", "MemoryPolicy")]
    assert (
        "freed 11.6 MiB of 115.0 MiB: the replacement holds 103.4 MiB at the age of 25s"
        in sim.recorder.events[-1].message
    )
    await at_age(sim, 180)
    assert list(sim.cluster.rolls_json) == ["first"], "the replacement is due, and blocked"
    message = sim.blocked_message
    assert message == (
        "blocked until 2026-03-01T17:57:26Z or a new revision: the last roll was ineffective"
        " (freed 11.6 MiB of 115.0 MiB)"
    )
    assert sim.recorder.reasons("Pod").count("RollBlocked") == 1
    assert "blocked until" in next(e.message for e in sim.recorder.events if e.reason.value == "RollBlocked")
    assert len(effect_events(sim)) == 3, "reported once"


async def test_the_block_after_an_ineffective_roll_expires():
    sim = rolled(INEFFECTIVE, earlier(0.5))
    await at_age(sim, 26)
    status = sim.cluster.rolls_json["first"]["status"]
    status["effect"]["comparedAt"] = stamp(-6 * 3600)
    await at_age(sim, 180)
    assert len(sim.cluster.rolls_json) == 2


async def test_a_new_revision_ends_the_block():
    sim = rolled(INEFFECTIVE, earlier(0.5))
    await at_age(sim, 26)
    pod = sim.cluster.pods["leaky-1"]
    sim.cluster.pods["leaky-1"] = replace(pod, labels=pod.labels | {"pod-template-hash": "6e"})
    await at_age(sim, 180)
    assert len(sim.cluster.rolls_json) == 2, "the new revision leaks as well, and is rolled like any other"


async def test_a_persisting_leak_is_reported_once_and_rolled_again():
    sim = rolled(line(0.5), earlier(0.5))
    await at_age(sim, 26)
    assert "comparedAt" not in effect(sim), "the memory was freed; its growth is not known yet"
    assert effect(sim)["afterBytes"] < 40 * MIB
    for age in (90, 100, 110):
        await at_age(sim, age)
    assert effect(sim)["result"] == "LeakPersists"
    assert effect(sim)["ageSeconds"] == 80
    assert effect_events(sim) == [("LeakPersists", k) for k in ("PodRoll", "Deployment", "MemoryPolicy")]
    message = next(e.message for e in sim.recorder.events if e.reason.value == "LeakPersists")
    assert "+1800.0 MiB per hour at the age of 80s, as before (+1800.0 MiB per hour)" in message
    await at_age(sim, 180)
    assert len(sim.cluster.rolls_json) == 2, "rolls continue within the budget"
    await sim.run_rolls()
    assert sim.phases == ["Succeeded", "Succeeded"]


async def test_an_effective_roll_publishes_no_event():
    sim = rolled(line(0.0, base_mib=30), earlier(0.5))
    for age in (26, 90, 180):
        await at_age(sim, age)
    assert effect(sim)["result"] == "Effective"
    assert effect_events(sim) == []
    sample = {"namespace": "demo", "policy": "leaky", "effect": "Effective"}
    assert sim.metrics.registry.get_sample_value("memroll_roll_effects_total", sample) == 1


async def test_a_failed_query_fails_no_reconcile_and_the_comparison_is_repeated():
    sim = rolled(line(0.5), earlier(0.5))
    sim.prometheus.lost = ("leaky-0",)
    await at_age(sim, 90)
    assert effect(sim) == {}
    assert sim.condition("Ready")[:2] == ("True", "Watching")
    assert sim.condition("PrometheusReachable")[0] == "True"
    assert sim.status["pods"]["total"] == 1
    sim.prometheus.lost = ()
    await at_age(sim, 95)
    assert effect(sim)["result"] == "LeakPersists"


async def test_a_podroll_that_another_client_changes_is_compared_later():
    sim = rolled(line(0.5), earlier(0.5))
    get_roll = sim.cluster.get_roll

    async def and_then_canceled(namespace: str, name: str) -> dict[str, Any] | None:
        raw = await get_roll(namespace, name)
        sim.cluster.rolls_json[name] = raw | {"metadata": raw["metadata"] | {"resourceVersion": "99"}}
        return raw

    sim.cluster.get_roll = and_then_canceled
    await at_age(sim, 90)
    assert effect(sim) == {}
    sim.cluster.get_roll = get_roll
    await at_age(sim, 95)
    assert effect(sim)["result"] == "LeakPersists"
    assert len(effect_events(sim)) == 3


async def test_without_a_replacement_of_sufficient_age_the_effect_stays_unknown():
    sim = rolled(line(0.5), earlier(0.5))
    await at_age(sim, 26)
    sim.cluster.pods.clear()
    sim.cluster.desired = 1
    sim.cluster.settle()
    await at_age(sim, 40)
    assert "result" not in effect(sim)
    assert "comparedAt" in effect(sim)
    assert effect(sim)["message"].startswith("freed ")
    assert effect(sim)["message"].endswith(
        "replacement leaky-1 was gone, or no longer watched, before it was old enough to be compared"
    )


async def test_a_replacement_that_is_rolled_too_early_is_named_with_its_roll():
    sim = rolled(line(0.5), earlier(0.5))
    manifest = {"metadata": {"name": "by-hand", "namespace": "demo"}}
    spec = {"podName": "leaky-1", "podUID": "uid-leaky-1", "policy": "leaky"}
    await sim.cluster.create_roll("demo", manifest | {"spec": spec})
    sim.cluster.seconds = BORN_S
    await sim.run_rolls()
    await at_age(sim, 40)
    assert effect(sim)["message"] == (
        "replacement leaky-1 was itself rolled by PodRoll by-hand before it was old enough to be compared"
    )


async def test_the_leak_ledger_outlives_the_podrolls():
    sim = rolled(line(0.5), earlier(0.5))
    await at_age(sim, 180)
    (entry,) = sim.status["ledger"]
    assert (entry["workload"], entry["revision"], entry["rolls"]) == ("Deployment/leaky", "5d", 1)
    assert entry["growthBytesPerHour"] == 1800 * MIB
    await sim.run_rolls()
    await sim.reconcile()
    (entry,) = sim.status["ledger"]
    assert entry["rolls"] == 2
    sim.cluster.rolls_json.clear()
    await sim.reconcile()
    assert sim.status["ledger"] == [entry]


async def test_a_healthy_workload_has_no_ledger_entry():
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.0, base_mib=30)}), FAST)
    await sim.reconcile()
    assert sim.status["ledger"] == []
