"""The index in the process: the Lease that comes back, a standby, retention at the resync, and fresh counts."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from memroll import clock
from memroll.controller import resync as resync_module
from memroll.controller.key import Key
from memroll.controller.workqueue import WorkQueue
from memroll.errors import ClusterUnavailableError
from tests.builders import at, policy_json, roll_json
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Controllers, Simulation, controllers, leaking
from tests.scenario.test_resync import manager_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DAY_S = 86_400.0
SLOW = FAST | {"interval": "5m"}


class Lease:
    """Lease of this process."""

    is_held = True

    def __call__(self) -> bool:
        return self.is_held


class CountedCluster(FakeCluster):
    """Cluster that counts the reads of objects and the lists."""

    def __init__(self) -> None:
        super().__init__(0)
        self.read: list[str] = []

    async def get_policy(self, namespace: str, name: str) -> dict[str, Any] | None:
        self.read.append(name)
        return await super().get_policy(namespace, name)

    async def get_roll(self, namespace: str, name: str) -> dict[str, Any] | None:
        self.read.append(name)
        return await super().get_roll(namespace, name)

    async def list_policies(self, namespaces: Any) -> tuple[dict[str, Any], ...]:
        self.read.append("policies")
        return await super().list_policies(namespaces)

    async def list_rolls(self, namespace: str) -> tuple[dict[str, Any], ...]:
        self.read.append("rolls")
        return await super().list_rolls(namespace)


def finished(name: str, age_days: float, namespace: str = "demo") -> dict[str, Any]:
    raw = roll_json("Succeeded", created=at(-age_days * DAY_S), spec={"podName": "old", "podUID": f"uid-{name}"})
    return raw | {"metadata": raw["metadata"] | {"name": name, "uid": f"uid-{name}", "namespace": namespace}}


@asynccontextmanager
async def running(made: Controllers) -> AsyncIterator[Any]:
    """Run the work queues of a manager."""
    manager = manager_of(made)
    tasks = [asyncio.create_task(queue.run()) for queue in (manager.policy_queue, manager.roll_queue)]
    try:
        yield manager
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_when_the_lease_comes_back_only_what_was_due_is_reconciled():
    cluster, lease = FakeCluster(0), Lease()
    for name in ("a", "b"):
        cluster.policies_json[name] = policy_json(SLOW | {"suspend": True}, name=name)
    made = controllers(cluster, FakePrometheus({}), leads=lease)

    def reconciles() -> list[float | None]:
        read = made.context.metrics.registry.get_sample_value
        labels = {"namespace": "demo", "result": "Succeeded"}
        return [read("memroll_reconcile_total", labels | {"policy": name}) for name in ("a", "b")]

    async with running(made) as manager:
        await resync_module._resync_once(manager)
        await settle()
        assert reconciles() == [1, 1]
        lease.is_held = False
        manager.policy_queue.enqueue(Key("demo", "b"))  # it was edited, or its interval has ended
        await settle()
        assert Key("demo", "b") not in manager.policy_queue
        lease.is_held = True
        await resync_module._resync_once(manager)
        await settle()
    assert reconciles() == [1, 2]


async def test_a_standby_reads_nothing_and_keeps_nothing_in_its_queues():
    cluster, lease = CountedCluster(), Lease()
    lease.is_held = False
    made = controllers(cluster, FakePrometheus({}), leads=lease)
    async with running(made) as manager:
        for n in range(100):
            manager.policy_queue.enqueue(Key("demo", f"policy-{n}"))
            manager.roll_queue.enqueue(Key("demo", f"roll-{n}"))
        async with asyncio.timeout(30):
            while len(manager.policy_queue) or len(manager.roll_queue):  # noqa: ASYNC110 - a queue has no event
                await asyncio.sleep(0.01)
    assert (cluster.read, cluster.writes) == ([], [])


async def test_a_restart_reads_no_finished_podroll_by_its_name():
    cluster = CountedCluster()
    cluster.rolls_json = {f"old-{n}": finished(f"old-{n}", 1) for n in range(90)}
    cluster.rolls_json["active"] = roll_json("Draining") | {"metadata": finished("active", 0)["metadata"]}
    async with running(controllers(cluster, FakePrometheus({}))) as manager:
        await resync_module._resync_once(manager)
        await settle()
    assert {name for name in cluster.read if name not in ("rolls", "policies", "leaky")} == {"active"}


async def test_expired_podrolls_are_deleted_without_a_policy_but_in_no_excluded_namespace():
    cluster = FakeCluster(0)
    cluster.policies_json["leaky"] = policy_json(FAST | {"suspend": True})
    for namespace in ("demo", "without-policy", "closed"):
        for name, age_days in ((f"old-{namespace}", 8), (f"young-{namespace}", 6)):
            cluster.rolls_json[name] = finished(name, age_days, namespace)
    made = controllers(cluster, FakePrometheus({}), excluded=("closed",))
    await resync_module._resync_once(manager_of(made))
    assert cluster.writes == ["delete old-demo", "delete old-without-policy"]


async def test_a_clock_that_is_years_ahead_of_the_api_server_deletes_nothing():
    cluster = FakeCluster(0)
    cluster.rolls_json["young"] = finished("young", 1)
    cluster.server_time = at(0)
    made = controllers(cluster, FakePrometheus({}), now=lambda: at(3650 * DAY_S))
    await resync_module._resync_once(manager_of(made))
    assert cluster.writes == []


async def confirmed(sim: Simulation) -> None:
    """Let the resync confirm the indexes of a simulated process."""
    await resync_module._resync_once(manager_of(sim.controllers))
    assert sim.controllers.context.rolls.is_current(clock.elapsed_s())


async def test_before_a_roll_starts_the_index_is_bypassed():
    """The index does not contain yet what another process, or a person, has created."""
    sim = leaking()
    await confirmed(sim)
    mine = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "leaky"}
    raw = roll_json("Replacing", spec={"podName": "x", "podUID": "y"}, workload=mine)
    sim.cluster.rolls_json["by-hand"] = raw | {"metadata": raw["metadata"] | {"name": "by-hand"}}
    await sim.reconcile()
    assert list(sim.cluster.rolls_json) == ["by-hand"]
    assert "concurrent rolls" in sim.blocked_message


async def test_a_pod_of_an_older_policy_that_the_index_does_not_contain_is_not_rolled():
    sim = leaking()
    await confirmed(sim)
    older = policy_json(FAST | {"suspend": True}, name="older", creationTimestamp="2026-02-01T00:00:00Z")
    sim.cluster.policies_json["older"] = older  # the watch is down
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    del sim.cluster.policies_json["older"]
    await sim.reconcile()
    assert len(sim.cluster.rolls_json) == 1


async def test_a_podroll_that_is_gone_is_removed_from_the_index_at_its_next_step():
    sim = leaking()
    await confirmed(sim)
    await sim.reconcile()
    sim.cluster.rolls_json.clear()
    for key in list(sim.enqueued):
        assert await sim.controllers.rolls.reconcile(key) is None
    assert len(sim.controllers.context.rolls) == 0


async def test_a_created_podroll_is_known_before_the_watch_reports_it():
    sim = leaking()
    await confirmed(sim)
    await sim.reconcile()
    (name,) = sim.cluster.rolls_json
    assert [r.name for r in sim.controllers.context.rolls.of_namespace("demo")] == [name]
    await sim.reconcile()
    assert "in progress" in sim.blocked_message
    assert sim.condition("Ready")[2].startswith("rolling leaky-1")


@pytest.mark.parametrize("kind", ["memorypolicies", "podrolls"])
async def test_the_age_and_the_size_of_the_index_are_metrics(kind):
    sim = leaking()
    resync_module._observe_indexes(sim.controllers.context)
    assert sim.metrics.registry.get_sample_value("memroll_index_age_seconds", {"kind": kind}) == float("inf")
    sim.cluster.rolls_json["old"] = finished("old", 1)
    await confirmed(sim)
    resync_module._observe_indexes(sim.controllers.context)
    assert sim.metrics.registry.get_sample_value("memroll_index_age_seconds", {"kind": kind}) < 60
    assert sim.metrics.registry.get_sample_value("memroll_index_objects", {"kind": kind}) == 1


async def test_the_resync_follows_when_the_watch_lists_again(monkeypatch):
    monkeypatch.setattr(resync_module, "TICK_S", 0.0)
    monkeypatch.setattr(resync_module, "MIN_PAUSE_S", 0.0)
    cluster = CountedCluster()
    made = controllers(cluster, FakePrometheus({}))
    task = asyncio.create_task(resync_module.resync(manager_of(made)))
    await settle()
    listed = cluster.read.count("rolls")
    assert listed == 1
    made.context.rolls.was_relisted = True
    await settle()
    task.cancel()
    assert cluster.read.count("rolls") == 2


async def test_a_loss_of_the_lease_between_two_checks_leaves_no_roll_behind(monkeypatch):
    """A key that was due meanwhile has left its queue, and the next resync would follow minutes later."""
    monkeypatch.setattr(resync_module, "TICK_S", 0.0)
    cluster = CountedCluster()
    cluster.rolls_json["active"] = roll_json("Draining") | {"metadata": finished("active", 0)["metadata"]}
    manager = manager_of(controllers(cluster, FakePrometheus({})))
    task = asyncio.create_task(resync_module.resync(manager))
    await settle()
    assert Key("demo", "active") in manager.roll_queue
    manager.roll_queue = WorkQueue(manager.roll_controller.reconcile, 1)
    await settle()
    assert Key("demo", "active") not in manager.roll_queue
    manager.elector.term += 1
    await settle()
    task.cancel()
    assert Key("demo", "active") in manager.roll_queue


async def test_a_failed_resync_is_repeated_soon(monkeypatch):
    monkeypatch.setattr(resync_module, "TICK_S", 0.0)
    monkeypatch.setattr(resync_module, "MIN_PAUSE_S", 0.0)
    cluster = CountedCluster()
    manager = manager_of(controllers(cluster, FakePrometheus({})))
    lists, tries = cluster.list_versions, []

    async def fail_once(plural, namespace):
        tries.append(plural)
        if len(tries) == 1:
            raise ClusterUnavailableError("Unreachable", "down")
        return await lists(plural, namespace)

    monkeypatch.setattr(cluster, "list_versions", fail_once)
    task = asyncio.create_task(resync_module.resync(manager))
    await settle()
    task.cancel()
    assert len(tries) == 4, "both kinds, twice"
