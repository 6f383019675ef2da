"""Pods that must not be surged, with requests running: what is done instead loses none, or nothing is done at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.site import wait_for
from tests.e2e import objects
from tests.e2e.test_rolls import is_ready, pods_of, wait_ready
from tests.e2e.test_strategies import outcome, roll_by_hand

if TYPE_CHECKING:
    from memroll_demo.site import Site

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300), pytest.mark.area("refused")]

HASH = "pod-template-hash"
FINAL = ("Succeeded", "Failed", "Aborted")


def deploy(cluster: Site, namespace: str, image: str, replicas: int, **spec: Any) -> list[str]:
    """Deploy `chat`, one pod of which may be away at a time; return the names of its pods."""
    workload, service, budget = objects.deployment(namespace, "chat", image, replicas)
    workload["spec"] |= spec
    budget["spec"] = {"maxUnavailable": 1, "selector": budget["spec"]["selector"]}
    cluster.apply(workload, service, budget)
    return wait_ready(cluster, namespace, "chat", replicas)


def rolled_and_watched(cluster: Site, namespace: str, pod: str) -> tuple[dict[str, Any], int]:
    """Roll a pod by hand; return the PodRoll once it has ended, and the most pods that were there to stay."""
    spec = {"podName": pod, "replacementTimeoutSeconds": 60}
    meta = {"name": "watched", "namespace": namespace}
    cluster.apply({"apiVersion": "memroll.dev/v1alpha1", "kind": "PodRoll", "metadata": meta, "spec": spec})
    most = 0

    def ended() -> dict[str, Any] | None:
        nonlocal most
        most = max(most, sum("deletionTimestamp" not in p["metadata"] for p in pods_of(cluster, namespace, "chat")))
        found: dict[str, Any] = cluster.get("podroll", namespace, "watched")
        return found if found.get("status", {}).get("phase") in FINAL else None

    found = wait_for("the end of the roll", ended, 120)
    assert found is not None
    return found, most


def test_a_pod_that_a_service_selects_by_its_hash_is_evicted_without_losing_a_request(
    cluster, namespace, service_image, load
):
    first, _ = deploy(cluster, namespace, service_image, 2)
    labels = cluster.get("pod", namespace, first)["metadata"]["labels"]
    service = objects.deployment(namespace, "chat", service_image)[1]
    service["spec"]["selector"] |= {HASH: labels[HASH]}
    cluster.apply(service)
    traffic = load(namespace, "chat")
    words = f"Service chat selects the pod by its label {HASH}"

    refused = roll_by_hand(cluster, namespace, first, strategy="Surge")
    assert (refused["status"]["phase"], refused["status"]["reason"]) == ("Failed", "Refused")
    assert refused["status"]["message"] == f"the policy asks for Surge, but {words}"
    assert cluster.get("pod", namespace, first)["metadata"]["labels"] == labels

    ended, _ = rolled_and_watched(cluster, namespace, first)
    assert outcome(ended) == ("Succeeded", "Evict", words)
    traffic.stop()
    assert traffic.failures == []
    assert traffic.served > 100


def test_a_deployment_that_recreates_never_has_two_pods(cluster, namespace, service_image, load):
    """It is restarted by its own controller, which is an outage; a Surge is refused and costs nothing."""
    (old,) = deploy(cluster, namespace, service_image, 1, strategy={"type": "Recreate"})
    words = "Deployment/chat has strategy Recreate (two of its pods must never run at once)"
    traffic = load(namespace, "chat")
    refused = roll_by_hand(cluster, namespace, old, strategy="Surge")
    assert (refused["status"]["phase"], refused["status"]["reason"]) == ("Failed", "Refused")
    assert refused["status"]["message"] == f"the policy asks for Surge, but {words}"
    traffic.stop()
    assert traffic.failures == []
    ended, most = rolled_and_watched(cluster, namespace, old)
    assert outcome(ended) == ("Succeeded", "Restart", words)
    assert most == 1
    (new,) = wait_ready(cluster, namespace, "chat")
    assert new != old


def test_a_deployment_without_a_surge_of_its_own_is_evicted_without_losing_a_request(
    cluster, namespace, service_image, load
):
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    old, _ = deploy(cluster, namespace, service_image, 2, strategy=rolling)
    traffic = load(namespace, "chat")
    ended, most = rolled_and_watched(cluster, namespace, old)
    words = "Deployment/chat has maxSurge 0: it must not have a pod more than it asks for"
    assert outcome(ended) == ("Succeeded", "Evict", words)
    assert most == 2
    traffic.stop()
    assert traffic.failures == []
    assert old not in [p["metadata"]["name"] for p in pods_of(cluster, namespace, "chat") if is_ready(p)]
