"""The writes on pods: what they change, what they refuse, and that doing them twice changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.kube.pod_writes import Actions
from memroll.clients.kube.pods import Targets
from memroll.errors import ClusterUnavailable, Conflict, NotFound, Stalled
from memroll.model.pods import DETACHED_ANNOTATION, HASH_ANNOTATION, RELEASED_HASH, ROLL_ANNOTATION, Target
from memroll.rolling.eviction import Eviction
from tests.contract.cluster.fake_api import FakeApi, Fault

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import Api

PODS = "/api/v1/namespaces/ai/pods"
POD = f"{PODS}/chat-0"
HASH = "pod-template-hash"


@pytest.fixture
def actions(api: Api) -> Actions:
    return Actions(api, Targets(api))


def add_pod(server: FakeApi, name: str = "chat-0", **labels: str) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-abc", "uid": "rs", "controller": True}
    metadata = {"name": name, "labels": {"app": "chat", HASH: "abc"} | labels, "ownerReferences": [owner]}
    server.add(PODS, {"metadata": metadata})


async def read(api: Api, name: str = "chat-0") -> Target:
    target = await Targets(api).pod("ai", name)
    assert target is not None
    return target


def metadata(server: FakeApi) -> dict[str, Any]:
    found: dict[str, Any] = server.get(POD)["metadata"]
    return found


def writes(server: FakeApi) -> int:
    return sum(1 for method, _, _ in server.requests if method != "GET")


async def test_a_release_changes_the_hash_and_says_by_whom_and_from_what(
    server: FakeApi, api: Api, actions: Actions
) -> None:
    add_pod(server)
    await actions.release(await read(api), HASH, "chat-0-x")
    assert metadata(server)["labels"] == {"app": "chat", HASH: RELEASED_HASH}
    assert metadata(server)["annotations"] == {ROLL_ANNOTATION: "chat-0-x", HASH_ANNOTATION: "abc"}


async def test_a_release_done_twice_is_done_once(server: FakeApi, api: Api, actions: Actions) -> None:
    add_pod(server)
    await actions.release(await read(api), HASH, "chat-0-x")
    await actions.release(await read(api), HASH, "chat-0-x")
    assert writes(server) == 1
    assert metadata(server)["annotations"][HASH_ANNOTATION] == "abc"


async def test_a_release_of_a_pod_that_changed_since_it_was_judged_is_a_conflict(
    server: FakeApi, api: Api, actions: Actions
) -> None:
    add_pod(server)
    judged = await read(api)
    server.touch(POD, lambda pod: pod["metadata"]["labels"].update(app="other"))
    with pytest.raises(Conflict):
        await actions.release(judged, HASH, "chat-0-x")
    assert metadata(server)["labels"][HASH] == "abc"


async def test_a_release_never_touches_another_pod_of_the_same_name(
    server: FakeApi, api: Api, actions: Actions
) -> None:
    add_pod(server)
    judged = await read(api)
    server.remove(POD)
    add_pod(server)
    with pytest.raises(Conflict):
        await actions.release(judged, HASH, "chat-0-x")
    assert metadata(server)["labels"][HASH] == "abc"


@pytest.mark.parametrize("label", ["", "no-such-label"])
async def test_a_pod_without_the_hash_is_not_released(server: FakeApi, api: Api, actions: Actions, label: str) -> None:
    add_pod(server)
    with pytest.raises(Stalled, match="Unreleasable"):
        await actions.release(await read(api), label, "chat-0-x")


async def test_a_pod_that_another_roll_released_is_not_released_again(
    server: FakeApi, api: Api, actions: Actions
) -> None:
    add_pod(server)
    await actions.release(await read(api), HASH, "first")
    with pytest.raises(Stalled, match="Unreleasable"):
        await actions.release(await read(api), HASH, "second")
    assert metadata(server)["annotations"] == {ROLL_ANNOTATION: "first", HASH_ANNOTATION: "abc"}


async def test_a_restore_leaves_no_trace_of_the_roll(server: FakeApi, api: Api, actions: Actions) -> None:
    add_pod(server)
    server.touch(POD, lambda pod: pod["metadata"].update(annotations={"mine": "kept"}))
    before = dict(metadata(server))
    await actions.release(await read(api), HASH, "chat-0-x")
    await actions.own(await read(api), "chat-0-x", "roll-uid")
    await actions.restore(await read(api), HASH)
    after = metadata(server)
    assert after | {"resourceVersion": ""} == before | {"resourceVersion": ""}


async def test_a_restore_done_twice_is_done_once(server: FakeApi, api: Api, actions: Actions) -> None:
    add_pod(server)
    await actions.release(await read(api), HASH, "chat-0-x")
    released = await read(api)
    await actions.restore(released, HASH)
    await actions.restore(released, HASH)
    assert writes(server) == 2


async def test_a_pod_whose_old_hash_is_lost_is_left_to_a_person(server: FakeApi, api: Api, actions: Actions) -> None:
    add_pod(server, **{HASH: RELEASED_HASH})
    with pytest.raises(Stalled, match="Unrestorable"):
        await actions.restore(await read(api), HASH)


async def test_a_restore_never_touches_another_pod_of_the_same_name(
    server: FakeApi, api: Api, actions: Actions
) -> None:
    add_pod(server)
    await actions.release(await read(api), HASH, "chat-0-x")
    released = await read(api)
    server.remove(POD)
    add_pod(server)
    with pytest.raises(NotFound):
        await actions.restore(released, HASH)


async def test_owning_adds_one_reference_that_controls_and_blocks_nothing(
    server: FakeApi, api: Api, actions: Actions
) -> None:
    add_pod(server)
    await actions.own(await read(api), "chat-0-x", "roll-uid")
    await actions.own(await read(api), "chat-0-x", "roll-uid")
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
        pytest.param("", Eviction.ACCEPTED, id="nothing in the way"),
        pytest.param("blocked", Eviction.BLOCKED, id="a budget that allows none"),
        pytest.param("throttled", Eviction.THROTTLED, id="a server that is too busy"),
        pytest.param("two-budgets", Eviction.MISCONFIGURED, id="two budgets on one pod"),
    ],
)
async def test_an_eviction_says_what_it_met(
    server: FakeApi, api: Api, actions: Actions, met: str, result: Eviction
) -> None:
    add_pod(server)
    server.evictions["chat-0"] = met
    answer = await actions.evict(await read(api), "chat-0-x")
    assert answer.result is result
    assert server.evicted == (["chat-0"] if result is Eviction.ACCEPTED else [])
    assert answer.retry_after_s == (10 if met == "throttled" else None)
    assert answer.message


async def test_an_eviction_names_the_uid_and_the_roll(server: FakeApi, api: Api, actions: Actions) -> None:
    add_pod(server)
    target = await read(api)
    await actions.evict(target, "chat-0-x")
    assert server.requests[-1] == (
        "POST",
        f"{POD}/eviction?",
        {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": "chat-0", "namespace": "ai", "annotations": {ROLL_ANNOTATION: "chat-0-x"}},
            "deleteOptions": {"preconditions": {"uid": target.key.uid, "resourceVersion": target.resource_version}},
        },
    )


async def test_a_pod_that_was_put_back_meanwhile_is_not_evicted(server: FakeApi, api: Api, actions: Actions) -> None:
    add_pod(server)
    await actions.release(await read(api), HASH, "chat-0-x")
    released = await read(api)
    await actions.restore(released, HASH)
    with pytest.raises(Conflict, match="labels of pod chat-0 have changed"):
        await actions.evict(released, "chat-0-x")
    assert not any(path.startswith(f"{POD}/eviction") for _, path, *_ in server.requests)


async def test_an_eviction_of_a_pod_that_is_gone_is_done(server: FakeApi, api: Api, actions: Actions) -> None:
    add_pod(server)
    target = await read(api)
    server.remove(POD)
    assert (await actions.evict(target)).result is Eviction.GONE


async def test_an_eviction_never_meets_another_pod_of_the_same_name(
    server: FakeApi, api: Api, actions: Actions
) -> None:
    add_pod(server)
    target = await read(api)
    server.remove(POD)
    add_pod(server)
    assert (await actions.evict(target)).result is Eviction.GONE
    assert server.evicted == []


async def test_a_terminating_pod_is_not_evicted_again(server: FakeApi, api: Api, actions: Actions) -> None:
    add_pod(server)
    await actions.evict(await read(api))
    assert (await actions.evict(await read(api))).result is Eviction.ACCEPTED
    assert server.evicted == ["chat-0"]


async def test_a_conflict_about_the_same_pod_stays_a_conflict(server: FakeApi, api: Api, actions: Actions) -> None:
    add_pod(server)
    target = await read(api)
    server.faults.append(Fault("409", path="eviction"))
    with pytest.raises(Conflict):
        await actions.evict(target)


@pytest.mark.parametrize("kind", ["500", "reset"])
async def test_an_eviction_that_may_have_happened_is_not_sent_again(
    server: FakeApi, api: Api, actions: Actions, kind: str
) -> None:
    add_pod(server)
    target = await read(api)
    server.faults.append(Fault(kind, path="eviction", after=True, times=9))
    with pytest.raises(ClusterUnavailable):
        await actions.evict(target)
    assert server.evicted == ["chat-0"]


async def test_a_missing_right_to_evict_is_for_a_person(server: FakeApi, api: Api, actions: Actions) -> None:
    add_pod(server)
    target = await read(api)
    server.faults.append(Fault("403", path="eviction", message="cannot create resource pods/eviction"))
    with pytest.raises(Stalled, match="POST /api/v1/namespaces/ai/pods/chat-0/eviction: cannot create"):
        await actions.evict(target)


async def test_released_pods_are_found_by_both_labels_in_all_namespaces(server: FakeApi, actions: Actions) -> None:
    add_pod(server, "kept")
    add_pod(server, "deployment", **{HASH: RELEASED_HASH})
    rollout = {"name": "rollout", "labels": {"rollouts-pod-template-hash": RELEASED_HASH}}
    server.add("/api/v1/namespaces/web/pods", {"metadata": rollout})
    assert {p.key.name for p in await actions.released_pods()} == {"deployment", "rollout"}
    assert {p.key.name for p in await actions.released_pods("ai")} == {"deployment"}


@pytest.mark.parametrize("note", ["[" * 100_000, '{"app":["x"]}', '{"app":7}', '["app"]'])
async def test_a_detach_note_that_somebody_else_wrote_does_not_keep_a_pod_from_being_put_back(
    server: FakeApi, api: Api, actions: Actions, note: str
) -> None:
    add_pod(server)
    await actions.release(await read(api), HASH, "chat-0-x")
    await actions.detach(await read(api), {"app": "chat"})
    server.touch(POD, lambda pod: pod["metadata"]["annotations"].update({DETACHED_ANNOTATION: note}))
    await actions.restore(await read(api), HASH)
    assert metadata(server)["labels"][HASH] == "abc"
    assert metadata(server)["labels"]["app"] == "memroll-detached", "no other value is known to be its own"
    assert not metadata(server)["annotations"]
