"""Index of the PodRolls: order of events, resync after a watch that was down, memory of a record."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

from memroll.controller import index_resync
from memroll.controller.context import new_policy_index, new_roll_index
from memroll.controller.index_resync import resync_index
from memroll.controller.object_index import MAX_AGE_S, InvalidRecord, ObjectIndex
from memroll.errors import ClusterUnavailableError
from tests.builders import TRIGGER, WORKLOAD_REF, policy_json, roll_json, stamp
from tests.fakes import FakeCluster

MAX_RECORD_BYTES = 2048
"""Maximum memory of the record of a common PodRoll, in bytes."""


def named(name: str, phase: str = "Succeeded", version: int = 3, **meta: Any) -> dict[str, Any]:
    raw = roll_json(phase)
    return raw | {
        "metadata": raw["metadata"] | {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)} | meta
    }


class CountingCluster(FakeCluster):
    """Cluster that counts the requests of a resync, of which the watch can be down."""

    def __init__(self, *names: str) -> None:
        super().__init__(0)
        self.rolls_json = {name: named(name) for name in names}
        self.reads: list[str] = []
        self.lists = 0
        self.is_down = False

    async def get_roll(self, namespace: str, name: str) -> dict[str, Any] | None:
        self.reads.append(name)
        return await super().get_roll(namespace, name)

    async def iterate_objects(self, plural: str, namespace: str) -> Any:
        self.lists += 1
        async for raw in super().iterate_objects(plural, namespace):
            yield raw

    async def list_rolls(self, namespace: str) -> tuple[dict[str, Any], ...]:
        if self.is_down:
            raise ClusterUnavailableError("Timeout", "no response")
        return await super().list_rolls(namespace)


def watched(index: ObjectIndex[Any], cluster: CountingCluster) -> None:
    """Deliver all objects as the watch does at its start."""
    for raw in cluster.rolls_json.values():
        index.put(index.decode(raw))


async def resync(index: ObjectIndex[Any], cluster: CountingCluster, at_s: float = 0.0) -> list[Any]:
    return await resync_index(index, cluster, (), lambda: at_s)


def names(index: ObjectIndex[Any]) -> list[str]:
    return sorted(r.name for r in index.of_namespace("demo"))


async def test_a_podroll_deleted_while_the_watch_is_down_is_removed_by_the_resync():
    cluster, index = CountingCluster("a", "b"), new_roll_index()
    watched(index, cluster)
    del cluster.rolls_json["a"]  # without an event
    await resync(index, cluster)
    assert names(index) == ["b"]
    assert (cluster.reads, cluster.lists) == ([], 0), "only metadata was listed"


async def test_a_podroll_created_or_changed_while_the_watch_is_down_is_read_by_the_resync():
    cluster, index = CountingCluster("a", "b"), new_roll_index()
    watched(index, cluster)
    cluster.rolls_json |= {"b": named("b", "Failed", version=4), "c": named("c")}
    await resync(index, cluster)
    assert sorted(cluster.reads) == ["b", "c"]
    assert {r.name: str(r.status.phase) for r in index.of_namespace("demo")} == {
        "a": "Succeeded", "b": "Failed", "c": "Succeeded",
    }  # fmt: skip
    cluster.reads.clear()
    await resync(index, cluster)
    assert cluster.reads == []


async def test_many_missing_podrolls_are_read_by_a_list_and_not_one_by_one(monkeypatch):
    monkeypatch.setattr(index_resync, "WATCH_PAUSE_S", 0.0)
    cluster, index = CountingCluster(*(f"r-{i}" for i in range(index_resync.MAX_SINGLE_READS + 1))), new_roll_index()
    await resync(index, cluster)
    assert (cluster.reads, cluster.lists) == ([], 1)
    assert len(index) == len(cluster.rolls_json)


async def test_what_the_watch_delivers_meanwhile_is_not_read_again(monkeypatch):
    cluster, index = CountingCluster(*(f"r-{i}" for i in range(100))), new_roll_index()
    pending = list(cluster.rolls_json.values())

    async def deliver(_: float) -> None:
        for raw in [pending.pop() for _ in range(min(50, len(pending)))]:
            index.put(index.decode(raw))

    monkeypatch.setattr(index_resync.asyncio, "sleep", deliver)
    await resync(index, cluster)
    assert (cluster.reads, cluster.lists) == ([], 0)


async def test_a_podroll_created_during_the_list_is_kept():
    cluster, index = CountingCluster("a"), new_roll_index()
    list_versions = cluster.list_versions

    async def and_then_created(plural: str, namespace: str) -> Any:
        listed = await list_versions(plural, namespace)
        index.put(index.decode(named("b")))
        return listed

    cluster.list_versions = and_then_created  # type: ignore[method-assign]
    watched(index, cluster)
    await resync(index, cluster)
    assert names(index) == ["a", "b"]


async def test_after_a_restore_of_etcd_older_versions_replace_newer_ones():
    """Versions begin again at those of the backup: an index that waits for higher ones would be wrong for long."""
    cluster, index = CountingCluster("a"), new_roll_index()
    cluster.rolls_json["a"] = named("a", "Succeeded", version=900)
    watched(index, cluster)
    cluster.rolls_json["a"] = named("a", "Draining", version=5)
    await resync(index, cluster)
    assert [r.status.phase for r in index.of_namespace("demo")] == ["Draining"]


async def test_a_podroll_that_changed_during_the_list_keeps_its_newer_version():
    cluster, index = CountingCluster("a"), new_roll_index()
    list_versions = cluster.list_versions

    async def and_then_changed(plural: str, namespace: str) -> Any:
        listed = await list_versions(plural, namespace)
        index.put(index.decode(named("a", "Failed", version=4)))
        return listed

    cluster.list_versions = and_then_changed  # type: ignore[method-assign]
    watched(index, cluster)
    await resync(index, cluster)
    assert [r.status.phase for r in index.of_namespace("demo")] == ["Failed"]
    assert cluster.reads == []


async def test_an_index_that_can_t_be_compared_is_no_longer_used():
    cluster, index = CountingCluster("a"), new_roll_index()
    assert not index.is_current(0.0), "it was never compared"
    await resync(index, cluster, at_s=10.0)
    assert index.is_current(10.0 + MAX_AGE_S)
    cluster.is_down = True
    (error,) = await resync(index, cluster, at_s=600.0)
    assert error.reason == "Timeout"
    assert not index.is_current(11.0 + MAX_AGE_S)
    assert index.age_s(100.0) == 90.0


@pytest.mark.parametrize(("version", "phase"), [("2", "Draining"), ("4", "Succeeded"), ("x", "Succeeded")])
def test_an_older_version_does_not_replace_a_newer_one(version, phase):
    index = new_roll_index()
    index.put(index.decode(named("a", "Draining")))
    index.put(index.decode(named("a", "Succeeded", resourceVersion=version)))
    (record,) = index.of_namespace("demo")
    assert record.status.phase == phase


def test_the_deletion_of_an_earlier_object_of_the_same_name_removes_nothing():
    index = new_roll_index()
    index.put(index.decode(named("a", uid="new")))
    assert not index.remove("demo", "a", "old")
    assert names(index) == ["a"]


def test_an_invalid_object_is_known_but_in_no_list(caplog):
    """Otherwise each resync would read it again."""
    for index, raw in (
        (new_roll_index(), named("odd") | {"spec": {"podName": "UPPER"}}),
        (new_policy_index(), policy_json({"interval": "soon"})),
    ):
        record = index.decode(raw)
        index.put(record)
        assert isinstance(record, InvalidRecord)
        assert (len(index), index.of_namespace("demo")) == (1, ())
        assert "is invalid" in caplog.text
    assert [type(r) for r in index.in_progress()] == [InvalidRecord], "its policy gets a condition"


def common_roll(n: int) -> dict[str, Any]:
    """Build a finished PodRoll as clusters have them, with evidence."""
    spec = {
        "podName": f"inference-7f9c6d5b4-{n:05x}", "podUID": f"0b9cf7e6-5d0c-4c1e-9d0a-{n:012x}", "policy": "inference",
        "reason": f"app: 1.8 GiB of 2.0 GiB (90%), +62.0 MiB per hour for 26h, limit in {n} h; rolled when 4h are left",
        "trigger": TRIGGER | {"growthBytesPerHour": 65_011_712, "containerStarted": stamp(-90_000)},
    }  # fmt: skip
    lines = [f"2026-03-01T11:59:{i % 60:02}Z request {n}-{i} served in 12 ms" for i in range(50)]
    status = {
        "podUID": spec["podUID"], "strategy": "Surge", "workload": WORKLOAD_REF, "message": "the pod was replaced",
        "replacement": {"name": f"inference-7f9c6d5b4-{n:05x}b", "uid": f"1b9cf7e6-5d0c-4c1e-9d0a-{n:012x}"},
        "controller": {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "inference-7f9c6d5b4", "uid": "rs-1"},
        "times": dict.fromkeys(("announced", "replacing", "evicting", "verifying", "finished"), stamp(-60)),
        "effect": {"beforeBytes": 1 << 31, "afterBytes": 1 << 29, "result": "Effective", "comparedAt": stamp(0)},
        "evidence": {"capturedAt": stamp(-70), "logs": [{"container": "app", "lines": lines}]},
    }  # fmt: skip
    raw = roll_json("Succeeded", spec=spec, **status)
    meta = {"name": f"{spec['podName']}-1a2b3c4d", "uid": f"2b9cf7e6-5d0c-4c1e-9d0a-{n:012x}"}
    meta["resourceVersion"] = str(123_456_789 + n)
    return raw | {"metadata": raw["metadata"] | meta}


def bytes_per_record(count: int = 1000) -> float:
    index = new_roll_index()
    for n in range(10):
        index.put(index.decode(common_roll(n)))
    gc.collect()
    tracemalloc.start()
    for n in range(10, 10 + count):
        index.put(index.decode(common_roll(n)))
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(index) == count + 10
    return used / count


def test_a_record_takes_little_memory_and_holds_no_evidence(record_property):
    used = bytes_per_record()
    record_property("bytes_per_record", used)
    assert used <= MAX_RECORD_BYTES
