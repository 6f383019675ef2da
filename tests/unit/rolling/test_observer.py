"""Observer: other PodRolls of the same pod, and the replacements that other PodRolls have recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from memroll.api.base import rfc3339
from memroll.api.pod_roll import PodRoll
from memroll.errors import PrometheusUnavailableError
from memroll.model.pods import RELEASED_HASH
from memroll.rolling.eviction_response import EvictionResponse, EvictionResult
from memroll.rolling.observer import observe
from memroll.rolling.protocols import Clients
from tests.builders import NOW, at, pod, roll_json
from tests.fakes import FakeCluster, FakePrometheus

if TYPE_CHECKING:
    from memroll.rolling.observation import Observation

POD = "leaky-1"


def stored(cluster: FakeCluster, name: str, phase: str | None = None, *, created: float = 0, **parts: Any) -> PodRoll:
    raw = roll_json(phase, created=at(created), **parts)
    raw["spec"] |= {"podName": POD, "podUID": f"uid-{POD}"}
    raw["metadata"] |= {"name": name, "uid": f"uid-{name}"}
    cluster.rolls_json[name] = raw
    return PodRoll.read(raw)


async def observed(cluster: FakeCluster, roll: PodRoll) -> Observation:
    return await observe(roll, None, Clients(cluster, FakePrometheus({})), NOW)


@pytest.mark.parametrize(
    ("own", "other", "created", "is_blocked"),
    [
        pytest.param(None, "Announced", 5, True, id="a younger roll has begun"),
        pytest.param(None, None, -5, True, id="an older roll has not begun"),
        pytest.param(None, None, 5, False, id="a younger roll has not begun"),
        pytest.param("Announced", "Announced", -5, True, id="both have begun, the other one is older"),
        pytest.param("Announced", "CapturingEvidence", 5, False, id="both have begun, the other one is younger"),
        pytest.param("CapturingEvidence", "Replacing", 5, True, id="a younger roll has changed the pod"),
        pytest.param("Announced", "Failed", -5, False, id="an older roll has ended"),
    ],
)
async def test_only_one_of_several_rolls_of_a_pod_is_carried_out(own, other, created, is_blocked):
    """Both may begin at the same time: each looks again right before its first change."""
    cluster = FakeCluster()
    roll = stored(cluster, "own", own, strategy="Surge")
    stored(cluster, "other", other, created=created)
    reason = (await observed(cluster, roll)).must_not_roll_because
    assert reason == ("PodRoll other of this pod is in progress" if is_blocked else "")


async def test_a_roll_without_a_uid_is_found_by_the_name_of_its_pod():
    cluster = FakeCluster()
    roll = stored(cluster, "own")
    stored(cluster, "older", created=-5)
    del cluster.rolls_json["older"]["spec"]["podUID"]
    assert (await observed(cluster, roll)).must_not_roll_because == "PodRoll older of this pod is in progress"
    cluster.rolls_json["older"]["spec"]["podName"] = "another"
    assert (await observed(cluster, roll)).must_not_roll_because == ""


async def test_rolls_of_the_same_second_are_ordered_by_name():
    cluster = FakeCluster()
    first, second = stored(cluster, "a", "Announced"), stored(cluster, "b", "Announced")
    assert (await observed(cluster, first)).must_not_roll_because == ""
    assert (await observed(cluster, second)).must_not_roll_because == "PodRoll a of this pod is in progress"


async def test_an_annotation_that_appears_after_the_announcement_protects_the_pod():
    cluster = FakeCluster()
    cluster.pods[POD] = replace(cluster.pods[POD], annotations={"memroll.dev/do-not-disrupt": "true"})
    assert (await observed(cluster, stored(cluster, "own", "Announced"))).must_not_roll_because != ""


async def test_an_eviction_is_tried_before_the_first_change():
    cluster = FakeCluster()
    cluster.never_evictable = "This pod has more than one PodDisruptionBudget"
    assert (await observed(cluster, stored(cluster, "own"))).never_evictable_because == ""
    found = await observed(cluster, stored(cluster, "own", "CapturingEvidence"))
    assert found.never_evictable_because == "This pod has more than one PodDisruptionBudget"


@pytest.mark.parametrize(
    ("gauge", "found"),
    [
        pytest.param(2.0, (2.0, ""), id="a value"),
        pytest.param(None, (None, ""), id="no sample since the detach"),
        pytest.param(PrometheusUnavailableError("QueryTimeout", "slow"), (None, "QueryTimeout"), id="an error"),
    ],
)
async def test_a_gauge_without_samples_differs_from_one_that_can_t_be_queried(gauge, found):
    cluster, prometheus = FakeCluster(), FakePrometheus({})
    spec = {"drain": {"mode": "Detach", "until": {"metric": "in_flight"}}}
    roll = stored(cluster, "own", "Draining", strategy="Surge", spec=spec)

    async def read_gauge(*_: object) -> float | None:
        if isinstance(gauge, Exception):
            raise gauge
        return gauge

    prometheus.read_gauge = read_gauge
    observation = await observe(roll, None, Clients(cluster, prometheus), NOW)
    assert (observation.in_flight, observation.gauge_error) == found


async def test_pods_that_have_ended_are_not_the_workload_s():
    """A recorded replacement that the kubelet evicted must not hide the next one."""
    cluster = FakeCluster(replicas=3)
    ended = {n: replace(cluster.pods[n], phase="Failed", ready=False, created_at=at(5)) for n in ("leaky-2", POD)}
    cluster.pods |= ended
    cluster.pods["leaky-3"] = replace(cluster.pods["leaky-3"], created_at=at(4))
    roll = replacing(cluster, "own", created=0, replacement="leaky-2")
    observation = await observed(cluster, roll)
    assert observation.pod is None
    assert [p.key.name for p in observation.other_pods] == ["leaky-3"]


def replacing(cluster: FakeCluster, name: str, *, created: float, replacement: str = "") -> PodRoll:
    found = {"replacement": {"name": replacement, "uid": f"uid-{replacement}"}} if replacement else {}
    controller = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "leaky-5d", "uid": "rs-1"}
    return stored(cluster, name, "Replacing", created=created, strategy="Surge", controller=controller, **found)


async def test_the_replacements_of_other_rolls_are_claimed():
    cluster = FakeCluster(replicas=2)
    cluster.pods["leaky-2"] = replace(cluster.pods["leaky-2"], created_at=at(5))
    roll = replacing(cluster, "own", created=0)
    replacing(cluster, "other", created=1, replacement="leaky-2")
    assert (await observed(cluster, roll)).claimed == {"uid-leaky-2"}


async def test_of_two_rolls_with_the_same_replacement_the_older_one_keeps_it():
    cluster = FakeCluster(replicas=2)
    cluster.pods["leaky-2"] = pod("leaky-2", created_at=at(5), ready=True)
    older = replacing(cluster, "older", created=0, replacement="leaky-2")
    younger = replacing(cluster, "younger", created=1, replacement="leaky-2")
    assert (await observed(cluster, older)).claimed == frozenset()
    assert (await observed(cluster, younger)).claimed == {"uid-leaky-2"}


def released(cluster: FakeCluster, *, created: float = 0, ready_before: int = 1) -> PodRoll:
    """Store a roll that drains its pod, which is released and has the replacement leaky-2."""
    replacing(cluster, "own", created=created)
    raw = cluster.rolls_json["own"]
    raw["spec"]["drain"] = {"mode": "Detach"}
    times = {"replacing": rfc3339(at(created))}
    release = {"hashLabel": "pod-template-hash", "templateHash": "5d"}
    raw["status"] |= {"release": release, "readyBefore": ready_before, "times": times}
    labels = cluster.pods[POD].labels | {"pod-template-hash": RELEASED_HASH}
    cluster.pods[POD] = replace(cluster.pods[POD], labels=labels)
    cluster.pods["leaky-2"] = pod("leaky-2", created_at=at(created + 5), ready=True)
    return PodRoll.read(raw)


@pytest.mark.parametrize(
    ("result", "is_detached"),
    [
        pytest.param(EvictionResult.ACCEPTED, True, id="permitted"),
        pytest.param(EvictionResult.GONE, True, id="gone"),
        pytest.param(EvictionResult.BLOCKED, False, id="a budget refuses"),
        pytest.param(EvictionResult.THROTTLED, False, id="too many requests"),
        pytest.param(EvictionResult.MISCONFIGURED, False, id="two budgets"),
        pytest.param(EvictionResult.UNKNOWN, False, id="an error, or a webhook without support of dry runs"),
    ],
)
async def test_only_a_pod_whose_eviction_is_permitted_is_detached(result, is_detached):
    """Afterwards the pod may lack the label by which a budget selects it."""
    cluster = FakeCluster(replicas=2)
    response = EvictionResponse(result, "answer")

    async def dry_run_eviction(_: object) -> EvictionResponse:
        return response

    cluster.dry_run_eviction = dry_run_eviction
    found = await observed(cluster, released(cluster))
    assert (found.detachment is not None) is is_detached
    assert found.refused_detach == (None if is_detached else response)


@pytest.mark.parametrize(("created", "is_detached"), [(-600, False), (-601, True)])
async def test_a_pod_is_also_detached_when_only_another_pod_is_missing_for_long(created, is_detached):
    cluster = FakeCluster(replicas=3)
    cluster.pods["leaky-3"] = replace(cluster.pods["leaky-3"], ready=False, created_at=at(-9000))
    found = await observed(cluster, released(cluster, created=created, ready_before=2))
    assert (found.detachment is not None) is is_detached


async def test_the_replacement_of_another_roll_does_not_let_a_pod_be_detached():
    cluster = FakeCluster(replicas=3)
    cluster.pods["leaky-3"] = replace(cluster.pods["leaky-3"], ready=False, created_at=at(-9000))
    roll = released(cluster, created=-601, ready_before=2)
    replacing(cluster, "other", created=-700, replacement="leaky-2")
    found = await observed(cluster, roll)
    assert (found.claimed, found.detachment, found.refused_detach) == ({"uid-leaky-2"}, None, None)


@pytest.mark.parametrize(
    ("phase", "strategy", "hash_selector", "checks"),
    [
        pytest.param(None, "Auto", "", 1, id="to be announced"),
        pytest.param("Announced", "Auto", "", 1, id="before the first change"),
        pytest.param("CapturingEvidence", "Auto", "", 1, id="right before the first change"),
        pytest.param("Replacing", "Auto", "", 0, id="released"),
        pytest.param(None, "Surge", "", 0, id="a surge is required"),
        pytest.param(None, "Evict", "", 0, id="an eviction is required"),
        pytest.param(None, "Auto", "Service chat", 0, id="evicted for another reason"),
    ],
)
async def test_room_for_a_second_copy_is_compared_only_while_that_decides(phase, strategy, hash_selector, checks):
    cluster = FakeCluster()
    cluster.missing_room, cluster.hash_selected_by = "no node has room", hash_selector
    roll = stored(cluster, "own", phase, spec={"strategy": strategy}, strategy="Surge")
    found = await observed(cluster, roll)
    assert (found.missing_room, cluster.room_checks) == ("no node has room" if checks else "", checks)


@pytest.mark.parametrize("is_deleting", [True, False])
async def test_a_pod_that_has_ended_is_gone_unless_its_deletion_is_held_up(is_deleting):
    cluster = FakeCluster()
    cluster.pods[POD] = replace(cluster.pods[POD], phase="Succeeded", ready=False, deleting=is_deleting)
    found = await observed(cluster, stored(cluster, "own", "Evicting", strategy="Surge"))
    assert (found.pod is not None) == is_deleting
