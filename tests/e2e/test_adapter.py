"""The adapter against a real API server, with real controllers and a real kubelet."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import yaml
from kubernetes.aio.client.api_client import ApiClient

from memroll.clients.kube.api_client import Api, path_of
from memroll.clients.kube.cluster import Cluster
from memroll.clients.kube.custom_resources import ROLLS
from memroll.clients.kube.event_recorder import Recorder, name_of
from memroll.clients.kube.leader_election import Lease
from memroll.errors import Conflict, MemrollError, NotFound, Stalled
from memroll.model.pods import HASH_ANNOTATION, ROLL_ANNOTATION, ObjectRef, Target
from memroll.reporting.events import Event, EventType, Reason, Regarding
from memroll.rolling.eviction import Eviction
from memroll.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from memroll_demo.site import Site

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

HASH = "pod-template-hash"
T = TypeVar("T")
ROOT = Path(__file__).parents[2]
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
async def api(cluster: Site) -> AsyncIterator[Api]:
    connected = await Api.connect(cluster.kubeconfig)
    for path in sorted((ROOT / "deploy/crds").glob("*.yaml")):
        try:
            await connected.request("POST", CRD, body=yaml.safe_load(path.read_text()))
        except Conflict:
            continue
    yield connected
    await connected.close()


@pytest.fixture
async def namespace(api: Api) -> AsyncIterator[str]:
    name = f"adapter-{uuid.uuid4().hex[:8]}"
    await api.request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    yield name
    await api.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def adapter(api: Api) -> Cluster:
    return Cluster(api)


@pytest.fixture
def image(service_image: str) -> str:
    return service_image


async def until(ask: Callable[[], Awaitable[T]], what: str, seconds: float = 60) -> T:
    """Ask until the answer is true."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                if answer := await ask():
                    return answer
            except MemrollError:
                pass
            await asyncio.sleep(0.2)
    raise AssertionError(what)


def workload_body(kind: str, image: str, replicas: int = 1) -> dict[str, Any]:
    container = {
        "name": "chat",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "resources": {"limits": {"memory": "32Mi"}},
    }
    template = {
        "metadata": {"labels": {"app": "chat"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    more = {"serviceName": "chat"} if kind == "StatefulSet" else {}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "chat"}}, "template": template, **more}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "chat"}, "spec": spec}


async def ready_pod(api: Api, adapter: Cluster, namespace: str, image: str, kind: str = "Deployment") -> Target:
    await api.request("POST", path_of("/apis/apps/v1", namespace, f"{kind.lower()}s"), body=workload_body(kind, image))

    async def ask() -> Target | None:
        return next((t for t in await adapter.targets(namespace, "app=chat") if t.ready), None)

    found = await until(ask, "a ready pod")
    assert found is not None
    return found


async def fresh(adapter: Cluster, target: Target) -> Target:
    found = await adapter.pod(target.key.namespace, target.key.name)
    assert found is not None
    assert found.key == target.key
    return found


async def settled(adapter: Cluster, target: Target) -> None:
    async def ask() -> bool:
        found = await adapter.workload(target)
        return found is not None and not found.mid_rollout

    await until(ask, "a settled workload")


async def patiently(act: Callable[[Target], Awaitable[None]], adapter: Cluster, target: Target) -> None:
    """Act on the newest state, as the caller does after a conflict with the kubelet's own writes."""

    async def ask() -> bool:
        await act(await fresh(adapter, target))
        return True

    await until(ask, "an act")


