"""Writes the fleet into the API server, as controllers and kubelets would: their names are in the managed fields."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import yaml

from tests.bench.scale import manifests
from tests.bench.scale.api import APPS, CORE, MEMROLL, for_each

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tests.bench.scale.api import BenchApi
    from tests.bench.scale.fleet import Fleet, FleetPod

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OPERATOR_NAMESPACE = "memroll-system"
MAX_ROLLS_PER_NAMESPACE = 100
"""Finished PodRolls that memroll keeps in one namespace: more of them would be deleted during the run."""
CONTROLLER, KUBELET, OPERATOR = "kube-controller-manager/v1.35", "kubelet/v1.35", "memroll/bench"
SERVED_TRIES = 100


def roll_places(fleet: Fleet, count: int) -> list[tuple[str, str]]:
    """Return namespace and policy of each finished PodRoll: those that the fleet's namespaces can't keep are alone in
    namespaces without a policy."""
    policies = dict(fleet.policies)
    spaces = fleet.namespaces
    missing = -(-count // MAX_ROLLS_PER_NAMESPACE) - len(spaces)
    spaces = [*spaces, *(f"rolls-{n:03}" for n in range(missing))]
    return [(spaces[n % len(spaces)], policies.get(spaces[n % len(spaces)], "removed")) for n in range(count)]


async def write_definitions(api: BenchApi, files: list[Path]) -> None:
    """Create the custom resource definitions, and wait until they are served."""
    for file in files:
        await api.send("POST", CRDS, yaml.safe_load(file.read_text()))
    for plural in ("memorypolicies", "podrolls"):
        await wait_served(api, f"{MEMROLL}/{plural}")


async def wait_served(api: BenchApi, path: str) -> None:
    """Wait until the API server serves a list."""
    for _ in range(SERVED_TRIES):
        try:
            await api.send("GET", f"{path}?limit=1")
        except (RuntimeError, ValueError, OSError):
            await asyncio.sleep(0.3)
        else:
            return
    raise RuntimeError(f"the API server does not serve {path}")


async def write_fleet(api: BenchApi, fleet: Fleet, rolls: int, now: datetime) -> None:
    places = roll_places(fleet, rolls)
    spaces = sorted({OPERATOR_NAMESPACE, *fleet.namespaces, *(space for space, _ in places)})
    await for_each(spaces, lambda name: api.send("POST", f"{CORE}/namespaces", manifests.namespace(name)))
    await for_each(fleet.deployments.values(), lambda pods: _write_deployment(api, pods, now))
    await for_each(enumerate(places), lambda place: _write_roll(api, place[0], *place[1], now))


async def write_policies(api: BenchApi, fleet: Fleet, interval_s: int) -> None:
    async def create(key: tuple[str, str]) -> None:
        space, name = key
        await api.send("POST", _path(MEMROLL, space, "memorypolicies"), manifests.policy(space, name, interval_s))

    await for_each(fleet.policies, create)


async def _write_deployment(api: BenchApi, pods: list[FleetPod], now: datetime) -> None:
    space = pods[0].namespace
    deployment = await _create(api, _path(APPS, space, "deployments"), manifests.deployment(pods))
    owner = await _create(api, _path(APPS, space, "replicasets"), manifests.replica_set(pods, _uid(deployment)))
    for plural, item in (("deployments", deployment), ("replicasets", owner)):
        path = _path(APPS, space, plural, item["metadata"]["name"])
        await _write_status(api, path, manifests.workload_status(len(pods)), CONTROLLER)
    for pod in pods:
        await _create(api, _path(CORE, space, "pods"), manifests.fleet_pod(pod, _uid(owner)))
        await _write_status(api, _path(CORE, space, "pods", pod.name), manifests.pod_status(pod, now), KUBELET)


async def _write_roll(api: BenchApi, number: int, space: str, policy: str, now: datetime) -> None:
    roll, status = manifests.pod_roll(space, number, policy, now)
    await api.send("POST", _path(MEMROLL, space, "podrolls"), roll, OPERATOR)
    await _write_status(api, _path(MEMROLL, space, "podrolls", roll["metadata"]["name"]), status, OPERATOR)


async def _create(api: BenchApi, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return await api.send("POST", path, body, CONTROLLER)


async def _write_status(api: BenchApi, path: str, body: dict[str, Any], agent: str) -> None:
    await api.send("PATCH", f"{path}/status", body, agent, "application/merge-patch+json")


def _uid(item: dict[str, Any]) -> str:
    return str(item["metadata"]["uid"])


def _path(prefix: str, space: str, plural: str, name: str = "") -> str:
    return f"{prefix}/namespaces/{space}/{plural}" + (f"/{name}" if name else "")
