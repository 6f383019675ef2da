"""Whole passes after a roll: what it was worth is found out, told once, and followed by what should follow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from memroll.detection.series import Series
from memroll.errors import PrometheusUnavailable
from tests.builders import LIMIT, MIB, WORKLOAD_REF, at, line, roll_json
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.test_passes import FAST, Stage, run_rolls

BORN_S = -180
"""When the replacement's container began, from NOW; its predecessor was rolled ten seconds earlier."""


class Prometheus(FakePrometheus):
    """Fails to read the pods that are named in `lost`."""

    lost: tuple[str, ...] = ()

    async def read(self, connection: str, namespace: str, pods: Any, *args: Any, **kwargs: Any) -> Any:
        if set(self.lost) & set(pods):
            raise PrometheusUnavailable("QueryTimeout", "slow")
        return await super().read(connection, namespace, pods, *args, **kwargs)


def stamp(seconds: float) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def earlier(rate: float, base: float = 20.0) -> Series:
    """Build the samples of the old pod, which lived for 190 s."""
    held = line(rate, age_s=190, base_mib=base)
    return Series(held.times_s + BORN_S - 10, held.values)


def rolled(new: Series, old: Series) -> Stage:
    """Set the stage after pod leaky-0 was replaced by leaky-1."""
    stage = Stage(FakeCluster(1), Prometheus({"id-leaky-0": old, "id-leaky-1": new}))
    finding = {
        "container": "app", "usageBytes": 115 * MIB, "limitBytes": LIMIT, "growthBytesPerHour": 1800 * MIB,
        "containerStarted": stamp(BORN_S - 200), "image": "",
    }  # fmt: skip
    raw = roll_json(
        "Succeeded",
        created=at(BORN_S - 10),
        spec={"podName": "leaky-0", "podUID": "uid-leaky-0", "finding": finding},
        podUID="uid-leaky-0",
        strategy="Surge",
        workload=WORKLOAD_REF,
        workloadUID="deploy-1",
        release={"hashLabel": "pod-template-hash", "templateHash": "5d"},
        replacement={"name": "leaky-1", "uid": "uid-leaky-1"},
        times={"finished": stamp(BORN_S + 5)},
    )
    stage.cluster.rolls_json["first"] = raw | {"metadata": raw["metadata"] | {"name": "first"}}
    return stage


async def at_age(stage: Stage, seconds: float) -> None:
    """Make a pass when the replacement is that old."""
    stage.cluster.seconds = BORN_S + seconds
    await stage.judge()


def memory(stage: Stage) -> dict[str, Any]:
    return stage.cluster.rolls_json["first"]["status"].get("memory", {})


def effect_events(stage: Stage) -> list[tuple[str, str]]:
    worth = ("RollIneffective", "LeakPersists")
    return [(e.reason.value, e.regarding.kind) for e in stage.log.events if e.reason.value in worth]


IN_VAIN = line(0.15, base_mib=100)
"""Holds 103 MiB after its warm-up, of the 115 for which its predecessor was rolled, and is due three minutes later."""


async def test_an_ineffective_roll_puts_the_workload_on_hold_and_says_so():
    stage = rolled(IN_VAIN, earlier(0.5))
    await at_age(stage, 26)
    assert memory(stage)["effect"] == "Ineffective"
    assert effect_events(stage) == [("RollIneffective", k) for k in ("PodRoll", "Deployment", "MemoryPolicy")]
    assert (
        "freed 11.6 MiB of 115.0 MiB: the replacement holds 103.4 MiB at the age of 25s" in stage.log.events[-1].message
    )
    await at_age(stage, 180)
    assert list(stage.cluster.rolls_json) == ["first"], "the replacement is due, and left alone"
    held = stage.status["nearest"][0]["heldBy"]
    assert held == (
        "on hold until 2026-03-01T17:57:26Z or a new revision: the last roll did not help (freed 11.6 MiB of 115.0 MiB)"
    )
    assert stage.log.reasons("Pod").count("RollHeld") == 1
    assert "on hold until" in next(e.message for e in stage.log.events if e.reason.value == "RollHeld")
    assert len(effect_events(stage)) == 3, "told once"


async def test_the_hold_ends_with_its_time():
    stage = rolled(IN_VAIN, earlier(0.5))
    await at_age(stage, 26)
    status = stage.cluster.rolls_json["first"]["status"]
    status["memory"]["judged"] = stamp(-6 * 3600)
    await at_age(stage, 180)
    assert len(stage.cluster.rolls_json) == 2


async def test_a_fixed_revision_ends_the_hold():
    stage = rolled(IN_VAIN, earlier(0.5))
    await at_age(stage, 26)
    pod = stage.cluster.pods["leaky-1"]
    stage.cluster.pods["leaky-1"] = replace(pod, labels=pod.labels | {"pod-template-hash": "6e"})
    await at_age(stage, 180)
    assert len(stage.cluster.rolls_json) == 2, "the new revision leaks, too, and is rolled like any other"


