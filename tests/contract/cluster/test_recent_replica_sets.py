"""ReplicaSets of a Deployment are listed again when they may have changed, and after ten seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.kube.pods import KubePodReader
from memroll.clients.kube.recent_replica_sets import MAX_OWNERS, RecentReplicaSets
from memroll.clients.kube.workloads import KubeWorkloadReader
from memroll.model.pods import ObjectRef, Workload
from tests.contract.cluster.test_workloads import APPS, REPLICA_SET, add_deployment, add_replica_set, owned_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.clients.kube.api_client import KubeApi
    from tests.contract.cluster.fake_api import FakeApi

DEPLOYMENT = f"{APPS}/deployments/chat"
OWNER = owned_by("apps/v1", "Deployment", "chat", "d")


class Reader:
    """Reader of workloads, with the time in seconds."""

    def __init__(self, server: FakeApi, api: KubeApi) -> None:
        self.now_s, self.server = 0.0, server
        self.workloads = KubeWorkloadReader(api, KubePodReader(api), RecentReplicaSets(lambda: self.now_s))

    async def find(self) -> Workload:
        self.server.requests.clear()
        found = await self.workloads.find_workload("ai", REPLICA_SET)
        assert found is not None
        return found

    @property
    def lists(self) -> int:
        return len([path for path in self.server.calls("GET", "/replicasets") if "labelSelector" in path])


@pytest.fixture
async def reader(server: FakeApi, api: KubeApi) -> Reader:
    add_deployment(server)
    add_replica_set(server, "chat-abc", "abc", ownerReferences=OWNER)
    made = Reader(server, api)
    await made.find()
    return made


async def test_replica_sets_are_not_listed_while_the_generation_is_the_same(reader: Reader) -> None:
    first = await reader.find()
    assert (reader.lists, len(reader.server.requests)) == (0, 1)
    assert first.controller_uids == {"chat-abc"}
    reader.now_s = 11
    assert await reader.find() == first
    assert reader.lists == 1


async def test_the_state_of_the_deployment_is_that_of_now(reader: Reader) -> None:
    """Its status changes without a new generation."""
    reader.server.touch(DEPLOYMENT, lambda d: d["status"].update(updatedReplicas=0))
    assert (await reader.find()).rollout_in_progress == "Deployment/chat has updated 0 of 1 pods"


async def test_a_new_revision_is_seen_at_once(reader: Reader) -> None:
    def change(deployment: Any) -> None:
        deployment["metadata"].update(generation=2, annotations={"deployment.kubernetes.io/revision": "2"})
        deployment["status"]["observedGeneration"] = 2

    reader.server.touch(DEPLOYMENT, change)
    add_replica_set(reader.server, "chat-new", "new", ownerReferences=OWNER)
    found = await reader.find()
    assert (reader.lists, found.controller_uids) == (1, {"chat-abc", "chat-new"})
    assert found.rollout_in_progress == "Deployment/chat is at revision 2, the pod at 1"


async def test_a_deployment_that_is_gone_is_seen_at_once(reader: Reader) -> None:
    reader.server.remove(DEPLOYMENT)
    assert (await reader.find()).rollout_in_progress == "Deployment/chat no longer exists"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda d: d["spec"].update(paused=True), id="paused"),
        pytest.param(lambda d: d["status"].update(updatedReplicas=0), id="in a rollout"),
        pytest.param(lambda d: d["status"].update(observedGeneration=0), id="not observed yet"),
        pytest.param(lambda d: d["metadata"].pop("generation"), id="without a generation"),
    ],
)
async def test_replica_sets_that_may_change_are_listed_each_time(
    server: FakeApi, api: KubeApi, change: Callable[[Any], None]
) -> None:
    add_deployment(server)
    add_replica_set(server, "chat-abc", "abc", ownerReferences=OWNER)
    server.touch(DEPLOYMENT, change)
    reader = Reader(server, api)
    await reader.find()
    await reader.find()
    assert reader.lists == 1


async def test_replica_sets_that_can_t_create_pods_are_listed_each_time(reader: Reader) -> None:
    failed = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    reader.server.touch(f"{APPS}/replicasets/chat-abc", lambda rs: rs["status"].update(conditions=[failed]))
    reader.now_s = 11
    for _ in range(2):
        assert "exceeded quota" in (await reader.find()).replica_failure
        assert reader.lists == 1


def test_the_oldest_list_is_forgotten() -> None:
    recent = RecentReplicaSets(lambda: 0.0)
    for i in range(MAX_OWNERS + 1):
        owner = ObjectRef("apps/v1", "Deployment", f"d{i}", f"uid-{i}")
        recent.put({"metadata": {"uid": owner.uid, "generation": 1}}, [], 0.0, Workload(owner, owner, 1))
    assert (recent.has("uid-0"), recent.has("uid-1"), recent.has(f"uid-{MAX_OWNERS}")) == (False, True, True)