async def budget(api: Api, namespace: str, name: str, **spec: Any) -> None:
    body = {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": "chat"}}, **spec}}
    path = path_of("/apis/policy/v1", namespace, "poddisruptionbudgets")
    await api.request("POST", path, body=body)

    async def seen() -> bool:
        return "observedGeneration" in (await api.request("GET", f"{path}/{name}")).get("status", {})

    await until(seen, "a budget that its controller has seen")


async def test_a_surge_replaces_a_pod_that_a_budget_protects(
    api: Api, adapter: Cluster, namespace: str, image: str
) -> None:
    target = await ready_pod(api, adapter, namespace, image)
    await settled(adapter, target)
    await budget(api, namespace, "none", maxUnavailable=0)
    blocked = await adapter.evict(target, "roll")
    assert (blocked.result, blocked.retry_after_s) == (Eviction.BLOCKED, None)

    before = await adapter.workload(target)
    assert before is not None
    assert target.controller is not None
    assert (before.top.kind, before.desired, before.hash_label) == ("Deployment", 1, HASH)
    await patiently(lambda t: adapter.release(t, HASH, "roll"), adapter, target)

    async def replaced() -> bool:
        return [p.key != target.key for p in await adapter.owned_pods(before, namespace) if p.ready] == [True]

    await until(replaced, "a replacement")
    released = await fresh(adapter, target)
    assert (released.controller, released.ready, released.released) == (None, True, True)
    assert await adapter.workload(released) is None
    assert await adapter.workload_of(namespace, target.controller) == before
    assert target.key in [p.key for p in await adapter.released_pods()], "among those of other namespaces"
    assert [p.key for p in await adapter.released_pods(namespace)] == [target.key]

    async def accepted() -> bool:
        return (await adapter.evict(await fresh(adapter, target), "roll")).result is Eviction.ACCEPTED

    await until(accepted, "room in the budget")

    async def gone() -> bool:
        return await adapter.pod(namespace, target.key.name) is None

    await until(gone, "the old pod's end")
    assert (await adapter.evict(target, "roll")).result is Eviction.GONE


async def test_a_restored_pod_is_adopted_again_and_bears_no_trace(
    api: Api, adapter: Cluster, namespace: str, image: str
) -> None:
    target = await ready_pod(api, adapter, namespace, image)
    roll = await adapter.create_roll(namespace, {"metadata": {"name": "r"}, "spec": {"podName": target.key.name}})
    await patiently(lambda t: adapter.release(t, HASH, "r"), adapter, target)
    await patiently(lambda t: adapter.own(t, "r", roll["metadata"]["uid"]), adapter, target)
    await patiently(lambda t: adapter.restore(t, HASH), adapter, target)

    async def adopted() -> bool:
        now = await fresh(adapter, target)
        alone = [p.key for p in await adapter.targets(namespace, "app=chat") if not p.deleting] == [target.key]
        return alone and now.controller == target.controller

    await until(adopted, "adoption")
    now = await fresh(adapter, target)
    assert now.labels == target.labels
    assert not now.annotations.keys() & {ROLL_ANNOTATION, HASH_ANNOTATION}
    await adapter.delete_roll(namespace, "r", roll["metadata"]["uid"])
    await adapter.restore(now, HASH)
    assert (await fresh(adapter, target)).ready


async def test_a_released_pod_goes_with_the_roll_that_owns_it(
    api: Api, adapter: Cluster, namespace: str, image: str
) -> None:
    target = await ready_pod(api, adapter, namespace, image)
    roll = await adapter.create_roll(namespace, {"metadata": {"name": "r"}, "spec": {"podName": target.key.name}})
    await patiently(lambda t: adapter.release(t, HASH, "r"), adapter, target)

    async def let_go() -> bool:
        return (await fresh(adapter, target)).controller is None

    await until(let_go, "the ReplicaSet to let go")
    await adapter.own(target, "r", roll["metadata"]["uid"])
    await adapter.own(target, "r", roll["metadata"]["uid"])
    await adapter.delete_roll(namespace, "r")

    async def gone() -> bool:
        return await adapter.pod(namespace, target.key.name) is None

    await until(gone, "the garbage collector")


async def test_no_write_meets_another_pod_of_the_same_name(
    api: Api, adapter: Cluster, namespace: str, image: str
) -> None:
    first = await ready_pod(api, adapter, namespace, image, "StatefulSet")
    await settled(adapter, first)
    assert (await adapter.evict(first)).result is Eviction.ACCEPTED

    async def second() -> Target | None:
        found = await adapter.pod(namespace, first.key.name)
        return found if found and found.key.uid != first.key.uid and found.ready else None

    newcomer = await until(second, "a second pod of that name")
    assert newcomer is not None
    assert (await adapter.evict(first)).result is Eviction.GONE
    marked = replace(first, labels={**first.labels, HASH: "abc"})
    with pytest.raises(Conflict):
        await adapter.release(marked, HASH, "r")
    with pytest.raises(NotFound):
        await adapter.own(first, "r", "u")
    impostor = replace(marked, resource_version=newcomer.resource_version)
    with pytest.raises(MemrollError):
        await adapter.release(impostor, HASH, "r")
    assert not (await fresh(adapter, newcomer)).deleting
    assert not (await fresh(adapter, newcomer)).released


async def test_two_budgets_on_one_pod_are_misconfigured(api: Api, adapter: Cluster, namespace: str, image: str) -> None:
    target = await ready_pod(api, adapter, namespace, image)
    await budget(api, namespace, "one", minAvailable=0)
    await budget(api, namespace, "two", minAvailable=0)
    answer = await adapter.evict(target)
    assert answer.result is Eviction.MISCONFIGURED
    assert "PodDisruptionBudget" in answer.message


async def test_a_status_is_replaced_only_by_who_read_the_newest(adapter: Cluster, namespace: str) -> None:
    made = await adapter.create_roll(namespace, {"metadata": {"name": "r"}, "spec": {"podName": "p"}})
    with pytest.raises(Conflict):
        await adapter.create_roll(namespace, {"metadata": {"name": "r"}, "spec": {"podName": "p"}})
    version = made["metadata"]["resourceVersion"]
    first = {"phase": "Announced", "message": "a"}
    wrote = await adapter.write_status(ROLLS, namespace, "r", version, first)
    with pytest.raises(Conflict):
        await adapter.write_status(ROLLS, namespace, "r", version, first)
    newest = wrote["metadata"]["resourceVersion"]
    await adapter.write_status(ROLLS, namespace, "r", newest, {"phase": "Announced"})
    stored = await adapter.roll(namespace, "r")
    assert stored is not None
    assert "message" not in stored["status"]
    assert stored["spec"]["podName"] == "p"
    with pytest.raises(Stalled, match="Rejected"):
        await adapter.write_status(
            ROLLS, namespace, "r", stored["metadata"]["resourceVersion"], {"phase": "NoSuchPhase"}
        )


async def test_one_of_many_electors_leads_and_hands_over(api: Api, namespace: str) -> None:
    settings = Settings(namespace=namespace, lease_name="memroll", lease_seconds=3)
    racers = [Lease(api, settings) for _ in range(5)]
    tasks = [asyncio.create_task(r.run()) for r in racers]
    _, waiting = await asyncio.wait(
        [asyncio.create_task(r.wait_leader()) for r in racers], return_when=asyncio.FIRST_COMPLETED, timeout=20
    )
    for task in waiting:
        task.cancel()
    (leader,) = [i for i, r in enumerate(racers) if r.is_leader()]
    tasks[leader].cancel()
    await asyncio.wait([tasks[leader]])

    async def successor() -> bool:
        assert sum(r.is_leader() for r in racers) <= 1
        return any(r.is_leader() for r in racers)

    await until(successor, "a successor", 20)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_events_are_counted_and_long_ones_fit(api: Api, namespace: str) -> None:
    about = Regarding("v1", "ConfigMap", namespace, "chat", "00000000-0000-0000-0000-000000000001")
    seconds = 0.0
    recorder = Recorder(api, "memroll-0", monotonic=lambda: seconds)
    event = Event(about, EventType.WARNING, Reason.ROLL_HELD, "é" * 2000)
    for message in ("first", event.message):
        event = replace(event, message=message)
        recorder.publish([event])
        await recorder.drain(10)
        seconds += 61
    assert recorder.failed == 0
    stored = await api.request("GET", path_of("/api/v1", namespace, "events", name_of(event)))
    assert (stored["count"], stored["message"]) == (2, "é" * 510 + "…")
    restarted = Recorder(api, "memroll-1")
    restarted.publish([event])
    await restarted.drain(10)
    assert (await api.request("GET", path_of("/api/v1", namespace, "events", name_of(event))))["count"] == 3


async def test_a_missing_right_is_named(api: Api, namespace: str) -> None:
    configuration = api._client.configuration
    nobody = Api(ApiClient(configuration, header_name="Impersonate-User", header_value="nobody"))
    target = ObjectRef("v1", "Pod", "chat-0")
    with pytest.raises(Stalled, match='User "nobody" cannot create resource "pods/eviction"') as caught:
        await nobody.request("POST", path_of("/api/v1", namespace, "pods", target.name, "eviction"), body={})
    assert caught.value.reason == "Forbidden"
    await nobody.close()


async def test_a_rollout_under_way_is_seen_and_its_end_too(
    api: Api, adapter: Cluster, namespace: str, image: str
) -> None:
    target = await ready_pod(api, adapter, namespace, image)
    await settled(adapter, target)
    assert await adapter.selector_of(namespace, "apps/v1", "Deployment", "chat") == "app=chat"
    container = {"name": "chat", "command": ["sleep", "1000000"], "readinessProbe": {"exec": {"command": ["false"]}}}
    change = {"spec": {"template": {"spec": {"containers": [container]}}}}
    path = path_of("/apis/apps/v1", namespace, "deployments", "chat")
    await api.request("PATCH", path, body=change, content_type="application/strategic-merge-patch+json")

    async def changing() -> bool:
        found = await adapter.workload(await fresh(adapter, target))
        return found is not None and bool(found.mid_rollout)

    await until(changing, "a rollout")
    container["readinessProbe"] = {"exec": {"command": ["true"]}}
    await api.request("PATCH", path, body=change, content_type="application/strategic-merge-patch+json")

    async def newest() -> Target | None:
        found = [t for t in await adapter.targets(namespace, "app=chat") if not t.deleting]
        return found[0] if len(found) == 1 and found[0].ready and found[0].key != target.key else None

    last = await until(newest, "the new pod alone")
    assert last is not None
    await settled(adapter, last)
