"""Room for a second copy of a pod, read from the API server."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.kube import placement
from memroll.clients.kube.placement import KubePlacementReader
from memroll.clients.kube.pods import KubePodReader
from tests.contract.cluster.fake_api import Fault

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi
    from tests.contract.cluster.fake_api import FakeApi

HASH = "pod-template-hash"
HOST = "kubernetes.io/hostname"
APP = {"labelSelector": {"matchLabels": {"app": "chat"}}, "topologyKey": HOST}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
ALONE = {"affinity": {"podAntiAffinity": {REQUIRED: [APP]}}}
NO_ROOM = f"no node has room for a second copy of the pod: 1 of 1 excluded by required anti-affinity ({HOST})"


def add_node(server: FakeApi, name: str) -> None:
    server.add("/api/v1/nodes", {"metadata": {"name": name, "labels": {HOST: name}}})


def add_pod(server: FakeApi, name: str, node: str, namespace: str = "ai", **spec: Any) -> None:
    metadata = {"name": name, "uid": name, "labels": {"app": "chat", HASH: "5d"}}
    body = {"metadata": metadata, "spec": {"nodeName": node, **spec}, "status": {"phase": "Running"}}
    server.add(f"/api/v1/namespaces/{namespace}/pods", body)


async def missing_room(api: KubeApi) -> str:
    pod = await KubePodReader(api).get_pod("ai", "old")
    assert pod is not None
    return await KubePlacementReader(api).find_missing_room(pod, HASH)


async def test_room_is_compared_over_all_nodes_and_namespaces(server: FakeApi, api: KubeApi) -> None:
    affinity = {"podAntiAffinity": {REQUIRED: [APP | {"namespaceSelector": {}}]}}
    for name in ("a", "b"):
        add_node(server, name)
    add_pod(server, "old", "a", affinity=affinity)
    add_pod(server, "other", "b", namespace="web")
    assert await missing_room(api) == NO_ROOM.replace("1 of 1", "2 of 2")
    (listed,) = server.calls("GET", "/api/v1/pods?")
    assert "status.phase!%3DSucceeded" in listed, "ended pods are not transferred"
    add_node(server, "c")
    assert await missing_room(api) == ""


async def test_nothing_is_listed_for_a_pod_without_such_needs(server: FakeApi, api: KubeApi) -> None:
    add_node(server, "a")
    add_pod(server, "old", "a")
    assert await missing_room(api) == ""
    assert server.calls("GET", "/api/v1/nodes") == server.calls("GET", "/api/v1/pods?") == []


@pytest.mark.parametrize("path", ["/api/v1/nodes", "/api/v1/pods?"])
@pytest.mark.parametrize("kind", ["403", "500"])
async def test_without_the_right_to_read_nodes_and_pods_nothing_is_claimed(
    server: FakeApi, api: KubeApi, path: str, kind: str
) -> None:
    add_node(server, "a")
    add_pod(server, "old", "a", **ALONE)
    server.faults.append(Fault(kind, path=path, times=3))
    assert await missing_room(api) == ""
    server.faults.clear()
    assert await missing_room(api) == NO_ROOM


async def test_a_slow_api_server_delays_a_roll_for_a_bounded_time(
    server: FakeApi, api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_node(server, "a")
    add_pod(server, "old", "a", **ALONE)
    monkeypatch.setattr(placement, "MAX_READ_S", 0.2)
    server.faults.append(Fault("hang", path="/api/v1/nodes"))
    assert await missing_room(api) == ""


@pytest.mark.parametrize("limit", ["MAX_NODES", "MAX_PODS"])
async def test_of_a_cluster_that_is_too_large_nothing_is_claimed(
    server: FakeApi, api: KubeApi, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    for name in ("a", "b"):
        add_node(server, name)
    add_pod(server, "old", "a", **ALONE)
    add_pod(server, "peer", "b", **ALONE)
    assert await missing_room(api) == NO_ROOM.replace("1 of 1", "2 of 2")
    monkeypatch.setattr(placement, limit, 1)
    assert await missing_room(api) == ""


async def test_a_bug_in_the_comparison_claims_nothing(
    server: FakeApi, api: KubeApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    add_node(server, "a")
    add_pod(server, "old", "a", **ALONE)
    monkeypatch.setattr(placement, "missing_room_because", fail)
    with caplog.at_level(logging.ERROR):
        assert await missing_room(api) == ""
    assert "bug: comparing the nodes for pod ai/old failed" in caplog.text
