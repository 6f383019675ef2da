"""The Kubernetes client against a real API server, with real controllers and a real kubelet."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import yaml
from kubernetes.aio.client.api_client import ApiClient

from memroll.api import ROLL_PLURAL
from memroll.clients.kube.api_client import KubeApi, build_path
from memroll.clients.kube.cluster import KubeCluster
from memroll.clients.kube.event_recorder import EventRecorder, event_name
from memroll.clients.kube.leader_election import LeaderElector
from memroll.errors import ConflictError, MemrollError, NotFoundError, TerminalError
from memroll.model.pods import HASH_ANNOTATION, ROLL_ANNOTATION, ObjectRef, Pod
from memroll.reporting.events import Event, EventReason, EventType, Regarding
from memroll.rolling.eviction_response import EvictionResult
from memroll.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

HASH_LABEL = "pod-template-hash"
T = TypeVar("T")
ROOT = Path(__file__).parents[2]
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
async def api(cluster: DemoCluster) -> AsyncIterator[KubeApi]:
    connected = await KubeApi.connect(cluster.kubeconfig)
    for path in sorted((ROOT / "deploy/crds").glob("*.yaml")):
        try:
            await connected.request("POST", CRD, body=yaml.safe_load(path.read_text()))
        except ConflictError:
            continue
    yield connected
    await connected.close()


@pytest.fixture
async def namespace(api: KubeApi) -> AsyncIterator[str]:
    name = f"adapter-{uuid.uuid4().hex[:8]}"
    await api.request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    yield name
    await api.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def kube_cluster(api: KubeApi) -> KubeCluster:
    return KubeCluster(api)


@pytest.fixture
def image(service_image: str) -> str:
    return service_image


async def wait_until(observe: Callable[[], Awaitable[T]], condition: str, seconds: float = 60) -> T:
    """Call `observe` until it returns a true value, and return that; errors count as false."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                if result := await observe():
                    return result
            except MemrollError:
                pass
            await asyncio.sleep(0.2)
    raise AssertionError(condition)


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


async def ready_pod(
    api: KubeApi, kube_cluster: KubeCluster, namespace: str, image: str, kind: str = "Deployment"
) -> Pod:
    await api.request(
        "POST", build_path("/apis/apps/v1", namespace, f"{kind.lower()}s"), body=workload_body(kind, image)
    )

    async def find_ready_pod() -> Pod | None:
        return next((p for p in await kube_cluster.list_pods(namespace, "app=chat") if p.ready), None)

    found = await wait_until(find_ready_pod, "a Ready pod")
    assert found is not None
    return found


async def read_again(kube_cluster: KubeCluster, pod: Pod) -> Pod:
    found = await kube_cluster.get_pod(pod.key.namespace, pod.key.name)
    assert found is not None
    assert found.key == pod.key
    return found


async def wait_until_settled(kube_cluster: KubeCluster, pod: Pod) -> None:
    async def is_settled() -> bool:
        found = await kube_cluster.get_workload(pod)
        return found is not None and not found.rollout_in_progress

    await wait_until(is_settled, "a settled workload")


async def retry_on_conflict(action: Callable[[Pod], Awaitable[None]], kube_cluster: KubeCluster, pod: Pod) -> None:
    """Repeat an action on the current pod until it succeeds: the kubelet's own writes cause conflicts."""

    async def has_acted() -> bool:
        await action(await read_again(kube_cluster, pod))
        return True

    await wait_until(has_acted, "an action without a conflict")


