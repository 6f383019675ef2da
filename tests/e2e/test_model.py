"""The model of tests/model does what a real cluster does: one script runs on both, and shows the same on both."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from memroll.clients.kube.api_client import MERGE_PATCH, Api, path_of
from memroll.errors import NotFound
from tests.model.objects import budget, quota, uid_of
from tests.model.script import APPS, BUDGET, BUDGETS, CORE, POLICY, ROLLS, Model, Real, Script, roll_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from memroll_demo.site import Site

    Scenario = Callable[[Script], Awaitable[None]]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
async def api(cluster: Site) -> AsyncIterator[Api]:
    """Connect, to a cluster that knows PodRolls."""
    connected = await Api.connect(cluster.kubeconfig)
    try:
        try:
            await connected.request("GET", f"{CRD}/podrolls.memroll.dev")
        except NotFound:
            crd = yaml.safe_load((ROOT / "deploy/crds/podrolls.memroll.dev.yaml").read_text())
            await connected.request("POST", CRD, body=crd)
        yield connected
    finally:
        await connected.close()


async def compare(api: Api, image: str, *scenarios: Scenario) -> None:
    """Run each scenario on the model and on the real cluster, all at once there, and compare what was seen."""
    real = await asyncio.gather(*(_on_real(api, image, s) for s in scenarios))
    for scenario, seen in zip(scenarios, real, strict=True):
        script = Script(Model.new(), [])
        await scenario(script)
        for ours, theirs in zip(script.seen, seen, strict=True):
            assert ours == theirs, scenario.__name__


async def _on_real(api: Api, image: str, scenario: Scenario) -> list[Any]:
    name = f"model-{uuid.uuid4().hex[:8]}"
    await api.request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    try:
        script = Script(Real(api, name, image), [])
        await scenario(script)
        return script.seen
    finally:
        with suppress(NotFound):
            await api.request("DELETE", f"/api/v1/namespaces/{name}")


def under(kind: str, replicas: int) -> Scenario:
    async def surge(script: Script) -> None:
        """A whole roll."""
        await script.deploy(replicas)
        await script.protect(kind)
        await script.look("before")
        old = (await script.pods())[0]
        await script.release(old)
        await script.look("the newcomer is not Ready")
        await script.gate((await script.pods())[-1])
        await script.look("the newcomer is Ready")
        script.seen.append(await script.evict(old, dry=False))
        await script.look("the old pod is gone")

    return surge


async def test_a_released_pod_leaves_room_in_the_budget_once_its_replacement_is_ready(
    api: Api, service_image: str
) -> None:
    await compare(api, service_image, *(under(kind, replicas) for kind in BUDGETS for replicas in (1, 2)))


async def put_back_early(script: Script) -> None:
    """The newcomer is not Ready, or finds no room: it goes, and the old pod stays."""
    await script.deploy()
    (old,) = await script.pods()
    await script.release(old)
    await script.look("released")
    await script.restore(old)
    await script.look("put back")


async def put_back_late(script: Script) -> None:
    """Both are Ready: one of them goes, and which one is left to chance (see replicasets.py)."""
    await script.deploy()
    (old,) = await script.pods()
    await script.release(old)
    await script.gate((await script.pods())[-1])
    await script.restore(old)
    script.seen.append((len(await script.pods()), await script.world.endpoints()))


async def put_back_unwanted(script: Script) -> None:
    """Its ReplicaSet wants no pods any more: being adopted is the pod's end."""
    await script.deploy()
    (old,) = await script.pods()
    await script.release(old)
    await script.scale(0)
    await script.look("released, and none is wanted")
    await script.restore(old)
    await script.look("put back")


async def put_back_after_a_rollout(script: Script) -> None:
    await roll_out_meanwhile(script)
    await script.restore(script.names[0])
    await script.look("put back")


async def roll_out_meanwhile(script: Script) -> None:
    """A user's rollout while a pod is released: the Deployment does not count the released pod at all."""
    await script.deploy(2)
    await script.protect("minAvailable 1")
    old = (await script.pods())[0]
    await script.release(old)
    await script.roll_out("2")
    await script.look("rolling")
    for _ in range(2):
        for name in await script.pods():
            await script.gate(name)
        await script.look("further")


async def roll_back_meanwhile(script: Script) -> None:
    """The user's rollout is undone: the first ReplicaSet is the newest again."""
    await script.deploy(2)
    old = (await script.pods())[0]
    await script.release(old)
    await script.roll_out("2")
    change = {"spec": {"template": {"metadata": {"annotations": None}}}}
    await script.patch(script.path(APPS, "deployments", "chat"), change)
    await script.world.rest()
    await script.look("undone")
    await script.restore(old)
    await script.look("put back")


async def scale_meanwhile(script: Script) -> None:
    await script.deploy(2)
    await script.protect("minAvailable 100%")
    old = (await script.pods())[0]
    await script.release(old)
    await script.scale(1)
    await script.look("scaled down: the pod that is not Ready has gone")
    await script.scale(3)
    await script.look("scaled up")
    await script.restore(old)
    await script.look("put back: of those that are not Ready one has gone", which=False)


async def scale_in_a_rollout(script: Script) -> None:
    """Both ReplicaSets take their share."""
    await script.deploy(4)
    await script.roll_out("2")
    await script.look("rolling", which=False)
    await script.scale(6)
    await script.look("scaled up", which=False)
    await script.scale(3)
    await script.look("scaled down", which=False)