async def test_a_leak_that_persists_goes_on_being_rolled_and_says_so_once():
    stage = rolled(line(0.5), earlier(0.5))
    await at_age(stage, 26)
    assert "judged" not in memory(stage), "its memory came down; whether it stays down is not known yet"
    assert memory(stage)["afterBytes"] < 40 * MIB
    for age in (90, 100, 110):
        await at_age(stage, age)
    assert memory(stage)["effect"] == "LeakPersists"
    assert memory(stage)["ageSeconds"] == 80
    assert effect_events(stage) == [("LeakPersists", k) for k in ("PodRoll", "Deployment", "MemoryPolicy")]
    told = next(e.message for e in stage.log.events if e.reason.value == "LeakPersists")
    assert "+1800.0 MiB per hour at the age of 80s, as before (+1800.0 MiB per hour)" in told
    await at_age(stage, 180)
    assert len(stage.cluster.rolls_json) == 2, "rolling goes on within the budget"
    await run_rolls(stage)
    assert stage.phases == ["Succeeded", "Succeeded"]


async def test_a_roll_that_helped_is_not_spoken_of():
    stage = rolled(line(0.0, base_mib=30), earlier(0.5))
    for age in (26, 90, 180):
        await at_age(stage, age)
    assert memory(stage)["effect"] == "Helped"
    assert effect_events(stage) == []
    sample = {"namespace": "demo", "policy": "leaky", "effect": "Helped"}
    assert stage.metrics.registry.get_sample_value("memroll_roll_effects_total", sample) == 1


async def test_a_prometheus_error_there_fails_nothing_and_is_made_up_for():
    stage = rolled(line(0.5), earlier(0.5))
    stage.prometheus.lost = ("leaky-0",)
    await at_age(stage, 90)
    assert memory(stage) == {}
    assert stage.condition("Ready")[:2] == ("True", "Watching")
    assert stage.condition("PrometheusReachable")[0] == "True"
    assert stage.status["pods"]["total"] == 1
    stage.prometheus.lost = ()
    await at_age(stage, 95)
    assert memory(stage)["effect"] == "LeakPersists"


async def test_a_record_that_someone_else_writes_meanwhile_is_skipped():
    stage = rolled(line(0.5), earlier(0.5))
    rolls = stage.cluster.rolls

    async def and_then_vetoed(namespace: str) -> tuple[dict[str, Any], ...]:
        found = await rolls(namespace)
        raw = stage.cluster.rolls_json["first"]
        stage.cluster.rolls_json["first"] = raw | {"metadata": raw["metadata"] | {"resourceVersion": "99"}}
        return found

    stage.cluster.rolls = and_then_vetoed
    await at_age(stage, 90)
    assert memory(stage) == {}
    stage.cluster.rolls = rolls
    await at_age(stage, 95)
    assert memory(stage)["effect"] == "LeakPersists"
    assert len(effect_events(stage)) == 3


async def test_a_replacement_that_leaves_before_it_is_old_enough_leaves_the_effect_open():
    stage = rolled(line(0.5), earlier(0.5))
    await at_age(stage, 26)
    stage.cluster.pods.clear()
    stage.cluster.desired = 1
    stage.cluster.settle()
    await at_age(stage, 40)
    assert "effect" not in memory(stage)
    assert "judged" in memory(stage)
    assert memory(stage)["message"].startswith("freed ")
    assert memory(stage)["message"].endswith(
        "replacement leaky-1 was gone, or not watched any more, before it was old enough to be compared"
    )


async def test_a_replacement_that_is_itself_rolled_too_early_is_named_with_its_roll():
    stage = rolled(line(0.5), earlier(0.5))
    manifest = {"metadata": {"name": "by-hand", "namespace": "demo"}}
    spec = {"podName": "leaky-1", "podUID": "uid-leaky-1", "policy": "leaky"}
    await stage.cluster.create_roll("demo", manifest | {"spec": spec})
    stage.cluster.seconds = BORN_S
    await run_rolls(stage)
    await at_age(stage, 40)
    assert memory(stage)["message"] == (
        "replacement leaky-1 was itself rolled by PodRoll by-hand before it was old enough to be compared"
    )


async def test_the_ledger_outlives_the_records():
    stage = rolled(line(0.5), earlier(0.5))
    await at_age(stage, 180)
    (entry,) = stage.status["ledger"]
    assert (entry["workload"], entry["revision"], entry["rolls"]) == ("Deployment/leaky", "5d", 1)
    assert entry["growthBytesPerHour"] == 1800 * MIB
    await run_rolls(stage)
    await stage.judge()
    (entry,) = stage.status["ledger"]
    assert entry["rolls"] == 2
    stage.cluster.rolls_json.clear()
    await stage.judge()
    assert stage.status["ledger"] == [entry]


async def test_a_healthy_workload_has_no_ledger():
    stage = Stage(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.0, base_mib=30)}), FAST)
    await stage.judge()
    assert stage.status["ledger"] == []
