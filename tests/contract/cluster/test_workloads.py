"""From a pod to what keeps it running, over the API server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.kube.pods import Targets
from memroll.clients.kube.workloads import Workloads
from memroll.errors import NotFound, Stalled
from memroll.model.pods import ObjectRef, Target, Workload
from tests.contract.cluster.fake_api import FakeApi, Fault

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import Api

PODS = "/api/v1/namespaces/ai/pods"
APPS = "/apis/apps/v1/namespaces/ai"
ARGO = "/apis/argoproj.io/v1alpha1/namespaces/ai"
REVISION = "deployment.kubernetes.io/revision"


@pytest.fixture
def workloads(api: Api) -> Workloads:
    return Workloads(api, Targets(api))


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


async def pod_of(server: FakeApi, api: Api, owners: list[dict[str, Any]]) -> Target:
    labels = {"app": "chat", "pod-template-hash": "abc"}
    server.add(PODS, {"metadata": {"name": "chat-0", "labels": labels, "ownerReferences": owners}})
    target = await Targets(api).pod("ai", "chat-0")
    assert target is not None
    return target


REPLICA_SET = ObjectRef("apps/v1", "ReplicaSet", "chat-abc", "chat-abc")


async def test_a_pod_of_a_deployment(server: FakeApi, api: Api, workloads: Workloads) -> None:
    add_deployment(server)
    add_replica_set(server, "chat-abc", "abc", 3, ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    target = await pod_of(server, api, owned_by("apps/v1", "ReplicaSet", "chat-abc", "chat-abc"))
    assert await workloads.workload(target) == Workload(
        top=ObjectRef("apps/v1", "Deployment", "chat", "d"),
        controller=REPLICA_SET,
        desired=3,
        replicas=1,
        hash_label="pod-template-hash",
        selector="app=chat",
        family=frozenset({"chat-abc"}),
    )


async def test_only_replica_sets_of_the_same_deployment_count_as_old_ones(
    server: FakeApi, api: Api, workloads: Workloads
) -> None:
    add_deployment(server)
    add_replica_set(server, "chat-abc", "abc", ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    add_replica_set(server, "stranger", "xyz", ownerReferences=owned_by("apps/v1", "Deployment", "chat", "other"))
    target = await pod_of(server, api, owned_by("apps/v1", "ReplicaSet", "chat-abc", "chat-abc"))
    found = await workloads.workload(target)
    assert found is not None
    assert found.mid_rollout == ""
    add_replica_set(server, "chat-old", "old", ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    found = await workloads.workload(target)
    assert found is not None
    assert found.mid_rollout == "Deployment/chat still has 1 pods of chat-old"


async def test_a_released_pod_s_workload_is_found_by_its_former_controller(
    server: FakeApi, workloads: Workloads
) -> None:
    add_deployment(server)
    add_replica_set(server, "chat-abc", "abc", ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    found = await workloads.workload_of("ai", REPLICA_SET)
    assert found is not None
    assert found.top.kind == "Deployment"
    assert await workloads.workload_of("ai", replace(REPLICA_SET, uid="an older one")) is None


async def test_a_pod_of_an_argo_rollout(server: FakeApi, api: Api, workloads: Workloads) -> None:
    status = {"stableRS": "abc", "currentPodHash": "abc", "updatedReplicas": 1}
    metadata = {"name": "chat", "uid": "r"}
    server.add(f"{ARGO}/rollouts", {"kind": "Rollout", "metadata": metadata, "spec": {"replicas": 1}, "status": status})
    add_replica_set(server, "chat-abc", "abc", ownerReferences=owned_by("argoproj.io/v1alpha1", "Rollout", "chat", "r"))
    target = await pod_of(server, api, owned_by("apps/v1", "ReplicaSet", "chat-abc", "chat-abc"))
    found = await workloads.workload(target)
    assert found is not None
    assert (found.top.kind, found.hash_label, found.mid_rollout) == ("Rollout", "rollouts-pod-template-hash", "")


async def test_a_bare_replica_set_is_its_own_workload_and_can_t_surge(
    server: FakeApi, api: Api, workloads: Workloads
) -> None:
    add_replica_set(server, "chat-abc", "abc")
    target = await pod_of(server, api, owned_by("apps/v1", "ReplicaSet", "chat-abc", "chat-abc"))
    found = await workloads.workload(target)
    assert found is not None
    assert (found.top, found.hash_label) == (REPLICA_SET, "")


async def test_a_replica_set_whose_deployment_is_gone_counts_as_changing(
    server: FakeApi, api: Api, workloads: Workloads
) -> None:
    add_replica_set(server, "chat-abc", "abc", ownerReferences=owned_by("apps/v1", "Deployment", "chat", "d"))
    target = await pod_of(server, api, owned_by("apps/v1", "ReplicaSet", "chat-abc", "chat-abc"))
    found = await workloads.workload(target)
    assert found is not None
    assert found.mid_rollout == "Deployment/chat does not exist any more"


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
async def test_a_pod_of_a_set(
    server: FakeApi, api: Api, workloads: Workloads, kind: str, body: dict[str, Any], desired: int
) -> None:
    server.add(f"{APPS}/{kind.lower()}s", {"kind": kind, "metadata": {"name": "db", "uid": "s"}, **body})
    target = await pod_of(server, api, owned_by("apps/v1", kind, "db", "s"))
    found = await workloads.workload(target)
    ref = ObjectRef("apps/v1", kind, "db", "s")
    assert found == Workload(ref, ref, desired, desired, family=frozenset({"s"}))


@pytest.mark.parametrize(("api_version", "kind"), [("batch/v1", "Job"), ("apps.kruise.io/v1beta1", "StatefulSet")])
async def test_an_unknown_owner_is_named_and_counts_as_changing(
    server: FakeApi, api: Api, workloads: Workloads, api_version: str, kind: str
) -> None:
    target = await pod_of(server, api, owned_by(api_version, kind, "x", "x"))
    found = await workloads.workload(target)
    assert found is not None
    assert (found.top.kind, found.hash_label) == (kind, "")
    assert found.mid_rollout == f"{kind}/x of {api_version} is not a workload whose rollouts can be read"


async def test_a_bare_pod_has_no_workload(server: FakeApi, api: Api, workloads: Workloads) -> None:
    assert await workloads.workload(await pod_of(server, api, [])) is None


async def test_owned_pods_are_those_of_the_controller_alone(server: FakeApi, api: Api, workloads: Workloads) -> None:
    await pod_of(server, api, owned_by("apps/v1", "ReplicaSet", "chat-abc", "chat-abc"))
    labels = {"app": "chat", "pod-template-hash": "abc"}
    server.add(PODS, {"metadata": {"name": "stranger", "labels": labels}})
    workload = Workload(REPLICA_SET, REPLICA_SET, 1, selector="app=chat", family=frozenset({"chat-abc"}))
    assert [p.key.name for p in await workloads.owned_pods(workload, "ai")] == ["chat-0"]
    with pytest.raises(Stalled, match="no selector"):
        await workloads.owned_pods(replace(workload, selector=""), "ai")


async def test_the_selector_of_a_reference(server: FakeApi, workloads: Workloads) -> None:
    add_deployment(server)
    server.add(f"{ARGO}/rollouts", {"metadata": {"name": "r"}, "spec": {"workloadRef": {"name": "chat"}}})
    server.add(f"{APPS}/statefulsets", {"metadata": {"name": "all"}, "spec": {"selector": {}}})
    assert await workloads.selector_of("ai", "apps/v1", "Deployment", "chat") == "app=chat"
    assert await workloads.selector_of("ai", "argoproj.io/v1alpha1", "Rollout", "r") == "app=chat"
    with pytest.raises(NotFound):
        await workloads.selector_of("ai", "apps/v1", "Deployment", "missing")
    with pytest.raises(Stalled, match="not supported"):
        await workloads.selector_of("ai", "batch/v1", "Job", "x")
    with pytest.raises(Stalled, match="empty label selector"):
        await workloads.selector_of("ai", "apps/v1", "StatefulSet", "all")


async def test_the_marks_of_a_namespace(server: FakeApi, workloads: Workloads) -> None:
    marks = {"memroll.dev/protect": "true", "other": "x"}
    server.add("/api/v1/namespaces", {"metadata": {"name": "ai", "annotations": marks}})
    assert await workloads.namespace_annotations("ai") == {"memroll.dev/protect": "true"}
    assert await workloads.namespace_annotations("missing") == {}


def claiming(name: str, claim: str) -> dict[str, Any]:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
    return {"metadata": {"name": name, "labels": {"app": "chat"}}, "spec": {"volumes": volumes}}


@pytest.mark.parametrize("count", [pytest.param(2, id="one by one"), pytest.param(20, id="in one list")])
async def test_claims_are_read_and_pin_their_pods(server: FakeApi, api: Api, count: int) -> None:
    for i in range(count):
        server.add(PODS, claiming(f"chat-{i:02}", f"data-{i}"))
    once = {"metadata": {"name": "data-0"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    server.add("/api/v1/namespaces/ai/persistentvolumeclaims", once)
    found = await Targets(api).targets("ai", "app=chat")
    assert [t.pinned_by for t in found[:2]] == ["claim data-0 is ReadWriteOnce", "can't read claim data-1"]
    assert len(found) == count
    assert len(server.calls("GET", "claims")) == (count if count == 2 else 1)


async def test_claims_that_may_not_be_read_pin_their_pods(server: FakeApi, api: Api) -> None:
    for i in range(7):
        server.add(PODS, claiming(f"chat-{i}", f"data-{i}"))
    server.faults.append(Fault("403", path="claims"))
    found = await Targets(api).targets("ai", "")
    assert {t.pinned_by for t in found} == {f"can't read claim data-{i}" for i in range(7)}


async def test_pods_are_never_listed_without_a_namespace(server: FakeApi, api: Api) -> None:
    with pytest.raises(Stalled, match="Invalid"):
        await Targets(api).targets("", "app=chat")
    assert server.requests == []
