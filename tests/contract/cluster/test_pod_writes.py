"""Writes on pods: their changes, their refusals, and that repeating them changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.kube.pod_writes import KubePodWriter
from memroll.clients.kube.pods import KubePodReader
from memroll.errors import ClusterUnavailableError, ConflictError, NotFoundError, TerminalError
from memroll.model.annotations import RecordedOwners
from memroll.model.pods import DETACHED_ANNOTATION, HASH_ANNOTATION, RELEASED_HASH, ROLL_ANNOTATION, ObjectRef, Pod
from memroll.rolling.eviction_response import EvictionResult
from tests.contract.cluster.fake_api import FakeApi, Fault

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi

PODS = "/api/v1/namespaces/ai/pods"
POD = f"{PODS}/chat-0"
HASH = "pod-template-hash"


@pytest.fixture
def writer(api: KubeApi) -> KubePodWriter:
    return KubePodWriter(api, KubePodReader(api))


def add_pod(server: FakeApi, name: str = "chat-0", **labels: str) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-abc", "uid": "rs", "controller": True}
    metadata = {"name": name, "labels": {"app": "chat", HASH: "abc"} | labels, "ownerReferences": [owner]}
    server.add(PODS, {"metadata": metadata})


async def read(api: KubeApi, name: str = "chat-0") -> Pod:
    pod = await KubePodReader(api).get_pod("ai", name)
    assert pod is not None
    return pod


def metadata(server: FakeApi) -> dict[str, Any]:
    found: dict[str, Any] = server.get(POD)["metadata"]
    return found


def writes(server: FakeApi) -> int:
    return sum(1 for method, _, _ in server.requests if method != "GET")


async def test_a_release_changes_the_hash_and_records_the_roll_and_the_old_hash(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    await writer.release(await read(api), HASH, "chat-0-x")
    assert metadata(server)["labels"] == {"app": "chat", HASH: RELEASED_HASH}
    assert metadata(server)["annotations"] == {ROLL_ANNOTATION: "chat-0-x", HASH_ANNOTATION: "abc"}


async def test_a_repeated_release_changes_nothing(server: FakeApi, api: KubeApi, writer: KubePodWriter) -> None:
    add_pod(server)
    await writer.release(await read(api), HASH, "chat-0-x")
    await writer.release(await read(api), HASH, "chat-0-x")
    assert writes(server) == 1
    assert metadata(server)["annotations"][HASH_ANNOTATION] == "abc"


async def test_the_release_of_a_pod_that_changed_since_it_was_read_is_a_conflict(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    original = await read(api)
    server.touch(POD, lambda pod: pod["metadata"]["labels"].update(app="other"))
    with pytest.raises(ConflictError):
        await writer.release(original, HASH, "chat-0-x")
    assert metadata(server)["labels"][HASH] == "abc"


async def test_a_release_does_not_change_another_pod_of_the_same_name(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    original = await read(api)
    server.remove(POD)
    add_pod(server)
    with pytest.raises(ConflictError):
        await writer.release(original, HASH, "chat-0-x")
    assert metadata(server)["labels"][HASH] == "abc"


@pytest.mark.parametrize("label", ["", "no-such-label"])
async def test_a_pod_without_the_hash_is_not_released(
    server: FakeApi, api: KubeApi, writer: KubePodWriter, label: str
) -> None:
    add_pod(server)
    with pytest.raises(TerminalError, match="Unreleasable"):
        await writer.release(await read(api), label, "chat-0-x")


async def test_a_pod_that_another_roll_released_is_not_released_again(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    await writer.release(await read(api), HASH, "first")
    with pytest.raises(TerminalError, match="Unreleasable"):
        await writer.release(await read(api), HASH, "second")
    assert metadata(server)["annotations"] == {ROLL_ANNOTATION: "first", HASH_ANNOTATION: "abc"}


async def test_a_restore_leaves_no_trace_of_the_roll(server: FakeApi, api: KubeApi, writer: KubePodWriter) -> None:
    add_pod(server)
    server.touch(POD, lambda pod: pod["metadata"].update(annotations={"mine": "kept"}))
    before = dict(metadata(server))
    await writer.release(await read(api), HASH, "chat-0-x")
    await writer.add_owner(await read(api), "chat-0-x", "roll-uid")
    await writer.restore(await read(api), HASH)
    after = metadata(server)
    assert after | {"resourceVersion": ""} == before | {"resourceVersion": ""}


DEPLOYMENT = ObjectRef("apps/v1", "Deployment", "chat", "d")
OWNERS = RecordedOwners(ObjectRef("apps/v1", "ReplicaSet", "chat-abc", "rs"), DEPLOYMENT)


def owners(server: FakeApi) -> list[tuple[str, str, bool]]:
    return [(o["kind"], o["name"], o["controller"]) for o in metadata(server)["ownerReferences"]]


async def test_the_workload_owns_a_released_pod_until_the_podroll_does(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    """Tools that prune what has no owner must not find the only serving pod."""
    add_pod(server)
    assert await writer.release(await read(api), HASH, "chat-0-x", OWNERS) == ""
    assert owners(server) == [("ReplicaSet", "chat-abc", True), ("Deployment", "chat", False)]
    server.touch(POD, lambda pod: pod["metadata"]["ownerReferences"].pop(0))  # as the ReplicaSet does
    await writer.add_owner(await read(api), "chat-0-x", "roll-uid")
    assert owners(server) == [("PodRoll", "chat-0-x", False)]
    await writer.restore(await read(api), HASH)
    assert metadata(server)["ownerReferences"] == []


async def test_a_released_pod_is_left_to_its_deleted_workload(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    """The garbage collector deletes a pod whose only owner is gone; its PodRoll is not."""
    other = {"apiVersion": "example.com/v1", "kind": "Batch", "name": "b", "uid": "b", "controller": False}
    add_pod(server)
    await writer.leave_to_workload(await read(api))
    assert owners(server) == [("ReplicaSet", "chat-abc", True)], "a pod that is not released is not changed"
    await writer.release(await read(api), HASH, "chat-0-x", OWNERS)
    server.touch(POD, lambda pod: pod["metadata"]["ownerReferences"].pop(0))  # as the ReplicaSet does
    server.touch(POD, lambda pod: pod["metadata"]["ownerReferences"].append(other))
    await writer.add_owner(await read(api), "chat-0-x", "roll-uid")
    assert owners(server) == [("Batch", "b", False), ("PodRoll", "chat-0-x", False)]
    for _ in range(2):
        await writer.leave_to_workload(await read(api))
        assert owners(server) == [("Batch", "b", False), ("Deployment", "chat", False)]


async def test_without_a_recorded_workload_the_podroll_stays_the_owner(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    await writer.release(await read(api), HASH, "chat-0-x")
    await writer.add_owner(await read(api), "chat-0-x", "roll-uid")
    await writer.leave_to_workload(await read(api))
    assert owners(server) == [("ReplicaSet", "chat-abc", True), ("PodRoll", "chat-0-x", False)]


async def test_a_restore_removes_the_workload_from_the_owners(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    before = dict(metadata(server))
    await writer.release(await read(api), HASH, "chat-0-x", OWNERS)
    await writer.restore(await read(api), HASH)
    assert metadata(server)["ownerReferences"] == before["ownerReferences"]


async def test_an_owner_that_somebody_else_added_is_kept(server: FakeApi, api: KubeApi, writer: KubePodWriter) -> None:
    other = {"apiVersion": "example.com/v1", "kind": "Batch", "name": "b", "uid": "b", "controller": False}
    add_pod(server)
    server.touch(POD, lambda pod: pod["metadata"]["ownerReferences"].append(other))
    await writer.release(await read(api), HASH, "chat-0-x", OWNERS)
    await writer.add_owner(await read(api), "chat-0-x", "roll-uid")
    await writer.restore(await read(api), HASH)
    assert owners(server) == [("ReplicaSet", "chat-abc", True), ("Batch", "b", False)]


async def test_where_owners_are_forbidden_a_pod_is_released_without_one(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    """With OwnerReferencesPermissionEnforcement, as on OpenShift, it needs the permission to delete the pod."""
    add_pod(server)
    server.faults.append(Fault("403", "PATCH", POD, message="cannot set an ownerRef on a resource you can't delete"))
    refusal = await writer.release(await read(api), HASH, "chat-0-x", OWNERS)
    assert "cannot set an ownerRef" in refusal
    assert metadata(server)["labels"][HASH] == RELEASED_HASH
    assert owners(server) == [("ReplicaSet", "chat-abc", True)]


async def test_a_release_with_an_owner_of_a_pod_that_changed_is_a_conflict(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    original = await read(api)
    server.touch(POD, lambda pod: pod["metadata"]["labels"].update(app="other"))
    with pytest.raises(ConflictError):
        await writer.release(original, HASH, "chat-0-x", OWNERS)
    assert metadata(server)["labels"][HASH] == "abc"


async def test_a_repeated_restore_changes_nothing(server: FakeApi, api: KubeApi, writer: KubePodWriter) -> None:
    add_pod(server)
    await writer.release(await read(api), HASH, "chat-0-x")
    released = await read(api)
    await writer.restore(released, HASH)
    await writer.restore(released, HASH)
    assert writes(server) == 2


@pytest.mark.parametrize(
    "annotations",
    [
        pytest.param({}, id="the label alone"),
        pytest.param({HASH_ANNOTATION: ""}, id="empty"),
        pytest.param({HASH_ANNOTATION: RELEASED_HASH}, id="the value of released pods"),
        pytest.param({HASH_ANNOTATION: "not a label!!"}, id="no value of a label"),
        pytest.param({HASH_ANNOTATION: "5d\n"}, id="a line break"),
        pytest.param({HASH_ANNOTATION: "x" * 64}, id="too long for a label"),
    ],
)
async def test_restoring_a_pod_without_its_recorded_hash_is_a_terminal_error(
    server: FakeApi, api: KubeApi, writer: KubePodWriter, annotations: dict[str, str]
) -> None:
    add_pod(server, **{HASH: RELEASED_HASH})
    server.touch(POD, lambda pod: pod["metadata"].update(annotations={ROLL_ANNOTATION: "."} | annotations))
    with pytest.raises(TerminalError, match="Unrestorable"):
        await writer.restore(await read(api), HASH)
    assert writes(server) == 0


async def test_a_restore_does_not_change_another_pod_of_the_same_name(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    await writer.release(await read(api), HASH, "chat-0-x")
    released = await read(api)
    server.remove(POD)
    add_pod(server)
    with pytest.raises(NotFoundError):
        await writer.restore(released, HASH)


async def test_add_owner_adds_one_reference_that_neither_controls_nor_blocks(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    await writer.add_owner(await read(api), "chat-0-x", "roll-uid")
    await writer.add_owner(await read(api), "chat-0-x", "roll-uid")
    first, second = metadata(server)["ownerReferences"]
    assert first["kind"] == "ReplicaSet"
    assert second == {
        "apiVersion": "memroll.dev/v1alpha1",
        "kind": "PodRoll",
        "name": "chat-0-x",
        "uid": "roll-uid",
        "controller": False,
        "blockOwnerDeletion": False,
    }


@pytest.mark.parametrize(
    ("met", "result"),
    [
        pytest.param("", EvictionResult.ACCEPTED, id="no PodDisruptionBudget"),
        pytest.param("blocked", EvictionResult.BLOCKED, id="a PodDisruptionBudget that allows none"),
        pytest.param("throttled", EvictionResult.THROTTLED, id="an overloaded server"),
        pytest.param("two-budgets", EvictionResult.MISCONFIGURED, id="two PodDisruptionBudgets on one pod"),
    ],
)
async def test_an_eviction_returns_its_result(
    server: FakeApi, api: KubeApi, writer: KubePodWriter, met: str, result: EvictionResult
) -> None:
    add_pod(server)
    server.evictions["chat-0"] = met
    outcome = await writer.evict(await read(api), "chat-0-x")
    assert outcome.result is result
    assert server.evicted == (["chat-0"] if result is EvictionResult.ACCEPTED else [])
    assert outcome.message


@pytest.mark.parametrize(
    ("met", "result"),
    [
        pytest.param("", EvictionResult.ACCEPTED, id="no PodDisruptionBudget"),
        pytest.param("blocked", EvictionResult.BLOCKED, id="a PodDisruptionBudget that allows none"),
        pytest.param("two-budgets", EvictionResult.MISCONFIGURED, id="two PodDisruptionBudgets on one pod"),
    ],
)
async def test_a_dry_run_of_an_eviction_evicts_nothing(
    server: FakeApi, api: KubeApi, writer: KubePodWriter, met: str, result: EvictionResult
) -> None:
    add_pod(server)
    server.evictions["chat-0"] = met
    outcome = await writer.dry_run_eviction(await read(api))
    assert (outcome.result, server.evicted) == (result, [])


@pytest.mark.parametrize("kind", ["403", "500"])
async def test_a_dry_run_that_fails_is_no_answer(
    server: FakeApi, api: KubeApi, writer: KubePodWriter, kind: str
) -> None:
    add_pod(server)
    server.faults.append(Fault(kind, path="eviction", times=9))
    outcome = await writer.dry_run_eviction(await read(api))
    assert outcome.result is EvictionResult.UNKNOWN
    assert outcome.message


async def test_an_eviction_carries_the_uid_and_the_roll(server: FakeApi, api: KubeApi, writer: KubePodWriter) -> None:
    add_pod(server)
    pod = await read(api)
    await writer.evict(pod, "chat-0-x")
    assert server.requests[-1] == (
        "POST",
        f"{POD}/eviction?",
        {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": "chat-0", "namespace": "ai", "annotations": {ROLL_ANNOTATION: "chat-0-x"}},
            "deleteOptions": {"preconditions": {"uid": pod.key.uid, "resourceVersion": pod.resource_version}},
        },
    )


async def test_a_pod_that_was_restored_in_the_meantime_is_not_evicted(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    await writer.release(await read(api), HASH, "chat-0-x")
    released = await read(api)
    await writer.restore(released, HASH)
    with pytest.raises(ConflictError, match="labels of pod chat-0 have changed"):
        await writer.evict(released, "chat-0-x")
    assert not any(path.startswith(f"{POD}/eviction") for _, path, *_ in server.requests)


async def test_the_eviction_of_a_pod_that_has_just_got_its_owner_reads_it_no_more(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    pod = await read(api)
    await writer.add_owner(pod, "chat-0-x", "roll-uid")
    server.requests.clear()
    assert (await writer.evict(pod, "chat-0-x")).result is EvictionResult.ACCEPTED
    assert [method for method, *_ in server.requests] == ["POST"]


async def test_a_pod_with_owners_is_released_and_gets_its_roll_as_owner_without_another_read(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    pod = await read(api)
    server.requests.clear()
    await writer.release(pod, HASH, "chat-0-x", OWNERS)
    assert [method for method, *_ in server.requests] == ["PATCH"]
    assert [name for _, name, _ in owners(server)] == ["chat-abc", "chat"]
    released = await read(api)
    server.requests.clear()
    await writer.add_owner(released, "chat-0-x", "roll-uid")
    assert [method for method, *_ in server.requests] == ["PATCH"]
    assert [name for _, name, _ in owners(server)] == ["chat-abc", "chat-0-x"]


async def test_a_pod_that_has_changed_since_it_was_read_is_read_again_for_its_owner(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    pod = await read(api)
    other = {"apiVersion": "example.com/v1", "kind": "Batch", "name": "b", "uid": "b", "controller": False}
    server.touch(POD, lambda raw: raw["metadata"]["ownerReferences"].append(other))
    server.requests.clear()
    await writer.add_owner(pod, "chat-0-x", "roll-uid")
    assert [method for method, *_ in server.requests] == ["PATCH", "GET", "PATCH"]
    assert [name for _, name, _ in owners(server)] == ["chat-abc", "b", "chat-0-x"]


async def test_a_pod_that_has_changed_since_it_was_read_is_not_released(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    pod = await read(api)
    server.touch(POD, lambda raw: raw["metadata"].update(annotations={"memroll.dev/do-not-disrupt": "true"}))
    with pytest.raises(ConflictError):
        await writer.release(pod, HASH, "chat-0-x", OWNERS)
    assert metadata(server)["labels"][HASH] == "abc"


async def test_a_pod_that_changes_after_it_has_got_its_owner_is_read_again(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    await writer.release(await read(api), HASH, "chat-0-x")
    released = await read(api)
    await writer.add_owner(released, "chat-0-x", "roll-uid")
    await writer.restore(released, HASH)
    with pytest.raises(ConflictError):
        await writer.evict(released, "chat-0-x")
    with pytest.raises(ConflictError, match="labels of pod chat-0 have changed"):
        await writer.evict(released, "chat-0-x")
    assert server.evicted == []


async def test_a_pod_that_vanishes_after_it_has_got_its_owner_is_gone(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    pod = await read(api)
    for is_replaced in (False, True):
        await writer.add_owner(pod, "chat-0-x", "roll-uid")
        server.remove(POD)
        if is_replaced:
            add_pod(server)
        assert (await writer.evict(pod, "chat-0-x")).result is EvictionResult.GONE
        if not is_replaced:
            add_pod(server)
            pod = await read(api)
    assert server.evicted == []


async def test_the_eviction_of_a_missing_pod_returns_gone(server: FakeApi, api: KubeApi, writer: KubePodWriter) -> None:
    add_pod(server)
    pod = await read(api)
    server.remove(POD)
    assert (await writer.evict(pod)).result is EvictionResult.GONE


async def test_an_eviction_spares_another_pod_of_the_same_name(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    pod = await read(api)
    server.remove(POD)
    add_pod(server)
    assert (await writer.evict(pod)).result is EvictionResult.GONE
    assert server.evicted == []


async def test_a_terminating_pod_is_not_evicted_again(server: FakeApi, api: KubeApi, writer: KubePodWriter) -> None:
    add_pod(server)
    await writer.evict(await read(api))
    assert (await writer.evict(await read(api))).result is EvictionResult.ACCEPTED
    assert server.evicted == ["chat-0"]


async def test_a_conflict_on_the_same_pod_is_raised(server: FakeApi, api: KubeApi, writer: KubePodWriter) -> None:
    add_pod(server)
    pod = await read(api)
    server.faults.append(Fault("409", path="eviction"))
    with pytest.raises(ConflictError):
        await writer.evict(pod)


@pytest.mark.parametrize("kind", ["500", "reset"])
async def test_an_eviction_with_a_lost_response_is_not_sent_again(
    server: FakeApi, api: KubeApi, writer: KubePodWriter, kind: str
) -> None:
    add_pod(server)
    pod = await read(api)
    server.faults.append(Fault(kind, path="eviction", after=True, times=9))
    with pytest.raises(ClusterUnavailableError):
        await writer.evict(pod)
    assert server.evicted == ["chat-0"]


async def test_a_missing_permission_to_evict_is_a_terminal_error(
    server: FakeApi, api: KubeApi, writer: KubePodWriter
) -> None:
    add_pod(server)
    pod = await read(api)
    server.faults.append(Fault("403", path="eviction", message="cannot create resource pods/eviction"))
    with pytest.raises(TerminalError, match="POST /api/v1/namespaces/ai/pods/chat-0/eviction: cannot create"):
        await writer.evict(pod)


async def test_released_pods_are_found_by_both_labels_in_all_namespaces(server: FakeApi, writer: KubePodWriter) -> None:
    add_pod(server, "kept")
    add_pod(server, "deployment", **{HASH: RELEASED_HASH})
    rollout = {"name": "rollout", "labels": {"rollouts-pod-template-hash": RELEASED_HASH}}
    server.add("/api/v1/namespaces/web/pods", {"metadata": rollout})
    assert {p.key.name for p in await writer.list_released_pods()} == {"deployment", "rollout"}
    assert {p.key.name for p in await writer.list_released_pods("ai")} == {"deployment"}


@pytest.mark.parametrize("note", ["[" * 100_000, '{"app":["x"]}', '{"app":7}', '["app"]'])
async def test_an_invalid_detach_annotation_does_not_prevent_a_restore(
    server: FakeApi, api: KubeApi, writer: KubePodWriter, note: str
) -> None:
    add_pod(server)
    await writer.release(await read(api), HASH, "chat-0-x")
    await writer.detach(await read(api), {"app": "chat"})
    server.touch(POD, lambda pod: pod["metadata"]["annotations"].update({DETACHED_ANNOTATION: note}))
    await writer.restore(await read(api), HASH)
    assert metadata(server)["labels"][HASH] == "abc"
    assert metadata(server)["labels"]["app"] == "memroll-detached", "no other value is known to be its own"
    assert not metadata(server)["annotations"]