async def create_budget(api: KubeApi, namespace: str, name: str, **spec: Any) -> None:
    body = {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": "chat"}}, **spec}}
    path = build_path("/apis/policy/v1", namespace, "poddisruptionbudgets")
    await api.request("POST", path, body=body)

    async def is_observed() -> bool:
        return "observedGeneration" in (await api.request("GET", f"{path}/{name}")).get("status", {})

    await wait_until(is_observed, "the disruption controller to observe the PodDisruptionBudget")


async def test_a_surge_replaces_a_pod_that_a_poddisruptionbudget_protects(
    api: KubeApi, kube_cluster: KubeCluster, namespace: str, image: str
) -> None:
    pod = await ready_pod(api, kube_cluster, namespace, image)
    await wait_until_settled(kube_cluster, pod)
    await create_budget(api, namespace, "none", maxUnavailable=0)
    blocked = await kube_cluster.evict(pod, "roll")
    assert blocked.result is EvictionResult.BLOCKED

    before = await kube_cluster.get_workload(pod)
    assert before is not None
    assert pod.controller is not None
    assert (before.owner.kind, before.controller_replicas, before.hash_label) == ("Deployment", 1, HASH_LABEL)
    await retry_on_conflict(lambda p: kube_cluster.release(p, HASH_LABEL, "roll"), kube_cluster, pod)

    async def is_replaced() -> bool:
        return [p.key != pod.key for p in await kube_cluster.list_workload_pods(before, namespace) if p.ready] == [True]

    await wait_until(is_replaced, "a replacement")
    released = await read_again(kube_cluster, pod)
    assert (released.controller, released.ready, released.released) == (None, True, True)
    assert await kube_cluster.get_workload(released) is None
    assert await kube_cluster.find_workload(namespace, pod.controller) == before
    assert pod.key in [p.key for p in await kube_cluster.list_released_pods()], "released pods of all namespaces"
    assert [p.key for p in await kube_cluster.list_released_pods(namespace)] == [pod.key]

    async def is_accepted() -> bool:
        return (await kube_cluster.evict(await read_again(kube_cluster, pod), "roll")).result is EvictionResult.ACCEPTED

    await wait_until(is_accepted, "a permitted eviction")

    async def is_gone() -> bool:
        return await kube_cluster.get_pod(namespace, pod.key.name) is None

    await wait_until(is_gone, "the deletion of the old pod")
    assert (await kube_cluster.evict(pod, "roll")).result is EvictionResult.GONE


async def test_a_restored_pod_is_adopted_again_and_has_no_trace_of_the_roll(
    api: KubeApi, kube_cluster: KubeCluster, namespace: str, image: str
) -> None:
    pod = await ready_pod(api, kube_cluster, namespace, image)
    roll = await kube_cluster.create_roll(namespace, {"metadata": {"name": "r"}, "spec": {"podName": pod.key.name}})
    await retry_on_conflict(lambda p: kube_cluster.release(p, HASH_LABEL, "r"), kube_cluster, pod)
    await retry_on_conflict(lambda p: kube_cluster.add_owner(p, "r", roll["metadata"]["uid"]), kube_cluster, pod)
    await retry_on_conflict(lambda p: kube_cluster.restore(p, HASH_LABEL), kube_cluster, pod)

    async def is_adopted() -> bool:
        now = await read_again(kube_cluster, pod)
        is_alone = [p.key for p in await kube_cluster.list_pods(namespace, "app=chat") if not p.deleting] == [pod.key]
        return is_alone and now.controller == pod.controller

    await wait_until(is_adopted, "adoption")
    now = await read_again(kube_cluster, pod)
    assert now.labels == pod.labels
    assert not now.annotations.keys() & {ROLL_ANNOTATION, HASH_ANNOTATION}
    await kube_cluster.delete_roll(namespace, "r", roll["metadata"]["uid"])
    await kube_cluster.restore(now, HASH_LABEL)
    assert (await read_again(kube_cluster, pod)).ready


async def test_a_released_pod_is_deleted_with_the_podroll_that_owns_it(
    api: KubeApi, kube_cluster: KubeCluster, namespace: str, image: str
) -> None:
    pod = await ready_pod(api, kube_cluster, namespace, image)
    roll = await kube_cluster.create_roll(namespace, {"metadata": {"name": "r"}, "spec": {"podName": pod.key.name}})
    await retry_on_conflict(lambda p: kube_cluster.release(p, HASH_LABEL, "r"), kube_cluster, pod)

    async def is_released() -> bool:
        return (await read_again(kube_cluster, pod)).controller is None

    await wait_until(is_released, "the ReplicaSet to release the pod")
    await kube_cluster.add_owner(pod, "r", roll["metadata"]["uid"])
    await kube_cluster.add_owner(pod, "r", roll["metadata"]["uid"])
    await kube_cluster.delete_roll(namespace, "r")

    async def is_gone() -> bool:
        return await kube_cluster.get_pod(namespace, pod.key.name) is None

    assert await wait_until(is_gone, "the garbage collector")


async def test_no_write_changes_another_pod_of_the_same_name(
    api: KubeApi, kube_cluster: KubeCluster, namespace: str, image: str
) -> None:
    first = await ready_pod(api, kube_cluster, namespace, image, "StatefulSet")
    await wait_until_settled(kube_cluster, first)
    assert (await kube_cluster.evict(first)).result is EvictionResult.ACCEPTED

    async def find_second() -> Pod | None:
        found = await kube_cluster.get_pod(namespace, first.key.name)
        return found if found and found.key.uid != first.key.uid and found.ready else None

    replacement = await wait_until(find_second, "a second pod of the same name")
    assert replacement is not None
    assert (await kube_cluster.evict(first)).result is EvictionResult.GONE
    changed = replace(first, labels={**first.labels, HASH_LABEL: "abc"})
    with pytest.raises(ConflictError):
        await kube_cluster.release(changed, HASH_LABEL, "r")
    with pytest.raises(NotFoundError):
        await kube_cluster.add_owner(first, "r", "u")
    impostor = replace(changed, resource_version=replacement.resource_version)
    with pytest.raises(MemrollError):
        await kube_cluster.release(impostor, HASH_LABEL, "r")
    assert not (await read_again(kube_cluster, replacement)).deleting
    assert not (await read_again(kube_cluster, replacement)).released


async def test_two_poddisruptionbudgets_on_one_pod_are_misconfigured(
    api: KubeApi, kube_cluster: KubeCluster, namespace: str, image: str
) -> None:
    pod = await ready_pod(api, kube_cluster, namespace, image)
    await create_budget(api, namespace, "one", minAvailable=0)
    await create_budget(api, namespace, "two", minAvailable=0)
    result = await kube_cluster.evict(pod)
    assert result.result is EvictionResult.MISCONFIGURED
    assert "PodDisruptionBudget" in result.message


async def test_a_status_is_replaced_only_with_the_newest_version(kube_cluster: KubeCluster, namespace: str) -> None:
    created = await kube_cluster.create_roll(namespace, {"metadata": {"name": "r"}, "spec": {"podName": "p"}})
    with pytest.raises(ConflictError):
        await kube_cluster.create_roll(namespace, {"metadata": {"name": "r"}, "spec": {"podName": "p"}})
    version = created["metadata"]["resourceVersion"]
    first = {"phase": "Announced", "message": "a"}
    wrote = await kube_cluster.write_status(ROLL_PLURAL, namespace, "r", version, first)
    with pytest.raises(ConflictError):
        await kube_cluster.write_status(ROLL_PLURAL, namespace, "r", version, first)
    newest = wrote["metadata"]["resourceVersion"]
    await kube_cluster.write_status(ROLL_PLURAL, namespace, "r", newest, {"phase": "Announced"})
    stored = await kube_cluster.get_roll(namespace, "r")
    assert stored is not None
    assert "message" not in stored["status"]
    assert stored["spec"]["podName"] == "p"
    with pytest.raises(TerminalError, match="Rejected"):
        await kube_cluster.write_status(
            ROLL_PLURAL, namespace, "r", stored["metadata"]["resourceVersion"], {"phase": "NoSuchPhase"}
        )


async def test_one_of_many_electors_leads_and_a_successor_follows(api: KubeApi, namespace: str) -> None:
    settings = Settings(namespace=namespace, lease_name="memroll", lease_seconds=3)
    electors = [LeaderElector(api, settings) for _ in range(5)]
    tasks = [asyncio.create_task(r.run()) for r in electors]
    _, waiting = await asyncio.wait(
        [asyncio.create_task(r.wait_until_leader()) for r in electors], return_when=asyncio.FIRST_COMPLETED, timeout=20
    )
    for task in waiting:
        task.cancel()
    (leader,) = [i for i, r in enumerate(electors) if r.is_leader()]
    tasks[leader].cancel()
    await asyncio.wait([tasks[leader]])

    async def has_successor() -> bool:
        assert sum(r.is_leader() for r in electors) <= 1
        return any(r.is_leader() for r in electors)

    await wait_until(has_successor, "a successor", 20)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_events_are_counted_and_long_messages_are_truncated(api: KubeApi, namespace: str) -> None:
    regarding = Regarding("v1", "ConfigMap", namespace, "chat", "00000000-0000-0000-0000-000000000001")
    seconds = 0.0
    recorder = EventRecorder(api, "memroll-0", monotonic=lambda: seconds)
    event = Event(regarding, EventType.WARNING, EventReason.ROLL_BLOCKED, "é" * 2000)
    for message in ("first", event.message):
        event = replace(event, message=message)
        recorder.publish([event])
        await recorder.drain(10)
        seconds += 61
    assert recorder.failed == 0
    stored = await api.request("GET", build_path("/api/v1", namespace, "events", event_name(event)))
    assert (stored["count"], stored["message"]) == (2, "é" * 510 + "…")
    restarted = EventRecorder(api, "memroll-1")
    restarted.publish([event])
    await restarted.drain(10)
    assert (await api.request("GET", build_path("/api/v1", namespace, "events", event_name(event))))["count"] == 3


async def test_a_missing_permission_is_named_in_the_error(api: KubeApi, namespace: str) -> None:
    configuration = api._client.configuration
    nobody = KubeApi(ApiClient(configuration, header_name="Impersonate-User", header_value="nobody"))
    pod = ObjectRef("v1", "Pod", "chat-0")
    with pytest.raises(TerminalError, match='User "nobody" cannot create resource "pods/eviction"') as caught:
        await nobody.request("POST", build_path("/api/v1", namespace, "pods", pod.name, "eviction"), body={})
    assert caught.value.reason == "Forbidden"
    await nobody.close()


@pytest.mark.needs_kubernetes("1.34", "limits of a pod (spec.resources)")
async def test_the_limit_of_a_pod_that_its_containers_share_is_read(
    api: KubeApi, kube_cluster: KubeCluster, namespace: str, image: str
) -> None:
    body = workload_body("Deployment", image)
    spec = body["spec"]["template"]["spec"]
    spec["resources"] = spec["containers"][0].pop("resources")
    await api.request("POST", build_path("/apis/apps/v1", namespace, "deployments"), body=body)

    async def find_pod() -> Pod | None:
        return next(iter(await kube_cluster.list_pods(namespace, "app=chat")), None)

    found = await wait_until(find_pod, "a pod")
    assert found is not None
    assert (found.limit_bytes, found.containers[0].limit_bytes) == (32 * 2**20, 32 * 2**20)


async def test_a_rollout_and_its_end_are_observed(
    api: KubeApi, kube_cluster: KubeCluster, namespace: str, image: str
) -> None:
    pod = await ready_pod(api, kube_cluster, namespace, image)
    await wait_until_settled(kube_cluster, pod)
    owned = await kube_cluster.list_target_pods(namespace, "apps/v1", "Deployment", "chat")
    assert [p.key for p in owned] == [pod.key]
    container = {"name": "chat", "command": ["sleep", "1000000"], "readinessProbe": {"exec": {"command": ["false"]}}}
    change = {"spec": {"template": {"spec": {"containers": [container]}}}}
    path = build_path("/apis/apps/v1", namespace, "deployments", "chat")
    await api.request("PATCH", path, body=change, content_type="application/strategic-merge-patch+json")

    async def is_rolling_out() -> bool:
        found = await kube_cluster.get_workload(await read_again(kube_cluster, pod))
        return found is not None and bool(found.rollout_in_progress)

    await wait_until(is_rolling_out, "a rollout")
    container["readinessProbe"] = {"exec": {"command": ["true"]}}
    await api.request("PATCH", path, body=change, content_type="application/strategic-merge-patch+json")

    async def find_new_pod() -> Pod | None:
        found = [p for p in await kube_cluster.list_pods(namespace, "app=chat") if not p.deleting]
        return found[0] if len(found) == 1 and found[0].ready and found[0].key != pod.key else None

    last = await wait_until(find_new_pod, "the new pod alone")
    assert last is not None
    await wait_until_settled(kube_cluster, last)
