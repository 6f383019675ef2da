"""Whole passes that plan: windows, fleets, and the guard that stops a memroll gone mad."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from memroll.controller.controllers import Passes
from memroll.controller.workqueue import Key
from memroll.detection.assessment import Assessment
from memroll.errors import ClusterUnavailable
from memroll.planning.rate_limit import Guard
from memroll.reconcile import policy as policy_pass
from memroll.reporting.events import Reason
from memroll.reporting.metrics import Metrics
from memroll.rolling import retention
from tests.builders import at, breach, container, line, pod, policy_json, roll_json, workload
from tests.fakes import FakeCluster, FakePrometheus, Log
from tests.scenario.test_passes import FAST, Stage, leaking, run_rolls

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from memroll.detection.assess import Watch
    from memroll.model.pods import ObjectRef, Target, Workload

FOUR = tuple(f"leaky-{i}" for i in (1, 2, 3, 4))


def rolling(spec: dict[str, Any], **roll: Any) -> dict[str, Any]:
    return spec | {"roll": spec["roll"] | roll}


def slow(spec: dict[str, Any], names: Sequence[str] = ("leaky-1",)) -> Stage:
    """Set pods on the stage that have leaked for ten minutes and more, each a minute longer, and have as much to go."""
    cluster, samples = FakeCluster(len(names)), {}
    for i, name in enumerate(names):
        age_s = 600 + 60 * i
        old = cluster.pods[name]
        cluster.pods[name] = replace(old, containers=(replace(old.containers[0], started_at=at(-age_s)),))
        samples[f"id-{name}"] = line(0.08, age_s=age_s, ahead_s=60)
    return Stage(cluster, FakePrometheus(samples), spec)


def only(stage: Stage) -> dict[str, Any]:
    (recorded,) = stage.cluster.rolls_json.values()
    return recorded


NEVER_NOW = {"allow": [{"start": "13:00", "end": "14:00"}]}
ONE_MINUTE = {"allow": [{"start": "12:00", "end": "12:01"}]}


async def test_outside_of_the_windows_a_pod_that_can_t_wait_is_rolled_and_the_record_says_so():
    stage = leaking()
    stage.cluster.policies_json["leaky"] = policy_json(rolling(FAST, windows=NEVER_NOW))
    await stage.judge()
    assert only(stage)["spec"]["reason"].endswith(
        "; outside of the windows: it would reach its limit before the next one opens at 2026-03-01T13:00:00Z"
    )


async def test_where_acting_early_is_not_wanted_it_is_held_and_everyone_is_told():
    stage = leaking()
    stage.cluster.policies_json["leaky"] = policy_json(rolling(FAST, windows=NEVER_NOW | {"actEarly": False}))
    await stage.judge()
    words = "outside of the windows: the next one opens at 2026-03-01T13:00:00Z, after its limit, and actEarly is false"
    assert stage.cluster.rolls_json == {}
    assert stage.status["nearest"][0]["heldBy"] == words
    assert "RollHeld" in stage.log.reasons("Deployment")


async def test_a_leak_whose_deadline_falls_outside_is_rolled_in_the_last_window_before_it():
    stage = slow(rolling(FAST, windows=ONE_MINUTE))
    await stage.judge()
    assert (
        "before its deadline: the last window before it closes at 2026-03-01T12:01:00Z" in only(stage)["spec"]["reason"]
    )
    waits = slow(FAST)
    await waits.judge()
    assert waits.cluster.rolls_json == {}, "without windows it is not due"


async def test_of_a_fleet_that_breaches_at_once_one_goes_first_and_the_others_when_it_has_helped():
    stage = slow(rolling(FAST, windows=ONE_MINUTE, budgets=[]), FOUR)
    await stage.judge()
    first = only(stage)
    assert first["spec"]["podName"] == "leaky-4", "the one that has the least time left"
    await run_rolls(stage)
    assert stage.phases == ["Succeeded"]
    stage.cluster.seconds = 30
    await stage.judge()
    held = {near["pod"]: near["heldBy"] for near in stage.status["nearest"] if near["verdict"] == "Breach"}
    words = "3 of 4 pods breach at once: waiting to see whether rolling leaky-4 helps"
    assert held == dict.fromkeys(FOUR[:3], words)
    name = first["metadata"]["name"]
    stage.cluster.rolls_json[name]["status"]["memory"] = {"effect": "Helped"}
    await stage.judge()
    assert [r["spec"]["podName"] for r in stage.cluster.rolls_json.values()] == ["leaky-4", "leaky-3"]


async def test_a_roll_that_someone_made_meanwhile_counts():
    """The plan is made of the PodRolls as they are when it is recorded, not as they were when the pass began."""
    stage = leaking()
    asked = stage.cluster.rolls
    mine = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "leaky"}
    other = roll_json("Replacing", spec={"podName": "leaky-9", "podUID": "another"}, workload=mine)

    async def rolls(namespace: str) -> tuple[dict[str, Any], ...]:
        found = await asked(namespace)
        stage.cluster.rolls_json["by-hand"] = other
        return found

    stage.cluster.rolls = rolls
    await stage.judge()
    assert list(stage.cluster.rolls_json) == ["by-hand"]
    assert "concurrent rolls" in stage.status["nearest"][0]["heldBy"]


async def test_rolls_are_counted_only_when_something_is_going_to_be_rolled():
    stage = leaking()
    stage.cluster.policies_json["leaky"] = policy_json(FAST | {"mode": "Observe"})
    asked: list[str] = []
    listed = stage.cluster.rolls

    async def rolls(namespace: str) -> tuple[dict[str, Any], ...]:
        asked.append(namespace)
        return await listed(namespace)

    stage.cluster.rolls = rolls
    await stage.judge()
    assert asked == ["demo"]
    stage.cluster.policies_json["leaky"] = policy_json(FAST)
    await stage.judge()
    assert asked == ["demo", "demo", ""]


async def test_what_can_t_be_counted_is_not_rolled():
    stage = leaking()
    listed = stage.cluster.rolls

    async def rolls(namespace: str) -> tuple[dict[str, Any], ...]:
        if not namespace:
            raise ClusterUnavailable("Timeout", "the API server did not answer")
        return await listed(namespace)

    stage.cluster.rolls = rolls
    await stage.judge()
    assert stage.cluster.rolls_json == {}
    assert stage.condition("Ready")[:2] == ("False", "Timeout")


async def test_a_process_that_loses_the_lease_while_it_judges_records_nothing():
    stage = leaking()
    answers = iter([True, True])
    stage.passes = replace(stage.passes, leads=lambda: next(answers, False))
    await stage.judge()
    assert stage.cluster.rolls_json == {}
    assert stage.status["nearest"][0]["heldBy"] == "this process does not hold the Lease: another one acts"


async def test_a_lease_lost_right_before_the_record_stops_it():
    stage = leaking()
    answers = iter([True] * 3)
    stage.passes = replace(stage.passes, leads=lambda: next(answers, False))
    await stage.judge()
    assert stage.cluster.rolls_json == {}
    assert stage.condition("Ready")[:2] == ("False", "NotLeader")
    stage.again()
    await stage.judge()
    assert len(stage.cluster.rolls_json) == 1


# A memroll gone mad


class Town(FakeCluster):
    """Many workloads in many namespaces, with four pods each."""

    def __init__(self, namespaces: Sequence[str], workloads_in_each: int) -> None:
        super().__init__(0)
        self.keys = [Key(n, f"{n}-app-{i}") for n in namespaces for i in range(workloads_in_each)]
        self.pods_of = {key: tuple(_one(key, i) for i in range(4)) for key in self.keys}
        for key in self.keys:
            self.policies_json[key.name] = _mad_policy(key)

    async def targets(self, namespace: str, selector: str) -> tuple[Target, ...]:
        await asyncio.sleep(0)
        return self.pods_of[Key(namespace, selector.removeprefix("app="))]

    async def workload_of(self, namespace: str, controller: ObjectRef) -> Workload | None:
        top = replace(workload().top, name=controller.name)
        return workload(desired=4, top=top, controller=controller)

    async def policies(self, namespaces: Sequence[str]) -> tuple[dict[str, Any], ...]:
        return tuple(p for p in self.policies_json.values() if p["metadata"]["namespace"] in namespaces)

    async def rolls(self, namespace: str) -> tuple[dict[str, Any], ...]:
        await asyncio.sleep(0)
        return tuple(r for r in self.rolls_json.values() if namespace in ("", r["metadata"]["namespace"]))

    async def create_roll(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return await super().create_roll(namespace, manifest)

    def finish_all(self) -> None:
        """End every roll at once; the pods are new ones, and breach as well."""
        for raw in self.rolls_json.values():
            raw["status"] = {"phase": "Succeeded"}
        for key, pods in self.pods_of.items():
            self.pods_of[key] = tuple(replace(p, key=replace(p.key, uid=p.key.uid + "+")) for p in pods)

    def rolls_in(self, namespace: str) -> int:
        return sum(1 for r in self.rolls_json.values() if r["metadata"]["namespace"] == namespace)


def _one(key: Key, index: int) -> Target:
    made = pod(f"{key.name}-{index}", controller=replace(workload().controller, name=key.name, uid=f"rs-{key.name}"))
    return replace(made, key=replace(made.key, namespace=key.namespace))


def _mad_policy(key: Key) -> dict[str, Any]:
    open_wide = {"budgets": [], "cooldown": "0s", "maxConcurrent": "100%"}
    spec = {"mode": "Enforce", "selector": {"matchLabels": {"app": key.name}}, "roll": open_wide}
    return policy_json(spec, name=key.name, namespace=key.namespace)


async def everything_breaches(watch: Watch, _: object) -> tuple[Assessment, ...]:
    """Judge as a detector with a bug would."""
    await asyncio.sleep(0)
    return tuple(Assessment(t, container(), breach(5.0)) for t in watch.targets)


class Madness:
    """An operator whose detector finds every pod due, always."""

    def __init__(self, town: Town, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(policy_pass, "assess", everything_breaches)
        self.town, self.guard = town, guard
        self.log, self.metrics = Log(), Metrics()

    def operator(self) -> Passes:
        return Passes(
            cluster=self.town,
            prometheus=FakePrometheus({}),
            recorder=self.log,
            metrics=self.metrics,
            leads=lambda: True,
            wake_roll=lambda _: None,
            wake_policy=lambda _: None,
            now=lambda: at(self.town.seconds),
            guard=self.guard,
        )

    async def run(self, rounds: int = 1) -> None:
        """Make passes over all policies at the same time, by an operator that has just been restarted each time."""
        for _ in range(rounds):
            passes = self.operator()
            await asyncio.gather(*(passes.over_policy(key) for key in self.town.keys))
            self.town.finish_all()


NAMESPACES = tuple(f"team-{i}" for i in range(50))


async def test_fifty_policies_that_want_to_roll_every_pod_are_stopped_at_the_guard(monkeypatch):
    madness = Madness(Town(NAMESPACES, 1), Guard(), monkeypatch)
    await madness.run()
    assert len(madness.town.rolls_json) == 30, "of 200 pods"
    await madness.run(rounds=2)
    assert len(madness.town.rolls_json) == 30, "restarts forget nothing"
    told = [e for e in madness.log.events if e.reason is Reason.RUNAWAY_GUARD]
    assert {e.regarding.name for e in told} == {key.name for key in madness.town.keys}
    assert told[-1].message == (
        "The runaway guard stops all rolls until 2026-03-01T13:00:00Z: 30 within an hour, at most 30"
    )
    assert {e.type.value for e in told} == {"Warning"}
    key = madness.town.keys[0]
    labels = {"namespace": key.namespace, "policy": key.name}
    assert madness.metrics.registry.get_sample_value("memroll_runaway_guard", labels) == 1
    madness.town.seconds = 3600
    await madness.run(rounds=2)
    assert len(madness.town.rolls_json) == 60, "an hour later it may go on"


async def test_one_namespace_never_loses_more_than_its_share(monkeypatch):
    madness = Madness(Town(("team-1", "team-2"), 10), Guard(rolls_per_hour=10_000), monkeypatch)
    await madness.run(rounds=4)
    assert madness.town.rolls_in("team-1") == 20, "half of 40 pods"
    assert madness.town.rolls_in("team-2") == 20


async def test_a_small_namespace_may_be_kept_alive_but_no_more(monkeypatch):
    madness = Madness(Town(NAMESPACES[:4], 1), Guard(rolls_per_hour=10_000), monkeypatch)
    await madness.run(rounds=4)
    assert [madness.town.rolls_in(n) for n in NAMESPACES[:4]] == [3, 3, 3, 3]


async def test_records_of_the_last_hour_are_kept_however_many_they_are(monkeypatch):
    monkeypatch.setattr(retention, "KEPT_MOST", 5)
    madness = Madness(Town(("team-1",), 10), Guard(rolls_per_hour=10_000), monkeypatch)
    await madness.run(rounds=4)
    made = [w for w in madness.town.writes if w.startswith("create")]
    assert len(made) == madness.town.rolls_in("team-1") == 20, "with fewer records the guard would lose count"
    madness.town.seconds = 3601
    await madness.run()
    assert madness.town.rolls_in("team-1") == 20 + 5
