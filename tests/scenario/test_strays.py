"""Released pods without a roll: put back, taken away, or left alone, and never one that a roll is about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.disruption.target import HASH_ANNOTATION, OWNER_ANNOTATION, RELEASED_HASH, ROLL_ANNOTATION, Owners
from memroll.errors import ClusterUnavailable
from memroll.reconcile.strays import sweep
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
