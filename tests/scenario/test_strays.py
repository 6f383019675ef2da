"""Released pods without a roll: put back, taken away, or left alone, and never one that a roll is about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.errors import ClusterUnavailable, Stalled
from memroll.model.annotations import Owners
from memroll.model.pods import HASH_ANNOTATION, OWNER_ANNOTATION, RELEASED_HASH, ROLL_ANNOTATION
from memroll.rolling.orphans import sweep
from tests.builders import roll_json, workload
from tests.fakes import FakeCluster


def stray_in(cluster: FakeCluster, owners: Owners | None) -> str:
    """Release the first pod as a roll would have, and forget the roll."""
    name = next(iter(cluster.pods))
    marks = {ROLL_ANNOTATION: "gone", HASH_ANNOTATION: "5d"}
    if owners is not None:
        marks[OWNER_ANNOTATION] = owners.written()
    labels = {**cluster.pods[name].labels, "pod-template-hash": RELEASED_HASH}
    cluster.pods[name] = replace(cluster.pods[name], labels=labels, annotations=marks)
    for _ in range(3):
        cluster.settle()
    return name


OWNED = Owners(workload().controller, workload().top)


@pytest.mark.parametrize("owners", [pytest.param(OWNED, id="noted"), pytest.param(None, id="of an older memroll")])
async def test_a_stray_is_put_back_where_it_is_wanted(owners):
    cluster = FakeCluster()
    name = stray_in(cluster, owners)
    (stray,) = await sweep(cluster, (), lambda: True)
    assert (stray.pod.name, stray.done) == (name, "put back")
    cluster.settle()
    assert cluster.pods[name].controller is not None
    assert not cluster.pods[name].annotations
    assert await sweep(cluster, (), lambda: True) == ()


async def test_a_stray_whose_replica_set_wants_no_pods_goes_when_others_are_ready(monkeypatch):
    cluster = FakeCluster()
    name = stray_in(cluster, OWNED)

    async def rolled_out(*_):
        return workload(desired=0, replicas=1)

    monkeypatch.setattr(cluster, "workload_of", rolled_out)
    newcomer = next(n for n in cluster.pods if n != name)
    cluster.pods[newcomer] = replace(cluster.pods[newcomer], ready=False)
    (left,) = await sweep(cluster, (), lambda: True)
    assert left.done == "left: 0 of 1 pods of Deployment/leaky are Ready"
    assert cluster.evicted == []
    cluster.pods[newcomer] = replace(cluster.pods[newcomer], ready=True)
    (gone,) = await sweep(cluster, (), lambda: True)
    assert gone.done == "evicted, for nothing wants it back: Accepted"


async def test_a_stray_of_a_workload_that_is_gone_is_evicted(monkeypatch):
    cluster = FakeCluster()
    name = stray_in(cluster, OWNED)

    async def nothing(*_):
        return None

    monkeypatch.setattr(cluster, "workload_of", nothing)
    await sweep(cluster, (), lambda: True)
    assert cluster.evicted == [f"uid-{name}"]


@pytest.mark.parametrize(
    ("raw", "left_alone"),
    [
        pytest.param(roll_json("Replacing", podUID="uid-leaky-1"), True, id="under way"),
        pytest.param(roll_json("Failed", podUID="uid-leaky-1"), False, id="ended"),
        pytest.param(roll_json("NoSuchPhase"), True, id="unreadable"),
    ],
)
async def test_a_pod_whose_roll_is_under_way_is_no_stray(raw, left_alone):
    cluster = FakeCluster()
    stray_in(cluster, OWNED)
    cluster.rolls_json["gone"] = raw | {"spec": raw["spec"] | {"podUID": "uid-leaky-1", "podName": "leaky-1"}}
    assert (await sweep(cluster, (), lambda: True) == ()) is left_alone


async def test_trouble_with_one_stray_is_told_and_nothing_is_done_without_the_lease(monkeypatch):
    cluster = FakeCluster()
    stray_in(cluster, OWNED)
    assert await sweep(cluster, (), lambda: False) == ()

    async def down(*_):
        raise ClusterUnavailable("Timeout", "no answer")

    monkeypatch.setattr(cluster, "workload_of", down)
    (left,) = await sweep(cluster, (), lambda: True)
    assert left.done == "left: Timeout: no answer"


ODD_NOTES = [
    pytest.param('{"controller":{"api_version":["x"],"kind":"ReplicaSet","name":"n"}}', id="a list for a text"),
    pytest.param('{"controller":{"api_version":"apps/v1","kind":"ReplicaSet","name":7}}', id="a number for a text"),
    pytest.param("[" * 100_000, id="nested"),
]


@pytest.mark.parametrize("note", ODD_NOTES)
async def test_a_note_that_can_t_be_read_is_that_of_an_older_memroll(note):
    """Any tenant can write such a note on a pod that is not even scheduled."""
    cluster = FakeCluster()
    name = stray_in(cluster, None)
    cluster.pods[name] = replace(
        cluster.pods[name], annotations={**cluster.pods[name].annotations, OWNER_ANNOTATION: note}
    )
    (stray,) = await sweep(cluster, (), lambda: True)
    assert stray.done == "put back"


async def test_a_bug_that_one_pod_meets_stays_that_pod_s(monkeypatch, caplog):
    cluster = FakeCluster(replicas=2)
    first = stray_in(cluster, OWNED)
    second = next(n for n, p in cluster.pods.items() if n != first and p.labels["pod-template-hash"] != RELEASED_HASH)
    marks = {ROLL_ANNOTATION: "gone-too", HASH_ANNOTATION: "5d", OWNER_ANNOTATION: OWNED.written()}
    labels = {**cluster.pods[second].labels, "pod-template-hash": RELEASED_HASH}
    cluster.pods[second] = replace(cluster.pods[second], labels=labels, annotations=marks)
    restore = cluster.restore

    async def odd(target, hash_label):
        if target.key.name == first:
            raise TypeError("unhashable type: 'list'")
        await restore(target, hash_label)

    monkeypatch.setattr(cluster, "restore", odd)
    assert {s.pod.name: s.done for s in await sweep(cluster, (), lambda: True)} == {
        first: "left: TypeError, a bug",
        second: "put back",
    }
    assert f"a bug: settling pod demo/{first} failed" in caplog.text


async def test_a_namespace_that_can_t_be_listed_keeps_no_other_waiting(monkeypatch):
    cluster = FakeCluster()
    name = stray_in(cluster, OWNED)
    listed = cluster.released_pods

    async def closed(namespace):
        if namespace == "closed":
            raise Stalled("Forbidden", "pods is forbidden")
        return await listed(namespace)

    monkeypatch.setattr(cluster, "released_pods", closed)
    with pytest.raises(Stalled, match="pods is forbidden"):
        await sweep(cluster, ("closed", "demo"), lambda: True)
    assert cluster.writes == [f"restore {name}"]


async def test_excluded_namespaces_are_not_looked_into():
    cluster = FakeCluster()
    stray_in(cluster, OWNED)
    assert await sweep(cluster, (), lambda: True, excluded=("demo",)) == ()
    assert cluster.writes == []


async def test_the_label_by_which_a_pod_was_released_is_one_of_those_that_tie_it():
    """Another label may have the same value: it is nobody's business."""
    cluster = FakeCluster()
    name = stray_in(cluster, OWNED)
    labels = {"a-label": RELEASED_HASH, **cluster.pods[name].labels}
    cluster.pods[name] = replace(cluster.pods[name], labels=labels)
    await sweep(cluster, (), lambda: True)
    assert cluster.pods[name].labels["pod-template-hash"] == "5d"
    assert cluster.pods[name].labels["a-label"] == RELEASED_HASH
