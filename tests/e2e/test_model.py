"""The model in tests/model behaves as a real cluster does: the same sessions have the same observations on both."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from memroll.clients.kube.api_client import MERGE_PATCH, KubeApi, build_path
from memroll.errors import NotFoundError
from tests.model.objects import budget, quota, uid_of
from tests.model.recorded_session import (
    APPS,
    BUDGET,
    BUDGETS,
    CORE,
    POLICY,
    ROLLS,
    ModelBackend,
    RealBackend,
    RecordedSession,
    pod_roll,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from memroll_demo.cluster import DemoCluster

    Scenario = Callable[[RecordedSession], Awaitable[None]]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
async def api(cluster: DemoCluster) -> AsyncIterator[KubeApi]:
    """Connect to a cluster that has the CRD of PodRolls."""
    connected = await KubeApi.connect(cluster.kubeconfig)
    try:
        try:
            await connected.request("GET", f"{CRD}/podrolls.memroll.dev")
        except NotFoundError:
            crd = yaml.safe_load((ROOT / "deploy/crds/podrolls.memroll.dev.yaml").read_text())
            await connected.request("POST", CRD, body=crd)
        yield connected
    finally:
        await connected.close()


async def assert_same_observations(api: KubeApi, image: str, *scenarios: Scenario) -> None:
    """Run each scenario on the model and on the real cluster, there concurrently; fail if an observation differs."""
    real = await asyncio.gather(*(_run_on_real(api, image, s) for s in scenarios))
    for scenario, observed in zip(scenarios, real, strict=True):
        session = RecordedSession(ModelBackend.new(), [])
        await scenario(session)
        for of_model, of_cluster in zip(session.observations, observed, strict=True):
            assert of_model == of_cluster, scenario.__name__


async def _run_on_real(api: KubeApi, image: str, scenario: Scenario) -> list[Any]:
    name = f"model-{uuid.uuid4().hex[:8]}"
    await api.request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    try:
        session = RecordedSession(RealBackend(api, name, image), [])
        await scenario(session)
        assert session.observations, f"{scenario.__name__} observes nothing"
        return session.observations
    finally:
        with suppress(NotFoundError):
            await api.request("DELETE", f"/api/v1/namespaces/{name}")


def surge_with_budget(budget_name: str, replicas: int) -> Scenario:
    async def surge(session: RecordedSession) -> None:
        """Roll a pod completely."""
        await session.deploy(replicas)
        await session.create_budget(budget_name)
        await session.observe("before")
        old = (await session.list_pods())[0]
        await session.release(old)
        await session.observe("the replacement is not Ready")
        await session.set_readiness_gate((await session.list_pods())[-1])
        await session.observe("the replacement is Ready")
        session.observations.append(await session.evict(old, dry_run=False))
        await session.observe("the old pod is deleted")

    return surge


async def test_a_released_pod_can_be_evicted_once_its_replacement_is_ready(api: KubeApi, service_image: str) -> None:
    await assert_same_observations(
        api,
        service_image,
        *(surge_with_budget(budget_name, replicas) for budget_name in BUDGETS for replicas in (1, 2)),
    )


async def restore_before_ready(session: RecordedSession) -> None:
    """Restore before the replacement is Ready: it is deleted, and the old pod remains."""
    await session.deploy()
    (old,) = await session.list_pods()
    await session.release(old)
    await session.observe("released")
    await session.restore(old)
    await session.observe("restored")


async def restore_after_ready(session: RecordedSession) -> None:
    """Restore when both are Ready: one of them is deleted, depending on the uids (see replicasets.py)."""
    await session.deploy()
    (old,) = await session.list_pods()
    await session.release(old)
    await session.set_readiness_gate((await session.list_pods())[-1])
    await session.restore(old)
    session.observations.append((len(await session.list_pods()), await session.backend.endpoints()))


async def restore_with_deletion_cost(session: RecordedSession) -> None:
    """Restore after the replacement, of three Ready pods, has got the lowest deletion cost: it is deleted."""
    await session.deploy(2)
    old = (await session.list_pods())[0]
    await session.release(old)
    replacement = (await session.list_pods())[-1]
    await session.set_readiness_gate(replacement)
    await session.prefer_deletion(replacement)
    await session.observe("the replacement is Ready, and has the lowest deletion cost")
    await session.restore(old)
    await session.observe("restored")
    session.observations.append(replacement in await session.list_pods())


async def restore_with_0_replicas(session: RecordedSession) -> None:
    """Restore with a ReplicaSet of 0 replicas: it adopts and deletes the pod."""
    await session.deploy()
    (old,) = await session.list_pods()
    await session.release(old)
    await session.scale(0)
    await session.observe("released, with 0 replicas")
    await session.restore(old)
    await session.observe("restored")


async def restore_after_rollout(session: RecordedSession) -> None:
    await roll_out_during_surge(session)
    await session.restore(session.names[0])
    await session.observe("restored")


async def roll_out_during_surge(session: RecordedSession) -> None:
    """Roll out while a pod is released: the Deployment does not count the released pod."""
    await session.deploy(2)
    await session.create_budget("minAvailable 1")
    old = (await session.list_pods())[0]
    await session.release(old)
    await session.roll_out("2")
    await session.observe("rollout in progress")
    for _ in range(2):
        for name in await session.list_pods():
            await session.set_readiness_gate(name)
        await session.observe("rollout continued")


async def undo_rollout_during_surge(session: RecordedSession) -> None:
    """Undo a rollout while a pod is released: the first ReplicaSet is the newest again."""
    await session.deploy(2)
    old = (await session.list_pods())[0]
    await session.release(old)
    await session.roll_out("2")
    change = {"spec": {"template": {"metadata": {"annotations": None}}}}
    await session.patch(session.path(APPS, "deployments", "chat"), change)
    await session.backend.wait_until_idle()
    await session.observe("rollout undone")
    await session.restore(old)
    await session.observe("restored")


async def scale_during_surge(session: RecordedSession) -> None:
    await session.deploy(2)
    await session.create_budget("minAvailable 100%")
    old = (await session.list_pods())[0]
    await session.release(old)
    await session.scale(1)
    await session.observe("scaled down: the pod that is not Ready is deleted")
    await session.scale(3)
    await session.observe("scaled up")
    await session.restore(old)
    await session.observe("restored: one of the pods that are not Ready is deleted", identify_pods=False)


async def scale_during_rollout(session: RecordedSession) -> None:
    """Scale during a rollout: both ReplicaSets are scaled in proportion."""
    await session.deploy(4)
    await session.roll_out("2")
    await session.observe("rollout in progress", identify_pods=False)
    await session.scale(6)
    await session.observe("scaled up", identify_pods=False)
    await session.scale(3)
    await session.observe("scaled down", identify_pods=False)


def surge_without_quota(budget_name: str) -> Scenario:
    async def surge(session: RecordedSession) -> None:
        """Release without a replacement; a PodDisruptionBudget by percentage or maxUnavailable then counts no pods."""
        await session.request("POST", session.path(CORE, "resourcequotas"), quota("pods", 1))
        await session.deploy()
        await session.create_budget(budget_name)
        (old,) = await session.list_pods()
        await session.release(old)
        await session.observe("released")
        await session.restore(old)
        await session.observe("restored")

    return surge


async def surge_without_node(session: RecordedSession) -> None:
    """Release with a replacement that fits on no node."""
    await session.deploy(ports=[{"containerPort": 8080, "hostPort": 18080}])
    await session.create_budget("maxUnavailable 0")
    (old,) = await session.list_pods()
    await session.release(old)
    await session.observe("the replacement has no node")
    await session.restore(old)
    await session.observe("restored")


async def delete_roll_of_released_pod(session: RecordedSession) -> None:
    await session.deploy()
    (old,) = await session.list_pods()
    await session.release(old)
    await session.add_owner(old)
    await session.observe("owned by its roll")
    await session.request("DELETE", session.path(ROLLS, "podrolls", "roll"))
    await session.backend.wait_until_idle()
    await session.observe("its roll is deleted")


async def delete_roll_of_adopted_pod(session: RecordedSession) -> None:
    """Delete the PodRoll of an adopted pod: the pod remains."""
    await session.deploy()
    (old,) = await session.list_pods()
    await session.add_owner(old)
    await session.observe("owned by both")
    await session.request("DELETE", session.path(ROLLS, "podrolls", "roll"))
    await session.backend.wait_until_idle()
    await session.observe("its roll is deleted")


async def delete_deployment(session: RecordedSession) -> None:
    """Delete the Deployment of a released pod: the pod remains without an owner, also after a restore."""
    await session.deploy()
    (old,) = await session.list_pods()
    await session.release(old)
    await session.request("DELETE", session.path(APPS, "deployments", "chat"))
    await session.backend.wait_until_idle()
    await session.observe("the Deployment is deleted")
    await session.restore(old)
    await session.observe("restored")


async def evict_unready_pods(session: RecordedSession) -> None:
    """Evict a pod that is not Ready: permitted only while the PodDisruptionBudget is met without it."""
    await session.deploy(2)
    await session.create_budget("minAvailable 1")
    first, second = await session.list_pods()
    await session.set_readiness_gate(first, "False")
    await session.observe("one is Ready")
    await session.set_readiness_gate(second, "False")
    await session.observe("none is Ready")
    await session.release(first)
    await session.observe("released, not Ready")


async def create_two_budgets(session: RecordedSession) -> None:
    await session.deploy(2)
    await session.create_budget("minAvailable 1")
    await session.request("POST", session.path(POLICY, BUDGET), budget("other", minAvailable=0))
    await session.backend.wait_until_idle()
    await session.observe("two budgets")


async def send_stale_writes(session: RecordedSession) -> None:
    """Send writes for another state than the current one, and record the API server's responses."""
    await session.deploy()
    (name,) = await session.list_pods()
    path = session.path(CORE, "pods", name)
    pod = await session.request("GET", path)
    labels = {"labels": {"a": "b"}}
    stale, other = {"resourceVersion": "1"}, {"uid": "00000000-0000-0000-0000-000000000000"}
    for meta in (stale, other, stale | other, {"uid": uid_of(pod)}):
        await session.record_response("PATCH", path, {"metadata": meta | labels}, content_type=MERGE_PATCH)
    await session.record_response("PATCH", f"{path}-x", {"metadata": labels}, content_type=MERGE_PATCH)
    session.observations.append(await session.evict(name, preconditions=other))
    session.observations.append(await session.evict(f"{name}-x"))
    await session.add_owner(name)
    roll = session.path(ROLLS, "podrolls", "roll")
    created = await session.request("GET", roll)
    await session.record_response("POST", session.path(ROLLS, "podrolls"), pod_roll(name))
    for version in ("1", created["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]):
        meta = {"name": "roll", "namespace": session.backend.namespace, "resourceVersion": version}
        body = {k: created[k] for k in ("apiVersion", "kind")} | {"metadata": meta, "status": {"phase": "Announced"}}
        await session.record_response("PUT", f"{roll}/status", body)
    await session.record_response("DELETE", roll, {"preconditions": other})
    await session.record_response("DELETE", roll, {"preconditions": {"uid": uid_of(created)}})
    await session.record_response("DELETE", roll, {})


async def delete_namespace(session: RecordedSession) -> None:
    """Delete the namespace of a released pod: the pod is deleted as well."""
    await session.deploy()
    (old,) = await session.list_pods()
    await session.release(old)
    path = build_path(CORE, plural="namespaces", name=session.backend.namespace)
    await session.request("DELETE", path)
    with suppress(NotFoundError):
        while await session.request("GET", path):
            await session.backend.wait_until_idle()
    session.observations.append(len(await session.list_pods()))


async def test_a_restored_pod_is_adopted_and_surplus_pods_are_deleted(api: KubeApi, service_image: str) -> None:
    await assert_same_observations(
        api,
        service_image,
        restore_before_ready,
        restore_after_ready,
        restore_with_deletion_cost,
        restore_with_0_replicas,
        restore_after_rollout,
    )


async def test_rollouts_and_scaling_do_not_count_a_released_pod(api: KubeApi, service_image: str) -> None:
    await assert_same_observations(
        api,
        service_image,
        roll_out_during_surge,
        undo_rollout_during_surge,
        scale_during_surge,
        scale_during_rollout,
        surge_without_node,
    )


async def test_the_garbage_collector_deletes_objects_without_owners(api: KubeApi, service_image: str) -> None:
    await assert_same_observations(
        api, service_image, delete_roll_of_released_pod, delete_roll_of_adopted_pod, delete_deployment, delete_namespace
    )


async def test_with_an_exhausted_quota_there_is_no_replacement(api: KubeApi, service_image: str) -> None:
    await assert_same_observations(api, service_image, *map(surge_without_quota, BUDGETS))


async def test_error_responses_are_the_same(api: KubeApi, service_image: str) -> None:
    await assert_same_observations(api, service_image, evict_unready_pods, create_two_budgets, send_stale_writes)
