"""The pods of the workload that a policy names: those that it owns, however the labels of workloads overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.kube.pods import KubePodReader
from memroll.clients.kube.target_pods import KubeTargetReader
from memroll.errors import NotFoundError, TerminalError
from memroll.model.annotations import RecordedOwners
from memroll.model.pods import OWNER_ANNOTATION, RELEASED_HASH, ROLL_ANNOTATION, ObjectRef

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi
    from tests.contract.cluster.fake_api import FakeApi

PODS = "/api/v1/namespaces/ai/pods"
APPS_V1, ARGO_V1 = "apps/v1", "argoproj.io/v1alpha1"
PLURALS = {
    "Deployment": "deployments",
    "Rollout": "rollouts",
    "StatefulSet": "statefulsets",
    "ReplicaSet": "replicasets",
}
CHAT, CANARY = {"app": "chat"}, {"app": "chat", "track": "canary"}

Labels = dict[str, str]


@pytest.fixture
def targets(api: KubeApi) -> KubeTargetReader:
    return KubeTargetReader(api, KubePodReader(api))


def reference(api_version: str, kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": f"uid-{name}", "controller": True}


def add(server: FakeApi, api_version: str, kind: str, name: str, spec: Any, **metadata: Any) -> None:
    path = f"/apis/{api_version}/namespaces/ai/{PLURALS[kind]}"
    server.add(path, {"kind": kind, "metadata": {"name": name, "uid": f"uid-{name}"} | metadata, "spec": spec})


def add_pod(server: FakeApi, name: str, labels: Labels, *owners: dict[str, Any], **annotations: str) -> None:
    marks = {ROLL_ANNOTATION: "roll"} | annotations if annotations else {}
    server.add(
        PODS, {"metadata": {"name": name, "labels": labels, "ownerReferences": list(owners), "annotations": marks}}
    )


def add_owned(server: FakeApi, api_version: str, kind: str, name: str, labels: Labels) -> None:
    """Add a workload with one ReplicaSet and one pod."""
    add(server, api_version, kind, name, {"selector": {"matchLabels": labels}})
    owner = reference(api_version, kind, name)
    add(server, APPS_V1, "ReplicaSet", f"{name}-abc", {}, labels=labels, ownerReferences=[owner])
    add_pod(server, f"{name}-abc-0", labels, reference(APPS_V1, "ReplicaSet", f"{name}-abc"))


async def names(targets: KubeTargetReader, api_version: str, kind: str, name: str) -> list[str]:
    return sorted(p.key.name for p in await targets.list_target_pods("ai", api_version, kind, name))


@pytest.mark.parametrize(("api_version", "kind"), [(APPS_V1, "Deployment"), (ARGO_V1, "Rollout")])
async def test_a_workload_whose_selector_matches_pods_of_another_has_only_its_own(
    server: FakeApi, targets: KubeTargetReader, api_version: str, kind: str
) -> None:
    add_owned(server, api_version, kind, "chat", CHAT)
    add_owned(server, APPS_V1, "Deployment", "chat-canary", CANARY)
    add_pod(server, "bare", CHAT)
    add_pod(server, "job", CHAT, reference("batch/v1", "Job", "migrate"))
    assert await names(targets, api_version, kind, "chat") == ["chat-abc-0"]
    assert await names(targets, APPS_V1, "Deployment", "chat-canary") == ["chat-canary-abc-0"]


@pytest.mark.parametrize("kind", ["StatefulSet", "ReplicaSet"])
async def test_a_controller_of_pods_has_only_its_own(server: FakeApi, targets: KubeTargetReader, kind: str) -> None:
    add(server, APPS_V1, kind, "chat", {"selector": {"matchLabels": CHAT}})
    add_pod(server, "chat-0", CHAT, reference(APPS_V1, kind, "chat"))
    add_pod(server, "other-0", CHAT, reference(APPS_V1, kind, "other"))
    assert await names(targets, APPS_V1, kind, "chat") == ["chat-0"]


async def test_a_workload_of_the_same_name_that_was_recreated_does_not_own_the_old_pods(
    server: FakeApi, targets: KubeTargetReader
) -> None:
    add_owned(server, APPS_V1, "Deployment", "chat", CHAT)
    owner = reference(APPS_V1, "Deployment", "chat") | {"uid": "former"}
    add(server, APPS_V1, "ReplicaSet", "chat-old", {}, labels=CHAT, ownerReferences=[owner])
    add_pod(server, "chat-old-0", CHAT, reference(APPS_V1, "ReplicaSet", "chat-old"))
    assert await names(targets, APPS_V1, "Deployment", "chat") == ["chat-abc-0"]


async def test_a_released_pod_still_belongs_to_its_workload(server: FakeApi, targets: KubeTargetReader) -> None:
    add_owned(server, APPS_V1, "Deployment", "chat", CHAT)
    add_owned(server, APPS_V1, "Deployment", "chat-canary", CANARY)
    labels = CANARY | {"pod-template-hash": RELEASED_HASH}
    former = RecordedOwners(ObjectRef(APPS_V1, "ReplicaSet", "chat-canary-abc", "uid-chat-canary-abc"))
    add_pod(server, "released", labels, **{OWNER_ANNOTATION: former.to_annotation()})
    assert await names(targets, APPS_V1, "Deployment", "chat") == ["chat-abc-0"]
    assert await names(targets, APPS_V1, "Deployment", "chat-canary") == ["chat-canary-abc-0", "released"]


async def test_a_rollout_that_refers_to_a_deployment_has_that_one_s_selector(
    server: FakeApi, targets: KubeTargetReader
) -> None:
    add_owned(server, APPS_V1, "Deployment", "chat", CHAT)
    add(server, ARGO_V1, "Rollout", "r", {"workloadRef": {"name": "chat"}})
    owner = reference(ARGO_V1, "Rollout", "r")
    add(server, APPS_V1, "ReplicaSet", "r-abc", {}, labels=CHAT, ownerReferences=[owner])
    add_pod(server, "r-abc-0", CHAT, reference(APPS_V1, "ReplicaSet", "r-abc"))
    assert await names(targets, ARGO_V1, "Rollout", "r") == ["r-abc-0"]


async def test_a_target_that_has_no_pods_of_its_own_is_an_error(server: FakeApi, targets: KubeTargetReader) -> None:
    add(server, APPS_V1, "StatefulSet", "all", {"selector": {}})
    with pytest.raises(NotFoundError):
        await names(targets, APPS_V1, "Deployment", "missing")
    with pytest.raises(TerminalError, match="targetRef batch/v1 Job is not supported"):
        await names(targets, "batch/v1", "Job", "x")
    with pytest.raises(TerminalError, match="StatefulSet/all has an empty label selector"):
        await names(targets, APPS_V1, "StatefulSet", "all")
