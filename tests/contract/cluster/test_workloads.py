"""The workload of a pod, read from the API server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.kube.pods import KubePodReader
from memroll.clients.kube.recent_replica_sets import RecentReplicaSets
from memroll.clients.kube.services import KubeNetworkReader
from memroll.clients.kube.workloads import KubeWorkloadReader
from memroll.errors import TerminalError
from memroll.model.pods import ObjectRef, Pod, Workload
from tests.builders import pod as built_pod
from tests.contract.cluster.fake_api import FakeApi, Fault

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi

PODS = "/api/v1/namespaces/ai/pods"
APPS = "/apis/apps/v1/namespaces/ai"
ARGO = "/apis/argoproj.io/v1alpha1/namespaces/ai"
REVISION = "deployment.kubernetes.io/revision"


@pytest.fixture
def workloads(api: KubeApi) -> KubeWorkloadReader:
    """Return a reader for which so much time passes between two reads that it lists ReplicaSets each time."""
    times_s = count(0, 3600)
    return KubeWorkloadReader(api, KubePodReader(api), RecentReplicaSets(lambda: next(times_s)))


def owned_by(api_version: str, kind: str, name: str, uid: str) -> list[dict[str, Any]]:
    return [{"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": True}]


def add_replica_set(server: FakeApi, name: str, pod_hash: str, replicas: int = 1, **owner: Any) -> None:
    labels = {"app": "chat", "pod-template-hash": pod_hash}
    server.add(
        f"{APPS}/replicasets",
        {
            "kind": "ReplicaSet",
            "metadata": {"name": name, "uid": name, "labels": labels, "annotations": {REVISION: "1"}} | owner,
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}},
            "status": {"replicas": replicas},
        },
    )


def add_deployment(server: FakeApi) -> None:
    server.add(
        f"{APPS}/deployments",
        {
            "kind": "Deployment",
            "metadata": {"name": "chat", "uid": "d", "generation": 1, "annotations": {REVISION: "1"}},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "chat"}}},
            "status": {"observedGeneration": 1, "updatedReplicas": 1},
        },
    )


async def pod_of(server: FakeApi, api: KubeApi, owners: list[dict[str, Any]]) -> Pod:
    labels = {"app": "chat", "pod-template-hash": "abc"}
    server.add(PODS, {"metadata": {"name": "chat-0", "labels": labels, "ownerReferences": owners}})
    pod = await KubePodReader(api).get_pod("ai", "chat-0")
    assert pod is not None
    return pod


REPLICA_SET = ObjectRef("apps/v1", "ReplicaSet", "chat-abc", "chat-abc")


async def test_a_pod_of_a_deployment(server: FakeApi, api: KubeApi, workloads: KubeWorkloadReader) -> None:
    add_deployment(server)
    add_replica_set(server, "chat-abc", "abc", 3, ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    pod = await pod_of(server, api, owned_by("apps/v1", "ReplicaSet", "chat-abc", "chat-abc"))
    assert await workloads.get_workload(pod) == Workload(
        owner=ObjectRef("apps/v1", "Deployment", "chat", "d"),
        controller=REPLICA_SET,
        controller_replicas=3,
        replicas=1,
        hash_label="pod-template-hash",
        selector="app=chat",
        controller_uids=frozenset({"chat-abc"}),
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("2026-03-01T13:00:00+02:00", datetime(2026, 3, 1, 11, tzinfo=UTC), id="kubectl east of UTC"),
        pytest.param("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC), id="UTC"),
        pytest.param("yesterday", None, id="no time"),
    ],
)
async def test_the_time_of_a_restart_is_read_in_any_time_zone(
    server: FakeApi, workloads: KubeWorkloadReader, written: str, expected: datetime | None
) -> None:
    """Compared as text, a restart in Berlin an hour ago was later than one in UTC now."""
    add_deployment(server)
    template = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": written}}}
    path = "/apis/apps/v1/namespaces/ai/deployments/chat"
    server.touch(path, lambda d: d["spec"].update(template=template, minReadySeconds=7))
    add_replica_set(server, "chat-abc", "abc", ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    found = await workloads.find_workload("ai", REPLICA_SET)
    assert found is not None
    assert (found.restarted_at, found.min_ready_s) == (expected, 7.0)


PROTECTED = "memroll.dev/do-not-disrupt"


@pytest.mark.parametrize(
    ("deployment", "replica_set", "expected"),
    [
        pytest.param({PROTECTED: "true"}, {}, "true", id="the Deployment's"),
        pytest.param({}, {PROTECTED: "true"}, None, id="not the copy on its ReplicaSet, which outlives it"),
        pytest.param({PROTECTED: "x" * 9000}, {}, "x" * 64, id="a long one is cut"),
        pytest.param({PROTECTED: True}, {}, None, id="no text"),
    ],
)
async def test_the_protection_of_a_workload_is_read_from_its_owner(
    server: FakeApi, workloads: KubeWorkloadReader, deployment: dict[str, Any], replica_set: dict[str, str], expected
) -> None:
    add_deployment(server)
    server.touch(f"{APPS}/deployments/chat", lambda d: d["metadata"]["annotations"].update(deployment))
    add_replica_set(server, "chat-abc", "abc", ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    server.touch(f"{APPS}/replicasets/chat-abc", lambda rs: rs["metadata"]["annotations"].update(replica_set))
    found = await workloads.find_workload("ai", REPLICA_SET)
    assert found is not None
    assert found.do_not_disrupt == expected


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "ReplicaSet"])
async def test_the_protection_of_a_controller_without_an_owner_is_its_own(
    server: FakeApi, workloads: KubeWorkloadReader, kind: str
) -> None:
    meta = {"name": "db", "uid": "db", "annotations": {PROTECTED: "2026-03-01T12:00:00Z"}}
    spec = {"selector": {"matchLabels": {"app": "db"}}}
    server.add(f"{APPS}/{kind.lower()}s", {"kind": kind, "metadata": meta, "spec": spec, "status": {}})
    found = await workloads.find_workload("ai", ObjectRef("apps/v1", kind, "db", "db"))
    assert found is not None
    assert found.do_not_disrupt == "2026-03-01T12:00:00Z"


async def test_only_replica_sets_of_the_same_deployment_count_as_old(
    server: FakeApi, api: KubeApi, workloads: KubeWorkloadReader
) -> None:
    add_deployment(server)
    add_replica_set(server, "chat-abc", "abc", ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    add_replica_set(server, "stranger", "xyz", ownerReferences=owned_by("apps/v1", "Deployment", "chat", "other"))
    pod = await pod_of(server, api, owned_by("apps/v1", "ReplicaSet", "chat-abc", "chat-abc"))
    found = await workloads.get_workload(pod)
    assert found is not None
    assert found.rollout_in_progress == ""
    add_replica_set(server, "chat-old", "old", ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    found = await workloads.get_workload(pod)
    assert found is not None
    assert found.rollout_in_progress == "Deployment/chat still has 1 pods of chat-old"


async def test_a_released_pod_s_workload_is_found_by_its_former_controller(
    server: FakeApi, workloads: KubeWorkloadReader
) -> None:
    add_deployment(server)
    add_replica_set(server, "chat-abc", "abc", ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    found = await workloads.find_workload("ai", REPLICA_SET)
    assert found is not None
    assert found.owner.kind == "Deployment"
    assert await workloads.find_workload("ai", replace(REPLICA_SET, uid="previous")) is None


async def test_a_pod_of_an_argo_rollout(server: FakeApi, api: KubeApi, workloads: KubeWorkloadReader) -> None:
    status = {"stableRS": "abc", "currentPodHash": "abc", "updatedReplicas": 1}
    metadata = {"name": "chat", "uid": "r"}
    server.add(f"{ARGO}/rollouts", {"kind": "Rollout", "metadata": metadata, "spec": {"replicas": 1}, "status": status})
    add_replica_set(server, "chat-abc", "abc", ownerReferences=owned_by("argoproj.io/v1alpha1", "Rollout", "chat", "r"))
    pod = await pod_of(server, api, owned_by("apps/v1", "ReplicaSet", "chat-abc", "chat-abc"))
    found = await workloads.get_workload(pod)
    assert found is not None
    assert (found.owner.kind, found.hash_label, found.rollout_in_progress) == (
        "Rollout",
        "rollouts-pod-template-hash",
        "",
    )


async def test_a_replica_set_without_an_owner_is_a_workload_that_can_t_surge(
    server: FakeApi, api: KubeApi, workloads: KubeWorkloadReader
) -> None:
    add_replica_set(server, "chat-abc", "abc")
    pod = await pod_of(server, api, owned_by("apps/v1", "ReplicaSet", "chat-abc", "chat-abc"))
    found = await workloads.get_workload(pod)
    assert found is not None
    assert (found.owner, found.hash_label) == (REPLICA_SET, "")


async def test_a_replica_set_without_its_deployment_counts_as_in_rollout(
    server: FakeApi, api: KubeApi, workloads: KubeWorkloadReader
) -> None:
    add_replica_set(server, "chat-abc", "abc", ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    pod = await pod_of(server, api, owned_by("apps/v1", "ReplicaSet", "chat-abc", "chat-abc"))
    found = await workloads.get_workload(pod)
    assert found is not None
    assert found.rollout_in_progress == "Deployment/chat no longer exists"


@pytest.mark.parametrize(
    ("kind", "body", "desired"),
    [
        pytest.param(
            "StatefulSet", {"spec": {"replicas": 3}, "status": {"updatedReplicas": 3}}, 3, id="stateful"
        ),
        pytest.param(
            "DaemonSet",
            {"status": {"desiredNumberScheduled": 4, "updatedNumberScheduled": 4}}, 4, id="daemon",
        ),
    ],
)  # fmt: skip
async def test_a_pod_of_a_stateful_or_daemon_set(
    server: FakeApi, api: KubeApi, workloads: KubeWorkloadReader, kind: str, body: dict[str, Any], desired: int
) -> None:
    server.add(f"{APPS}/{kind.lower()}s", {"kind": kind, "metadata": {"name": "db", "uid": "s"}, **body})
    pod = await pod_of(server, api, owned_by("apps/v1", kind, "db", "s"))
    found = await workloads.get_workload(pod)
    ref = ObjectRef("apps/v1", kind, "db", "s")
    assert found is not None
    expected = Workload(ref, ref, desired, desired, controller_uids=frozenset({"s"}))
    assert replace(found, pod_revisions=None) == expected
    assert found.rollout_of(pod) == ""


async def test_a_pod_is_compared_with_the_revision_at_which_it_would_be_created_again(
    server: FakeApi, workloads: KubeWorkloadReader
) -> None:
    """Under OnDelete all pods of the StatefulSet are read once, and the current revision never moves."""
    metadata = {"name": "db", "uid": "s", "generation": 2}
    status = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "currentRevision": "1"}
    body = {"spec": {"replicas": 2, "updateStrategy": {"type": "OnDelete"}}, "status": status | {"updateRevision": "2"}}
    server.add(f"{APPS}/statefulsets", {"kind": "StatefulSet", "metadata": metadata, **body})
    found = await workloads.find_workload("ai", ObjectRef("apps/v1", "StatefulSet", "db", "s"))
    assert found is not None
    pods = [built_pod(f"db-{revision}", labels={"controller-revision-hash": revision}) for revision in ("1", "2")]
    assert [bool(found.rollout_of(p)) for p in pods] == [True, False]
    assert (found.rollout_in_progress, bool(found.owner_rollout_in_progress)) == ("", True)


@pytest.mark.parametrize(("api_version", "kind"), [("batch/v1", "Job"), ("apps.kruise.io/v1beta1", "StatefulSet")])
async def test_an_unsupported_owner_is_named_and_counts_as_in_rollout(
    server: FakeApi, api: KubeApi, workloads: KubeWorkloadReader, api_version: str, kind: str
) -> None:
    pod = await pod_of(server, api, owned_by(api_version, kind, "x", "x"))
    found = await workloads.get_workload(pod)
    assert found is not None
    assert (found.owner.kind, found.hash_label) == (kind, "")
    assert (
        found.rollout_in_progress == f"memroll can't read rollouts of {kind}/x: {api_version} {kind} is not supported"
    )


async def test_a_bare_pod_has_no_workload(server: FakeApi, api: KubeApi, workloads: KubeWorkloadReader) -> None:
    assert await workloads.get_workload(await pod_of(server, api, [])) is None


async def test_workload_pods_are_only_those_of_its_controllers(
    server: FakeApi, api: KubeApi, workloads: KubeWorkloadReader
) -> None:
    await pod_of(server, api, owned_by("apps/v1", "ReplicaSet", "chat-abc", "chat-abc"))
    labels = {"app": "chat", "pod-template-hash": "abc"}
    server.add(PODS, {"metadata": {"name": "stranger", "labels": labels}})
    workload = Workload(REPLICA_SET, REPLICA_SET, 1, selector="app=chat", controller_uids=frozenset({"chat-abc"}))
    assert [p.key.name for p in await workloads.list_workload_pods(workload, "ai")] == ["chat-0"]
    with pytest.raises(TerminalError, match="has no selector"):
        await workloads.list_workload_pods(replace(workload, selector=""), "ai")


async def test_the_annotations_of_a_namespace(server: FakeApi, workloads: KubeWorkloadReader) -> None:
    marks = {"memroll.dev/do-not-disrupt": "true", "other": "x"}
    server.add("/api/v1/namespaces", {"metadata": {"name": "ai", "annotations": marks}})
    assert await workloads.get_namespace_annotations("ai") == {"memroll.dev/do-not-disrupt": "true"}
    assert await workloads.get_namespace_annotations("missing") == {}


def claiming(name: str, claim: str) -> dict[str, Any]:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
    return {"metadata": {"name": name, "labels": {"app": "chat"}}, "spec": {"volumes": volumes}}


@pytest.mark.parametrize("count", [pytest.param(2, id="read one by one"), pytest.param(20, id="read as a list")])
async def test_exclusive_claims_make_pods_exclusive(server: FakeApi, api: KubeApi, count: int) -> None:
    for i in range(count):
        server.add(PODS, claiming(f"chat-{i:02}", f"data-{i}"))
    once = {"metadata": {"name": "data-0"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    server.add("/api/v1/namespaces/ai/persistentvolumeclaims", once)
    found = await KubePodReader(api).list_pods("ai", "app=chat")
    assert [t.exclusive_because for t in found[:2]] == ["claim data-0 is ReadWriteOnce", "can't read claim data-1"]
    assert len(found) == count
    assert len(server.calls("GET", "claims")) == (count if count == 2 else 1)


async def test_unreadable_claims_make_pods_exclusive(server: FakeApi, api: KubeApi) -> None:
    for i in range(7):
        server.add(PODS, claiming(f"chat-{i}", f"data-{i}"))
    server.faults.append(Fault("403", path="claims"))
    found = await KubePodReader(api).list_pods("ai", "")
    assert {t.exclusive_because for t in found} == {f"can't read claim data-{i}" for i in range(7)}


async def test_listing_pods_requires_a_namespace(server: FakeApi, api: KubeApi) -> None:
    with pytest.raises(TerminalError, match="Invalid"):
        await KubePodReader(api).list_pods("", "app=chat")
    assert server.requests == []


@pytest.mark.parametrize("name", [".", ".."])
async def test_a_controller_with_a_name_that_no_object_has_is_missing(
    server: FakeApi, api: KubeApi, workloads: KubeWorkloadReader, name: str
) -> None:
    """The API server does not check the names of owners, so any tenant can write one."""
    add_replica_set(server, "chat-abc", "abc", ownerReferences=owned_by("apps/v1", "Deployment", name, "d"))
    assert await workloads.find_workload("ai", replace(REPLICA_SET, name=name)) is None
    found = await workloads.find_workload("ai", REPLICA_SET)
    assert found is not None
    assert found.rollout_in_progress == f"Deployment/{name} no longer exists"


@pytest.mark.parametrize("name", [".", ".."])
async def test_a_claim_with_a_name_that_no_object_has_makes_only_its_pod_exclusive(
    server: FakeApi, api: KubeApi, name: str
) -> None:
    """The API server does not check the names of claims in pods, so any tenant can write one."""
    server.add(PODS, claiming("chat-0", name))
    server.add(PODS, {"metadata": {"name": "chat-1"}})
    found = await KubePodReader(api).list_pods("ai", "")
    assert [p.exclusive_because for p in found] == [f"can't read claim {name}", ""]


def fail(*_: Any) -> Any:
    raise ZeroDivisionError


async def test_a_bug_in_decoding_a_workload_blocks_only_this_workload(
    server: FakeApi, workloads: KubeWorkloadReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_replica_set(server, "chat-abc", "abc")
    monkeypatch.setattr("memroll.clients.kube.workloads.describe_deletion", fail)
    with pytest.raises(TerminalError, match="ReplicaSet/chat-abc can't be decoded: ZeroDivisionError, a bug"):
        await workloads.find_workload("ai", REPLICA_SET)


async def test_a_bug_in_decoding_services_is_a_reason_against_a_surge_and_a_detach(
    server: FakeApi, api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = await pod_of(server, api, [])
    for name in ("plan_detachment", "describe_hash_selector"):
        monkeypatch.setattr(f"memroll.clients.kube.services.{name}", fail)
    network, expected = KubeNetworkReader(api), "can't read what selects the pod: ZeroDivisionError, a bug"
    assert (await network.find_detachment(pod)).skipped == expected
    assert (await network.find_selection(pod, "pod-template-hash")).hash_selector == expected


async def test_what_selects_several_pods_is_read_once(server: FakeApi, api: KubeApi) -> None:
    pod = await pod_of(server, api, [])
    selector = {"spec": {"selector": {"pod-template-hash": "abc"}}}
    server.add("/api/v1/namespaces/ai/services", {"metadata": {"name": "canary"}} | selector)
    pods = [replace(pod, labels={"pod-template-hash": name}) for name in ("abc", "def", "abc")]
    server.requests.clear()
    found = await KubeNetworkReader(api).find_hash_selectors("ai", [(p, "pod-template-hash") for p in pods])
    expected = "Service canary selects the pod by its label pod-template-hash"
    assert found == [expected, "", expected]
    assert len(server.requests) == 3


async def test_what_never_changes_of_a_replica_set_is_read_once(server: FakeApi, workloads: KubeWorkloadReader) -> None:
    """Its state comes with the list of all ReplicaSets, which is read anyway."""
    add_deployment(server)
    owners = owned_by("apps/v1", "Deployment", "chat", "d")
    add_replica_set(server, "chat-abc", "abc", 3, ownerReferences=owners)
    first = await workloads.find_workload("ai", REPLICA_SET)
    server.requests.clear()
    assert await workloads.find_workload("ai", REPLICA_SET) == first
    assert len(server.requests) == 2
    server.touch(f"{APPS}/replicasets/chat-abc", lambda rs: rs["spec"].update(replicas=0))
    scaled = await workloads.find_workload("ai", REPLICA_SET)
    assert scaled is not None
    assert scaled.controller_replicas == 0


async def test_a_known_replica_set_that_is_orphaned_or_gone_is_read_again(
    server: FakeApi, workloads: KubeWorkloadReader
) -> None:
    add_deployment(server)
    add_replica_set(server, "chat-abc", "abc", 3, ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    await workloads.find_workload("ai", REPLICA_SET)
    server.touch(f"{APPS}/replicasets/chat-abc", lambda rs: rs["metadata"].update(ownerReferences=[]))
    orphaned = await workloads.find_workload("ai", REPLICA_SET)
    assert orphaned is not None
    assert orphaned.owner == REPLICA_SET
    server.objects = {key: o for key, o in server.objects.items() if o["kind"] != "ReplicaSet"}
    assert await workloads.find_workload("ai", REPLICA_SET) is None
