"""Use of the API by people and tools: wait for a policy, try it in mode DryRun, protect a workload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.e2e.test_rolls import FAST_LEAK, wait_ready
from tests.kstatus import CURRENT, kstatus

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.area("api"), pytest.mark.timeout(420)]


def policy_of(cluster: DemoCluster, namespace: str, name: str = "leaky") -> dict[str, Any]:
    found: dict[str, Any] = cluster.get("mempol", namespace, name)
    return found


def gate_of(cluster: DemoCluster, namespace: str) -> str:
    """Return the gate that blocks the first container at risk, or an empty string."""
    at_risk = policy_of(cluster, namespace).get("status", {}).get("atRisk", [])
    return str(at_risk[0].get("blockedBy", {}).get("gate", "")) if at_risk else ""


def test_kubectl_waits_for_a_policy_and_for_its_next_spec(
    cluster: DemoCluster, namespace: str, service_image: str
) -> None:
    cluster.apply(*objects.deployment(namespace, "leaky", service_image))
    wait_ready(cluster, namespace, "leaky")
    for mode in ("Observe", "DryRun"):
        cluster.apply(objects.policy(namespace, "leaky", mode=mode))
        cluster.kubectl("wait", "--for=condition=Ready", "mempol/leaky", "-n", namespace, "--timeout=60s")
        raw = policy_of(cluster, namespace)
        assert raw["status"]["observedGeneration"] == raw["metadata"]["generation"]
        assert kstatus(raw) == CURRENT
    cluster.apply(objects.policy(namespace, "leaky", suspend=True))
    cluster.kubectl("wait", "--for=condition=Suspended", "mempol/leaky", "-n", namespace, "--timeout=60s")


def test_a_dry_run_reports_a_pod_and_rolls_none(cluster: DemoCluster, namespace: str, service_image: str) -> None:
    cluster.apply(
        *objects.deployment(namespace, "leaky", service_image, **FAST_LEAK),
        objects.policy(namespace, "leaky", mode="DryRun"),
    )
    (pod,) = wait_ready(cluster, namespace, "leaky")
    dry_runs = wait_for(
        "a dry run", lambda: policy_of(cluster, namespace).get("status", {}).get("dryRuns"), timeout_s=200
    )
    assert [entry["pod"] for entry in dry_runs] == [pod]
    assert policy_of(cluster, namespace)["status"]["lastAction"]["action"] == "WouldRoll"
    event = wait_for(
        "the event", lambda: [t for reason, t in cluster.events(namespace, "Pod", pod) if reason == "WouldRoll"]
    )
    assert event[0].startswith(f"Pod {pod} would be rolled now (mode: DryRun). app: ")
    assert cluster.rolls(namespace) == []


def test_the_annotation_of_a_deployment_protects_its_pods(
    cluster: DemoCluster, namespace: str, service_image: str
) -> None:
    deployment, *others = objects.deployment(namespace, "leaky", service_image, **FAST_LEAK)
    deployment["metadata"] = deployment["metadata"] | {"annotations": {"memroll.dev/do-not-disrupt": "true"}}
    cluster.apply(deployment, *others, objects.policy(namespace, "leaky"))
    wait_for("the gate", lambda: gate_of(cluster, namespace) == "DoNotDisrupt", timeout_s=200)
    assert cluster.rolls(namespace) == []