def without_quota(kind: str) -> Scenario:
    async def exhausted(script: Script) -> None:
        """No replacement comes; with shares and differences the budget then counts no pods at all."""
        await script.ask("POST", script.path(CORE, "resourcequotas"), quota("pods", 1))
        await script.deploy()
        await script.protect(kind)
        (old,) = await script.pods()
        await script.release(old)
        await script.look("released")
        await script.restore(old)
        await script.look("put back")

    return exhausted


async def without_room(script: Script) -> None:
    """No node can take the newcomer: it waits without one."""
    await script.deploy(ports=[{"containerPort": 8080, "hostPort": 18080}])
    await script.protect("maxUnavailable 0")
    (old,) = await script.pods()
    await script.release(old)
    await script.look("the newcomer has no node")
    await script.restore(old)
    await script.look("put back")


async def go_with_the_roll(script: Script) -> None:
    await script.deploy()
    (old,) = await script.pods()
    await script.release(old)
    await script.own(old)
    await script.look("owned by its roll")
    await script.ask("DELETE", script.path(ROLLS, "podrolls", "roll"))
    await script.world.rest()
    await script.look("its roll is deleted")


async def stay_without_the_roll(script: Script) -> None:
    """A pod that its ReplicaSet has adopted again does not go with its roll."""
    await script.deploy()
    (old,) = await script.pods()
    await script.own(old)
    await script.look("owned by both")
    await script.ask("DELETE", script.path(ROLLS, "podrolls", "roll"))
    await script.world.rest()
    await script.look("its roll is deleted")


async def outlive_the_deployment(script: Script) -> None:
    """What is released is nobody's: it stays when the Deployment is deleted, and being put back is no help."""
    await script.deploy()
    (old,) = await script.pods()
    await script.release(old)
    await script.ask("DELETE", script.path(APPS, "deployments", "chat"))
    await script.world.rest()
    await script.look("the Deployment is deleted")
    await script.restore(old)
    await script.look("put back")


async def not_ready_under_a_budget(script: Script) -> None:
    """A pod that is not Ready may go while the budget is met without it, and not when it is not."""
    await script.deploy(2)
    await script.protect("minAvailable 1")
    first, second = await script.pods()
    await script.gate(first, "False")
    await script.look("one is Ready")
    await script.gate(second, "False")
    await script.look("none is Ready")
    await script.release(first)
    await script.look("released, not Ready")


async def two_budgets(script: Script) -> None:
    await script.deploy(2)
    await script.protect("minAvailable 1")
    await script.ask("POST", script.path(POLICY, BUDGET), budget("other", minAvailable=0))
    await script.world.rest()
    await script.look("two budgets")


async def preconditions(script: Script) -> None:
    """What the API server answers to a write that meets another state than it was made for."""
    await script.deploy()
    (name,) = await script.pods()
    path = script.path(CORE, "pods", name)
    pod = await script.ask("GET", path)
    labels = {"labels": {"a": "b"}}
    stale, other = {"resourceVersion": "1"}, {"uid": "00000000-0000-0000-0000-000000000000"}
    for meta in (stale, other, stale | other, {"uid": uid_of(pod)}):
        await script.tell("PATCH", path, {"metadata": meta | labels}, content_type=MERGE_PATCH)
    await script.tell("PATCH", f"{path}-x", {"metadata": labels}, content_type=MERGE_PATCH)
    script.seen.append(await script.evict(name, preconditions=other))
    script.seen.append(await script.evict(f"{name}-x"))
    await script.own(name)
    roll = script.path(ROLLS, "podrolls", "roll")
    made = await script.ask("GET", roll)
    await script.tell("POST", script.path(ROLLS, "podrolls"), roll_of(name))
    for version in ("1", made["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]):
        meta = {"name": "roll", "namespace": script.world.namespace, "resourceVersion": version}
        body = {k: made[k] for k in ("apiVersion", "kind")} | {"metadata": meta, "status": {"phase": "Announced"}}
        await script.tell("PUT", f"{roll}/status", body)
    await script.tell("DELETE", roll, {"preconditions": other})
    await script.tell("DELETE", roll, {"preconditions": {"uid": uid_of(made)}})
    await script.tell("DELETE", roll, {})


async def delete_the_namespace(script: Script) -> None:
    """A released pod goes with its namespace, as all do."""
    await script.deploy()
    (old,) = await script.pods()
    await script.release(old)
    path = path_of(CORE, plural="namespaces", name=script.world.namespace)
    await script.ask("DELETE", path)
    with suppress(NotFound):
        while await script.ask("GET", path):
            await script.world.rest()
    script.seen.append(len(await script.pods()))


async def test_a_pod_that_is_put_back_is_adopted_and_what_is_too_much_goes(api: Api, service_image: str) -> None:
    await compare(api, service_image, put_back_early, put_back_late, put_back_unwanted, put_back_after_a_rollout)


async def test_rollouts_and_scaling_do_not_count_a_released_pod(api: Api, service_image: str) -> None:
    await compare(
        api, service_image, roll_out_meanwhile, roll_back_meanwhile, scale_meanwhile, scale_in_a_rollout, without_room
    )


async def test_the_garbage_collector_takes_what_nobody_holds(api: Api, service_image: str) -> None:
    await compare(
        api, service_image, go_with_the_roll, stay_without_the_roll, outlive_the_deployment, delete_the_namespace
    )


async def test_without_a_quota_s_room_no_replacement_comes(api: Api, service_image: str) -> None:
    await compare(api, service_image, *map(without_quota, BUDGETS))


async def test_refusals_are_the_same(api: Api, service_image: str) -> None:
    await compare(api, service_image, not_ready_under_a_budget, two_budgets, preconditions)
