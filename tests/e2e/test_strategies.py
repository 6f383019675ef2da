"""Strategies of all kinds of workloads, in PodRolls created by hand with only `spec: {podName}`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from memroll.model.pods import RELEASED_HASH
from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.e2e.test_rolls import is_ready, pods_of, wait_ready

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300), pytest.mark.area("strategies")]

ARGO_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "rollouts.argoproj.io"},
    "spec": {
        "group": "argoproj.io",
        "scope": "Namespaced",
        "names": {"kind": "Rollout", "listKind": "RolloutList", "plural": "rollouts", "singular": "rollout"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
HASH = "rollouts-pod-template-hash"


def roll_by_hand(cluster: DemoCluster, namespace: str, pod: str, **spec: Any) -> dict[str, Any]:
    """Roll a pod and return the PodRoll once it has ended."""
    name = f"by-hand-{pod}"
    cluster.apply(
        {
            "apiVersion": "memroll.dev/v1alpha1",
            "kind": "PodRoll",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"podName": pod, "replacementTimeoutSeconds": 60, **spec},
        }
    )

    def find_ended() -> dict[str, Any] | None:
        found: dict[str, Any] = cluster.get("podroll", namespace, name)
        return found if found.get("status", {}).get("phase") in ("Succeeded", "Failed", "Aborted") else None

    found = wait_for(f"the end of {name}", find_ended, 120)
    assert found is not None
    assert all("deletionTimestamp" in p["metadata"] for p in list_released(cluster, namespace)), "an orphaned pod"
    wait_for("the deletion of the released pod", lambda: not list_released(cluster, namespace))
    return found


def list_released(cluster: DemoCluster, namespace: str) -> list[dict[str, Any]]:
    return [p for p in cluster.get("pods", namespace) if RELEASED_HASH in p["metadata"].get("labels", {}).values()]


def outcome(roll: dict[str, Any]) -> tuple[str, str, str]:
    status = roll["status"]
    return status["phase"], status.get("strategy", ""), status.get("strategyReason", "")


def test_an_argo_rollout_s_pod_is_surged_by_its_own_label(cluster, namespace, service_image):
    """There is no controller of Rollouts: the test creates its ReplicaSet and status; everything else is real."""
    cluster.apply(ARGO_CRD)
    try:
        cluster.kubectl("wait", "--for=condition=Established", "crd/rollouts.argoproj.io", "--timeout=30s")
        workload, service, budget = objects.deployment(namespace, "canary", service_image)
        rollout = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": workload["metadata"],
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "canary"}}},
        }
        cluster.apply(rollout, service, budget)
        created = cluster.get("rollouts.argoproj.io", namespace, "canary")
        status = {"stableRS": "abc", "currentPodHash": "abc", "updatedReplicas": 1, "observedGeneration": "1"}
        cluster.kubectl(
            "patch", "rollouts.argoproj.io", "canary", "-n", namespace, "--subresource=status", "--type=merge",
            "-p", json.dumps({"status": status}),
        )  # fmt: skip
        cluster.apply(_replica_set(namespace, workload, created["metadata"]["uid"]))
        (old,) = wait_ready(cluster, namespace, "canary")
        ended = roll_by_hand(cluster, namespace, old)
        assert outcome(ended)[:2] == ("Succeeded", "Surge")
        assert ended["status"]["workload"]["kind"] == "Rollout"
        assert ended["status"]["release"]["hashLabel"] == HASH
        (new,) = wait_ready(cluster, namespace, "canary")
        assert new == ended["status"]["replacement"]["name"]

        # The selector that the controller of a blueGreen Rollout writes into its activeService.
        service["spec"]["selector"] |= {HASH: "abc"}
        cluster.apply(service)
        refused = roll_by_hand(cluster, namespace, new, strategy="Surge")
        assert (refused["status"]["phase"], refused["status"]["reason"]) == ("Failed", "Refused")
        assert refused["status"]["message"].endswith(f"Service canary selects the pod by its label {HASH}")
        assert cluster.get("pod", namespace, new)["metadata"]["labels"][HASH] == "abc"
    finally:
        cluster.kubectl("delete", "replicaset", "canary-abc", "-n", namespace, "--ignore-not-found")
        cluster.kubectl("delete", "crd", "rollouts.argoproj.io", "--ignore-not-found")


def _replica_set(namespace: str, workload: dict[str, Any], owner_uid: str) -> dict[str, Any]:
    labels = {"app": "canary", HASH: "abc"}
    template = workload["spec"]["template"]
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "canary", "uid": owner_uid}
    meta = {"name": "canary-abc", "namespace": namespace, "labels": labels}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": meta | {"ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}]},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": template | {"metadata": {"labels": labels}},
        },
    }


def test_a_pod_that_can_t_exist_twice_is_evicted_with_the_reason(cluster, namespace, service_image):
    workload, service, _ = objects.deployment(namespace, "pinned", service_image)
    workload["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 8080, "hostPort": 18081}]
    cluster.apply(workload, service)
    (old,) = wait_ready(cluster, namespace, "pinned")
    ended = roll_by_hand(cluster, namespace, old)
    assert outcome(ended) == ("Succeeded", "Evict", "a second copy of the pod can't run next to it: host port 18081")


def test_a_daemonset_s_pod_is_evicted(cluster, namespace, service_image):
    workload, *_ = objects.deployment(namespace, "agent", service_image)
    del workload["spec"]["replicas"]
    cluster.apply(workload | {"kind": "DaemonSet"})
    (old,) = wait_ready(cluster, namespace, "agent")
    ended = roll_by_hand(cluster, namespace, old)
    assert outcome(ended) == ("Succeeded", "Evict", "a DaemonSet has no template hash by which a pod could be released")


def test_a_do_not_disrupt_pod_and_a_job_s_pod_are_refused(cluster, namespace, service_image):
    workload, *_ = objects.deployment(namespace, "guarded", service_image)
    workload["spec"]["template"]["metadata"]["annotations"] = {"memroll.dev/do-not-disrupt": "true"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work", "namespace": namespace},
        "spec": {"template": objects.pod_template("work", service_image)},
    }
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    cluster.apply(workload, job)
    (protected,) = wait_ready(cluster, namespace, "guarded")
    ended = roll_by_hand(cluster, namespace, protected)
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Aborted", "Refused")
    assert "memroll.dev/do-not-disrupt" in ended["status"]["message"]
    (worker,) = wait_ready(cluster, namespace, "work")
    ended = roll_by_hand(cluster, namespace, worker)
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Failed", "Refused")
    assert ended["status"]["message"] == "pods of a Job are not rolled: one that ends early would lose its work"


def test_with_strategy_restart_the_whole_workload_is_restarted(cluster, namespace, service_image):
    workload, service, _ = objects.deployment(namespace, "whole", service_image, replicas=2)
    cluster.apply(workload, service)
    before = wait_ready(cluster, namespace, "whole", replicas=2)
    ended = roll_by_hand(cluster, namespace, before[0], strategy="Restart")
    assert outcome(ended) == ("Succeeded", "Restart", "set in the spec")
    stamp = ended["status"]["restartedAt"]
    template = cluster.get("deployment", namespace, "whole")["spec"]["template"]
    assert template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] == stamp
    pods = [p["metadata"] for p in pods_of(cluster, namespace, "whole") if is_ready(p)]
    assert not {p["name"] for p in pods if "deletionTimestamp" not in p} & set(before)
