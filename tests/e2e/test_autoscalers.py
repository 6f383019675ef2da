"""A real HorizontalPodAutoscaler that scales in the middle of a roll, with a substitute for metrics-server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.e2e.autoscaling import autoscaler, serve_metrics
from tests.e2e.metrics_server import ANNOTATION
from tests.e2e.test_rolls import pods_of, wait_ready
from tests.e2e.test_strategies import outcome

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(400), pytest.mark.area("autoscaled")]

SETTLE_S = 45
"""Seconds for which the replacement must be Ready: three periods of the HorizontalPodAutoscaler."""


def replicas(cluster: DemoCluster, namespace: str) -> int:
    return int(cluster.get("deployments", namespace, "chat")["spec"]["replicas"])


def names(cluster: DemoCluster, namespace: str) -> list[str]:
    return [p["metadata"]["name"] for p in pods_of(cluster, namespace, "chat")]


def has_metrics(cluster: DemoCluster, namespace: str) -> bool:
    text = cluster.kubectl("get", "hpa", "chat", "-n", namespace, "-o", "json")
    return bool(json.loads(text).get("status", {}).get("currentMetrics"))


def test_an_autoscaler_may_scale_while_a_pod_is_rolled_and_is_named_in_the_status(
    cluster, namespace, service_image, start_load
):
    """The released pod still counts for the average, so the autoscaler adds a replica for the time of the roll."""
    if not cluster.local:
        pytest.skip("replaces the metrics API of the cluster")
    workload, service, budget = objects.deployment(namespace, "chat", service_image, HOLD_MIB="80")
    workload["spec"]["template"]["metadata"]["annotations"] = {ANNOTATION: "40Mi"}
    del workload["spec"]["replicas"]
    cluster.apply(workload, service, budget)
    (old,) = wait_ready(cluster, namespace, "chat")
    cluster.kubectl("annotate", "pod", old, "-n", namespace, "--overwrite", f"{ANNOTATION}=105Mi")
    with serve_metrics(cluster, namespace, service_image):
        cluster.apply(
            autoscaler(namespace, "chat", "110Mi"),
            objects.policy(namespace, "chat", mode="Observe", usageThreshold="50%"),
        )
        wait_for("the autoscaler's metrics", lambda: has_metrics(cluster, namespace), 90)
        named = wait_for(
            "the autoscaler in the status",
            lambda: (cluster.get("mempol", namespace, "chat").get("status") or {}).get("autoscalers"),
            90,
        )
        message = "scales by memory: a leak makes it add replicas"
        expected = {"name": "HorizontalPodAutoscaler/chat", "workload": "Deployment/chat", "message": message}
        assert named == [expected]
        assert replicas(cluster, namespace) == 1
        load = start_load(namespace, "chat")
        ended = roll_until_scaled(cluster, namespace, old)
        assert outcome(ended)[:2] == ("Succeeded", "Surge")
        wait_for("the end of the old pod", lambda: old not in names(cluster, namespace))
        wait_for("one replica again", lambda: replicas(cluster, namespace) == 1, 90)
        wait_ready(cluster, namespace, "chat")
        load.stop()
        assert load.failures == []
        assert load.served > 100


def roll_until_scaled(cluster: DemoCluster, namespace: str, old: str) -> dict[str, Any]:
    """Roll a pod, and require that the autoscaler adds a replica before the old pod is evicted; return the PodRoll."""
    meta = {"name": "watched", "namespace": namespace}
    spec = {"podName": old, "settleSeconds": SETTLE_S}
    cluster.apply({"apiVersion": "memroll.dev/v1alpha1", "kind": "PodRoll", "metadata": meta, "spec": spec})

    def find_roll(*phases: str) -> dict[str, Any] | None:
        found: dict[str, Any] = cluster.get("podroll", namespace, "watched")
        return found if found.get("status", {}).get("phase") in phases else None

    wait_for("a second replica", lambda: replicas(cluster, namespace) == 2, SETTLE_S + 30)
    assert find_roll("Replacing"), "the old pod is still there"
    ended = wait_for("the end of the roll", lambda: find_roll("Succeeded", "Failed", "Aborted"), 120)
    assert ended is not None
    return ended
