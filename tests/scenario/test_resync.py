"""The resync and `memroll cleanup` with a pod, or a roll, that triggers a bug: the error stays with that object."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from memroll.cli import cleanup
from memroll.controller import orphan_sweep
from memroll.controller import resync as resync_module
from memroll.controller.key import Key
from memroll.controller.orphan_sweep import OrphanSweep
from memroll.controller.resync import resync
from memroll.controller.roll_controller import RollController
from memroll.controller.supervisor import supervise
from memroll.controller.workqueue import WorkQueue
from memroll.errors import TerminalError
from memroll.model.pods import HASH_ANNOTATION, OWNER_ANNOTATION, RELEASED_HASH, ROLL_ANNOTATION
from tests.builders import OUT_OF_RANGE_TIMES, policy_json, roll_json
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Controllers, controllers, leaking
from tests.scenario.test_orphans import INVALID_ANNOTATIONS, UNUSABLE_RECORDS


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(resync_module, "TICK_S", 0.01)
    monkeypatch.setattr(resync_module, "RESYNC_INTERVAL_S", 0.01)
    monkeypatch.setattr(orphan_sweep, "GATHER_S", 0.01)
    monkeypatch.setattr(cleanup, "PAUSE_S", 0.01)


def uninstalling(cluster: FakeCluster) -> Controllers:
    return controllers(cluster, FakePrometheus({}), uninstalling="the end")


def manager_of(made: Controllers) -> SimpleNamespace:
    """Build the part of the manager that the resync uses."""
    return SimpleNamespace(
        policy_controller=made.policies,
        roll_controller=made.rolls,
        metrics=made.context.metrics,
        recorder=SimpleNamespace(dropped=0),
        elector=SimpleNamespace(is_leader=lambda: True, term=1),
        policy_queue=WorkQueue(made.policies.reconcile, 1),
        roll_queue=WorkQueue(made.rolls.reconcile, 1),
        orphan_sweep=OrphanSweep(),
    )


def tamper(cluster: FakeCluster, note: str) -> str:
    """Change a pod's annotation as a tenant can; return the pod's name."""
    name = next(iter(cluster.pods))
    labels = {**cluster.pods[name].labels, "pod-template-hash": RELEASED_HASH}
    annotations = {OWNER_ANNOTATION: note, HASH_ANNOTATION: "5d", ROLL_ANNOTATION: "gone"}
    cluster.pods[name] = replace(cluster.pods[name], labels=labels, annotations=annotations)
    return name


def add_roll(cluster: FakeCluster, name: str, **spec: Any) -> None:
    raw = roll_json("Announced", spec={"podName": "leaky-1", "podUID": "uid-leaky-1"} | spec)
    cluster.rolls_json[name] = raw | {"metadata": raw["metadata"] | {"name": name, "uid": name}}


async def run_resync(made: Controllers, rounds: int) -> None:
    """Run the supervised resync until policies were listed `rounds` times and orphans searched; fail if it ends."""
    manager, listed = manager_of(made), Countdown(made.context.kubernetes.list_policies, rounds)
    searched = Countdown(made.rolls.restore_orphans, 1)
    made.context.kubernetes.list_policies = listed

    async def enough() -> None:
        await asyncio.gather(listed.ended.wait(), searched.ended.wait())

    tasks = {"resync": lambda: resync(manager), "sweep": lambda: manager.orphan_sweep.run(searched), "enough": enough}
    async with asyncio.timeout(10):
        assert await supervise(tasks) == "enough"


class Countdown:
    """Function that sets an event when it has been called a number of times."""

    def __init__(self, function: Any, calls: int) -> None:
        self.function, self.left, self.ended = function, calls, asyncio.Event()

    async def __call__(self, *arguments: Any) -> Any:
        result = await self.function(*arguments)
        self.left -= 1
        if self.left <= 0:
            self.ended.set()
        return result


@pytest.mark.parametrize("note", INVALID_ANNOTATIONS)
async def test_no_annotation_ends_the_operator_or_fails_the_cleanup(note):
    cluster = FakeCluster()
    name = tamper(cluster, note)
    await run_resync(uninstalling(cluster), rounds=3)
    assert cluster.writes == [f"restore {name}"]
    tamper(cluster, note)
    assert await cleanup._roll_back_all(uninstalling(cluster).rolls, timeout_s=5) == []


async def test_a_bug_in_the_resync_does_not_end_the_operator(monkeypatch, caplog):
    cluster = FakeCluster()
    made = uninstalling(cluster)

    async def odd(namespace):
        raise TypeError("unhashable type: 'list'")

    monkeypatch.setattr(cluster, "list_rolls", odd)
    await run_resync(made, rounds=3)
    assert "bug: the resync failed" in caplog.text


async def test_a_bug_triggered_by_one_roll_does_not_stop_the_cleanup_of_the_others(monkeypatch, caplog):
    cluster = FakeCluster()
    for name in ("odd", "even"):
        add_roll(cluster, name)
    made = uninstalling(cluster)
    step = RollController._step

    async def fail_for_odd(self, roll, **options):
        if roll.name == "odd":
            raise ZeroDivisionError
        return await step(self, roll, **options)

    monkeypatch.setattr(RollController, "_step", fail_for_odd)
    assert await cleanup._roll_back_all(made.rolls, timeout_s=0.1) == ["PodRoll demo/odd"]
    assert cluster.rolls_json["even"]["status"]["reason"] == "Uninstalled"
    assert "bug: a step of PodRoll demo/odd failed" in caplog.text


@pytest.mark.parametrize("time", OUT_OF_RANGE_TIMES)
async def test_a_podroll_with_a_time_out_of_range_does_not_stop_the_others(time):
    cluster = FakeCluster()
    add_roll(cluster, "odd", trigger={"containerStarted": time})
    add_roll(cluster, "even")
    made = uninstalling(cluster)
    assert (await made.rolls.list_keys()).keys == [Key("demo", "even")]
    tamper(cluster, "{}")
    await run_resync(made, rounds=3)
    assert cluster.writes == ["restore leaky-1"]
    assert await made.rolls.reconcile(Key("demo", "odd")) is None
    assert await cleanup._roll_back_all(made.rolls, timeout_s=5) == []
    assert cluster.rolls_json["even"]["status"]["reason"] == "Uninstalled"


@pytest.mark.parametrize("time", OUT_OF_RANGE_TIMES)
async def test_a_podroll_with_a_time_out_of_range_does_not_stop_the_policies_of_its_namespace(time):
    sim = leaking()
    add_roll(sim.cluster, "odd", podUID="another", trigger={"containerStarted": time})
    await sim.reconcile()
    (name,) = sim.cluster.rolls_json.keys() - {"odd"}
    assert sim.cluster.rolls_json[name]["spec"]["podName"] == "leaky-1"


def close_namespace(monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster) -> None:
    """Let no policy and no PodRoll of namespace `closed` be listed."""
    list_rolls, list_policies = cluster.list_rolls, cluster.list_policies

    async def rolls_of(namespace):
        if namespace == "closed":
            raise TerminalError("Forbidden", "podrolls is forbidden")
        return await list_rolls(namespace)

    async def policies_of(namespaces):
        if "closed" in namespaces:
            raise TerminalError("Forbidden", "memorypolicies is forbidden")
        return await list_policies(namespaces)

    monkeypatch.setattr(cluster, "list_rolls", rolls_of)
    monkeypatch.setattr(cluster, "list_policies", policies_of)


async def test_a_namespace_that_can_t_be_listed_does_not_stop_the_resync_of_the_others(monkeypatch, caplog):
    cluster = FakeCluster()
    add_roll(cluster, "even")
    cluster.policies_json["leaky"] = policy_json(FAST)
    close_namespace(monkeypatch, cluster)
    manager = manager_of(uninstalling(cluster).changed(namespaces=("closed", "demo")))
    await resync_module._resync_once(manager)
    assert Key("demo", "leaky") in manager.policy_queue
    assert Key("demo", "even") in manager.roll_queue
    for plural in ("podrolls", "memorypolicies"):
        assert f"resync failed for a namespace: Forbidden: {plural} is forbidden" in caplog.text


async def test_a_namespace_that_can_t_be_listed_does_not_stop_the_cleanup_of_the_others(monkeypatch):
    cluster = FakeCluster()
    add_roll(cluster, "even")
    close_namespace(monkeypatch, cluster)
    made = uninstalling(cluster).changed(namespaces=("closed", "demo"))
    left = await cleanup._roll_back_all(made.rolls, timeout_s=0.1)
    assert left == ["unknown PodRolls, because listing failed: Forbidden: podrolls is forbidden"]
    assert cluster.rolls_json["even"]["status"]["reason"] == "Uninstalled"
    tamper(cluster, "{}")
    assert await cleanup._roll_back_all(made.rolls, timeout_s=0.1) == left
    assert cluster.writes[-1] == "restore leaky-1"


@pytest.mark.parametrize("annotations", UNUSABLE_RECORDS)
async def test_a_pod_without_a_usable_record_is_logged_and_does_not_fail_the_cleanup(annotations, caplog):
    cluster = FakeCluster()
    name = tamper(cluster, "{}")
    cluster.pods[name] = replace(cluster.pods[name], annotations=annotations)
    assert await cleanup._roll_back_all(uninstalling(cluster).rolls, timeout_s=5) == []
    assert cluster.writes == []
    (record,) = (r for r in caplog.records if r.message == "orphaned pod")
    assert record.pod == name
    assert record.outcome.startswith("not restored: Unrestorable:")


async def test_a_pod_that_can_be_restored_later_is_left_over_after_the_timeout(monkeypatch):
    cluster = FakeCluster()
    name = tamper(cluster, "{}")

    async def closed(*_):
        raise TerminalError("Forbidden", "pods is forbidden")

    monkeypatch.setattr(cluster, "restore", closed)
    left = await cleanup._roll_back_all(uninstalling(cluster).rolls, timeout_s=0.1)
    assert left == [f"pod demo/{name}: not restored: Forbidden: pods is forbidden"]
