"""Orphaned pods: restored, evicted, or left alone; a pod with an active roll is not one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.errors import ClusterUnavailableError, TerminalError
from memroll.model.annotations import RecordedOwners
from memroll.model.pods import HASH_ANNOTATION, OWNER_ANNOTATION, RELEASED_HASH, ROLL_ANNOTATION
from memroll.rolling.orphans import restore_orphans
from tests.builders import roll_json, workload
from tests.fakes import FakeCluster


def orphan_in(cluster: FakeCluster, owners: RecordedOwners | None) -> str:
    """Release the first pod as a roll does, without a PodRoll."""
    name = next(iter(cluster.pods))
    marks = {ROLL_ANNOTATION: "gone", HASH_ANNOTATION: "5d"}
    if owners is not None:
        marks[OWNER_ANNOTATION] = owners.to_annotation()
    labels = {**cluster.pods[name].labels, "pod-template-hash": RELEASED_HASH}
    cluster.pods[name] = replace(cluster.pods[name], labels=labels, annotations=marks)
    for _ in range(3):
        cluster.settle()
    return name


OWNED = RecordedOwners(workload().controller, workload().owner)


@pytest.mark.parametrize(
    "owners", [pytest.param(OWNED, id="owners recorded"), pytest.param(None, id="of an older memroll")]
)
async def test_an_orphan_is_restored_where_its_replica_set_can_adopt_it(owners):
    cluster = FakeCluster()
    name = orphan_in(cluster, owners)
    (orphan,) = await restore_orphans(cluster, (), lambda: True)
    assert (orphan.pod.name, orphan.outcome) == (name, "restored")
    cluster.settle()
    assert cluster.pods[name].controller is not None
    assert not cluster.pods[name].annotations
    assert await restore_orphans(cluster, (), lambda: True) == ()


async def test_an_orphan_whose_replica_set_has_0_replicas_is_evicted_once_others_are_ready(monkeypatch):
    cluster = FakeCluster()
    name = orphan_in(cluster, OWNED)

    async def rolled_out(*_):
        return workload(controller_replicas=0, replicas=1)

    monkeypatch.setattr(cluster, "find_workload", rolled_out)
    replacement = next(n for n in cluster.pods if n != name)
    cluster.pods[replacement] = replace(cluster.pods[replacement], ready=False)
    (left,) = await restore_orphans(cluster, (), lambda: True)
    assert left.outcome == "not restored: 0 of 1 pods of Deployment/leaky are Ready"
    assert cluster.evicted == []
    cluster.pods[replacement] = replace(cluster.pods[replacement], ready=True)
    (gone,) = await restore_orphans(cluster, (), lambda: True)
    assert gone.outcome == "evicted, because no workload needs it: Accepted"


async def test_an_orphan_of_a_workload_that_is_gone_is_evicted(monkeypatch):
    cluster = FakeCluster()
    name = orphan_in(cluster, OWNED)

    async def nothing(*_):
        return None

    monkeypatch.setattr(cluster, "find_workload", nothing)
    await restore_orphans(cluster, (), lambda: True)
    assert cluster.evicted == [f"uid-{name}"]
    assert f"leave {name}" in cluster.writes, "the garbage collector deletes it where a budget blocks the eviction"


@pytest.mark.parametrize(
    ("raw", "left_alone"),
    [
        pytest.param(roll_json("Replacing", podUID="uid-leaky-1"), True, id="in progress"),
        pytest.param(roll_json("Failed", podUID="uid-leaky-1"), False, id="ended"),
        pytest.param(roll_json("NoSuchPhase"), True, id="unreadable"),
    ],
)
async def test_a_pod_whose_roll_is_in_progress_is_not_orphaned(raw, left_alone):
    cluster = FakeCluster()
    orphan_in(cluster, OWNED)
    cluster.rolls_json["gone"] = raw | {"spec": raw["spec"] | {"podUID": "uid-leaky-1", "podName": "leaky-1"}}
    assert (await restore_orphans(cluster, (), lambda: True) == ()) is left_alone


async def test_an_error_is_reported_and_nothing_is_done_without_the_lease(monkeypatch):
    cluster = FakeCluster()
    orphan_in(cluster, OWNED)
    assert await restore_orphans(cluster, (), lambda: False) == ()

    async def down(*_):
        raise ClusterUnavailableError("Timeout", "no answer")

    monkeypatch.setattr(cluster, "find_workload", down)
    (left,) = await restore_orphans(cluster, (), lambda: True)
    assert left.outcome == "not restored: Timeout: no answer"


INVALID_ANNOTATIONS = [
    pytest.param(
        '{"controller":{"api_version":["x"],"kind":"ReplicaSet","name":"n"}}', id="a list instead of a string"
    ),
    pytest.param(
        '{"controller":{"api_version":"apps/v1","kind":"ReplicaSet","name":7}}', id="a number instead of a string"
    ),
    pytest.param("[" * 100_000, id="nested"),
]


@pytest.mark.parametrize("annotation", INVALID_ANNOTATIONS)
async def test_an_invalid_annotation_counts_as_missing(annotation):
    """Any tenant can write such an annotation on a pod that is not even scheduled."""
    cluster = FakeCluster()
    name = orphan_in(cluster, None)
    cluster.pods[name] = replace(
        cluster.pods[name], annotations={**cluster.pods[name].annotations, OWNER_ANNOTATION: annotation}
    )
    (orphan,) = await restore_orphans(cluster, (), lambda: True)
    assert orphan.outcome == "restored"


UNUSABLE_RECORDS = [
    pytest.param({}, id="the label alone"),
    pytest.param({ROLL_ANNOTATION: "."}, id="a PodRoll that can't exist"),
    pytest.param({HASH_ANNOTATION: RELEASED_HASH}, id="the value of released pods as the hash"),
]


@pytest.mark.parametrize("annotations", UNUSABLE_RECORDS)
async def test_a_pod_without_a_usable_record_can_t_be_restored(annotations):
    """Any tenant can give a pod the label of released pods."""
    cluster = FakeCluster()
    name = orphan_in(cluster, None)
    cluster.pods[name] = replace(cluster.pods[name], annotations=annotations)
    (orphan,) = await restore_orphans(cluster, (), lambda: True)
    assert (orphan.can_be_restored, orphan.outcome[:27]) == (False, "not restored: Unrestorable:")


@pytest.mark.parametrize(
    "error",
    [ClusterUnavailableError("Timeout", "no answer"), TerminalError("Forbidden", "pods is forbidden")],
    ids=lambda error: error.reason,
)
async def test_an_error_that_is_not_the_pod_s_own_leaves_it_to_be_restored(monkeypatch, error):
    cluster = FakeCluster()
    orphan_in(cluster, OWNED)

    async def fail(*_):
        raise error

    monkeypatch.setattr(cluster, "restore", fail)
    (orphan,) = await restore_orphans(cluster, (), lambda: True)
    assert (orphan.can_be_restored, orphan.outcome) == (True, f"not restored: {error}")


async def test_a_bug_with_one_pod_does_not_affect_the_others(monkeypatch, caplog):
    cluster = FakeCluster(replicas=2)
    first = orphan_in(cluster, OWNED)
    second = next(n for n, p in cluster.pods.items() if n != first and p.labels["pod-template-hash"] != RELEASED_HASH)
    marks = {ROLL_ANNOTATION: "gone-too", HASH_ANNOTATION: "5d", OWNER_ANNOTATION: OWNED.to_annotation()}
    labels = {**cluster.pods[second].labels, "pod-template-hash": RELEASED_HASH}
    cluster.pods[second] = replace(cluster.pods[second], labels=labels, annotations=marks)
    restore = cluster.restore

    async def failing(target, hash_label):
        if target.key.name == first:
            raise TypeError("unhashable type: 'list'")
        await restore(target, hash_label)

    monkeypatch.setattr(cluster, "restore", failing)
    assert {s.pod.name: s.outcome for s in await restore_orphans(cluster, (), lambda: True)} == {
        first: "not restored: TypeError, a bug",
        second: "restored",
    }
    assert f"bug: restoring the orphaned pod demo/{first} failed" in caplog.text


async def test_a_namespace_that_can_t_be_listed_does_not_affect_the_others(monkeypatch):
    cluster = FakeCluster()
    name = orphan_in(cluster, OWNED)
    listed = cluster.list_released_pods

    async def closed(namespace):
        if namespace == "closed":
            raise TerminalError("Forbidden", "pods is forbidden")
        return await listed(namespace)

    monkeypatch.setattr(cluster, "list_released_pods", closed)
    with pytest.raises(TerminalError, match="pods is forbidden"):
        await restore_orphans(cluster, ("closed", "demo"), lambda: True)
    assert cluster.writes == [f"restore {name}"]


async def test_excluded_namespaces_are_skipped():
    cluster = FakeCluster()
    orphan_in(cluster, OWNED)
    assert await restore_orphans(cluster, (), lambda: True, excluded=("demo",)) == ()
    assert cluster.writes == []


async def test_only_a_template_hash_label_is_restored():
    """Another label may have the same value."""
    cluster = FakeCluster()
    name = orphan_in(cluster, OWNED)
    labels = {"a-label": RELEASED_HASH, **cluster.pods[name].labels}
    cluster.pods[name] = replace(cluster.pods[name], labels=labels)
    await restore_orphans(cluster, (), lambda: True)
    assert cluster.pods[name].labels["pod-template-hash"] == "5d"
    assert cluster.pods[name].labels["a-label"] == RELEASED_HASH
