"""Pods that must not be surged, under load: another strategy without a failed request, or no roll."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.e2e.test_rolls import is_ready, pods_of, wait_ready
from tests.e2e.test_strategies import outcome, roll_by_hand

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300), pytest.mark.area("refused")]

HASH = "pod-template-hash"
FINAL = ("Succeeded", "Failed", "Aborted")


def deploy(cluster: DemoCluster, namespace: str, image: str, replicas: int, **spec: Any) -> list[str]:
    """Deploy `chat`, of which one pod may be unavailable; return the names of its pods."""
    workload, service, budget = objects.deployment(namespace, "chat", image, replicas)
    workload["spec"] |= spec
    budget["spec"] = {"maxUnavailable": 1, "selector": budget["spec"]["selector"]}
    cluster.apply(workload, service, budget)
    return wait_ready(cluster, namespace, "chat", replicas)


def roll_and_count_pods(cluster: DemoCluster, namespace: str, pod: str) -> tuple[dict[str, Any], int]:
    """Roll a pod by hand, and wait until it is gone, which can be after the end of its PodRoll.

    Return the PodRoll, and the maximum number of pods that were not terminating.
    """
    spec = {"podName": pod, "replacementTimeoutSeconds": 60}
    meta = {"name": "watched", "namespace": namespace}
    cluster.apply({"apiVersion": "memroll.dev/v1alpha1", "kind": "PodRoll", "metadata": meta, "spec": spec})
    max_pods = 0

    def ended() -> dict[str, Any] | None:
        nonlocal max_pods
        pods = pods_of(cluster, namespace, "chat")
        max_pods = max(max_pods, sum("deletionTimestamp" not in p["metadata"] for p in pods))
        found: dict[str, Any] = cluster.get("podroll", namespace, "watched")
        is_gone = pod not in [p["metadata"]["name"] for p in pods]
        return found if is_gone and found.get("status", {}).get("phase") in FINAL else None

    found = wait_for("the end of the roll, and the deletion of its pod", ended, 120)
    assert found is not None
    return found, max_pods


def test_a_pod_that_a_service_selects_by_its_hash_is_evicted_without_a_failed_request(
    cluster, namespace, service_image, start_load
):
    first, _ = deploy(cluster, namespace, service_image, 2)
    labels = cluster.get("pod", namespace, first)["metadata"]["labels"]
    service = objects.deployment(namespace, "chat", service_image)[1]
    service["spec"]["selector"] |= {HASH: labels[HASH]}
    cluster.apply(service)
    load = start_load(namespace, "chat")
    reason = f"Service chat selects the pod by its label {HASH}"

    refused = roll_by_hand(cluster, namespace, first, strategy="Surge")
    assert (refused["status"]["phase"], refused["status"]["reason"]) == ("Failed", "Refused")
    assert refused["status"]["message"] == f"strategy Surge is set in the spec, but {reason}"
    assert cluster.get("pod", namespace, first)["metadata"]["labels"] == labels

    ended, _ = roll_and_count_pods(cluster, namespace, first)
    assert outcome(ended) == ("Succeeded", "Evict", reason)
    load.stop()
    assert load.failures == []
    assert load.served > 100


def test_a_deployment_with_strategy_recreate_never_has_two_pods(cluster, namespace, service_image, start_load):
    """Its own controller restarts it, with an outage; a Surge is refused without one."""
    (old,) = deploy(cluster, namespace, service_image, 1, strategy={"type": "Recreate"})
    reason = "Deployment/chat has strategy Recreate (two of its pods must never run at once)"
    load = start_load(namespace, "chat")
    refused = roll_by_hand(cluster, namespace, old, strategy="Surge")
    assert (refused["status"]["phase"], refused["status"]["reason"]) == ("Failed", "Refused")
    assert refused["status"]["message"] == f"strategy Surge is set in the spec, but {reason}"
    load.stop()
    assert load.failures == []
    ended, max_pods = roll_and_count_pods(cluster, namespace, old)
    assert outcome(ended) == ("Succeeded", "Restart", reason)
    assert max_pods == 1
    (new,) = wait_ready(cluster, namespace, "chat")
    assert new != old


def test_a_pod_of_a_deployment_with_maxsurge_0_is_evicted_without_a_failed_request(
    cluster, namespace, service_image, start_load
):
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    old, _ = deploy(cluster, namespace, service_image, 2, strategy=rolling)
    load = start_load(namespace, "chat")
    ended, max_pods = roll_and_count_pods(cluster, namespace, old)
    reason = "Deployment/chat has maxSurge 0: it allows no additional pod"
    assert outcome(ended) == ("Succeeded", "Evict", reason)
    assert max_pods == 2
    load.stop()
    assert load.failures == []
    assert old not in [p["metadata"]["name"] for p in pods_of(cluster, namespace, "chat") if is_ready(p)]


HOST = "kubernetes.io/hostname"
ALONE = f"no node has room for a second copy of the pod: 1 of 1 excluded by required anti-affinity ({HOST})"


@pytest.mark.parametrize(
    "keys", [{}, {"matchLabelKeys": [HASH]}, {"mismatchLabelKeys": [HASH]}], ids=["plain", "matching", "mismatching"]
)
def test_a_pod_that_anti_affinity_keeps_alone_on_its_node_is_evicted(cluster, namespace, service_image, keys):
    """The scheduler applies the terms of the released pod to its replacement, and the reverse."""
    if not cluster.local:
        pytest.skip("needs a cluster with one node")
    workload = objects.deployment(namespace, "chat", service_image)[0]
    term = {"labelSelector": {"matchLabels": {"app": "chat"}}, "topologyKey": HOST, **keys}
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    workload["spec"]["template"]["spec"]["affinity"] = {"podAntiAffinity": rule}
    cluster.apply(workload)
    (old,) = wait_ready(cluster, namespace, "chat")
    required = roll_by_hand(cluster, namespace, old, strategy="Surge", replacementTimeoutSeconds=10)
    assert (required["status"]["phase"], required["status"]["strategy"]) == ("Failed", "Surge")
    assert "Unschedulable" in required["status"]["message"], "the scheduler agrees"
    wait_for("the end of the replacement", lambda: len(pods_of(cluster, namespace, "chat")) == 1)
    ended, max_pods = roll_and_count_pods(cluster, namespace, old)
    assert outcome(ended) == ("Succeeded", "Evict", ALONE)
    assert max_pods == 1


GPU = "example.com/gpu"


def set_gpus(cluster: DemoCluster, count: str) -> None:
    """Advertise GPUs on the node; wait until the kubelet has made them allocatable."""
    (node,) = cluster.get("nodes", "")
    patch = json.dumps({"status": {"capacity": {GPU: count}}})
    cluster.kubectl("patch", "node", node["metadata"]["name"], "--subresource=status", "--type=merge", f"-p={patch}")
    wait_for("the GPUs", lambda: cluster.get("nodes", "")[0]["status"]["allocatable"].get(GPU) == count)


@pytest.mark.alone
def test_a_pod_with_the_only_gpu_is_evicted(cluster, namespace, service_image):
    if not cluster.local:
        pytest.skip("changes the status of the only node")
    workload = objects.deployment(namespace, "chat", service_image)[0]
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    container["resources"]["limits"] |= {GPU: "1"}
    set_gpus(cluster, "1")
    try:
        cluster.apply(workload)
        (old,) = wait_ready(cluster, namespace, "chat")
        ended, max_pods = roll_and_count_pods(cluster, namespace, old)
    finally:
        set_gpus(cluster, "0")
    reason = f"no node has room for a second copy of the pod: 1 of 1 without a free {GPU}"
    assert outcome(ended) == ("Succeeded", "Evict", reason)
    assert max_pods == 1
