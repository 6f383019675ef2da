"""Rolls as users observe them: by kubectl, and by a client of the service."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.cluster import FAST_LEAKS, wait_for
from tests.e2e import objects
from tests.e2e.images import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

FAST_LEAK = {"LEAK_KIB_PER_SECOND": "800"}
SLOW_LEAK = {"LEAK_KIB_PER_SECOND": "500"}
RELEASED = "pod-template-hash=memroll-released"
SEPARATE_RELEASE = "memroll-killed"
"""Separate release that a test kills, and its namespace."""


def pods_of(cluster: DemoCluster, namespace: str, app: str) -> list[dict[str, Any]]:
    return [p for p in cluster.get("pods", namespace) if p["metadata"]["labels"].get("app") == app]


def oom_kills(cluster: DemoCluster, namespace: str, app: str) -> int:
    statuses = [c for p in pods_of(cluster, namespace, app) for c in p["status"].get("containerStatuses", [])]
    return sum(1 for c in statuses if c["restartCount"] or "terminated" in c["lastState"])


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def wait_ready(cluster: DemoCluster, namespace: str, app: str, replicas: int = 1) -> list[str]:
    def ready() -> list[str]:
        names = [p["metadata"]["name"] for p in pods_of(cluster, namespace, app) if is_ready(p)]
        return names if len(names) == replicas else []

    return wait_for(f"{replicas} ready pods of {app}", ready)


def wait_phase(cluster: DemoCluster, namespace: str, *phases: str, timeout_s: float = 200) -> dict[str, Any]:
    """Wait until the newest roll is in one of the phases."""

    def find_roll() -> dict[str, Any] | None:
        rolls = cluster.rolls(namespace)
        return rolls[-1] if rolls and rolls[-1].get("status", {}).get("phase") in phases else None

    return wait_for(f"a roll in {phases}", find_roll, timeout_s)  # type: ignore[return-value] # never None


@pytest.mark.area("surge")
def test_one_replica_is_rolled_by_its_slope_without_a_failed_request(cluster, namespace, service_image, start_load):
    """A leak is rolled, a high-water mark and a warm-up are not, and the control is OOM-killed, as in the demo."""
    cluster.apply(
        *objects.deployment(namespace, "leaky", service_image, **FAST_LEAK),
        *objects.deployment(namespace, "control", service_image, **FAST_LEAK),
        *objects.deployment(namespace, "highwater", service_image, HOLD_MIB="99", HOLD_AFTER_S="30"),
        *objects.deployment(namespace, "warmup", service_image, CACHE_MIB="70", CACHE_TAU_S="18"),
        objects.policy(namespace, "leaky"),
        objects.policy(namespace, "highwater"),
        objects.policy(namespace, "warmup"),
    )
    (old,) = wait_ready(cluster, namespace, "leaky")
    load = start_load(namespace, "leaky")
    wait_for("two rolls", lambda: cluster.phases(namespace)[:2] == ["Succeeded"] * 2, timeout_s=300)
    load.stop()

    assert load.failures == []
    assert load.served > 500
    assert oom_kills(cluster, namespace, "leaky") == 0
    rolls = cluster.rolls(namespace)
    assert rolls[0]["spec"]["podName"] == old
    assert {r["status"]["strategy"] for r in rolls} == {"Surge"}
    assert {r["spec"]["policy"] for r in rolls} == {"leaky"}, "the healthy services are not rolled"
    assert oom_kills(cluster, namespace, "highwater") == oom_kills(cluster, namespace, "warmup") == 0
    assert oom_kills(cluster, namespace, "control") > 0
    reasons = [reason for reason, _ in cluster.events(namespace, "Deployment", "leaky")]
    assert {"RollAnnounced", "ReplacementReady", "PodRolled"} <= set(reasons)

    described = cluster.kubectl("describe", "deployment", "leaky", "-n", namespace)
    assert "PodRolled" in described
    assert f"Pod {old} was replaced by {rolls[0]['status']['replacement']['name']}" in described
    assert "MiB per hour" in described
    described = cluster.kubectl("describe", "mempol", "leaky", "-n", namespace)
    assert "LeakConfirmed" in described
    table = cluster.kubectl("get", "mempol,podrolls", "-n", namespace)
    assert "TIME-TO-LIMIT" in table
    assert table.count("Succeeded") >= 2


@pytest.mark.area("fleet")
def test_replicas_are_rolled_one_at_a_time_within_their_poddisruptionbudget(
    cluster, namespace, service_image, start_load
):
    cluster.apply(
        *objects.deployment(namespace, "fleet", service_image, replicas=3, **FAST_LEAK),
        objects.policy(namespace, "fleet"),
    )
    wait_ready(cluster, namespace, "fleet", replicas=3)
    load = start_load(namespace, "fleet")
    max_concurrent = 0

    def are_three_done() -> bool:
        nonlocal max_concurrent
        phases = cluster.phases(namespace)
        max_concurrent = max(max_concurrent, sum(1 for p in phases if p not in ("Succeeded", "Failed", "Aborted")))
        return phases.count("Succeeded") >= 3

    wait_for("three rolls", are_three_done, timeout_s=300)
    load.stop()
    assert load.failures == []
    assert max_concurrent == 1
    assert oom_kills(cluster, namespace, "fleet") == 0


@pytest.mark.area("rollback")
def test_a_roll_whose_replacement_can_t_become_ready_is_rolled_back(cluster, namespace, service_image, start_load):
    """The old pod continues to serve, owned by its ReplicaSet; the replacement is deleted; no spec has changed."""
    roll = {
        "replacementTimeout": "15s",
        "cooldown": "10m",
    }  # its memory does not grow, so there is time for another attempt
    cluster.apply(
        *objects.deployment(namespace, "leaky", service_image, HOLD_MIB="80"),
        objects.policy(namespace, "leaky", usageThreshold="50%", roll=roll),
    )
    (old,) = wait_ready(cluster, namespace, "leaky")
    quota = {"hard": {"pods": "1"}}
    meta = {"name": "one-pod", "namespace": namespace}
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": quota})
    before = cluster.get("deployment", namespace, "leaky")["metadata"]["generation"]
    load = start_load(namespace, "leaky")
    ended = wait_phase(cluster, namespace, "Failed", "Succeeded", "Aborted")
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Failed", "ReplacementNotReady")
    assert "exceeded quota: one-pod" in ended["status"]["message"]
    assert ended["status"]["message"].endswith("in time: the pod is restored")

    def is_adopted() -> bool:
        owners = cluster.get("pod", namespace, old)["metadata"].get("ownerReferences", [])
        return [o["kind"] for o in owners] == ["ReplicaSet"]

    wait_for("the adoption of the old pod", is_adopted)
    load.stop()
    assert [p["metadata"]["name"] for p in pods_of(cluster, namespace, "leaky")] == [old]
    assert "memroll.dev/roll" not in cluster.get("pod", namespace, old)["metadata"].get("annotations", {})
    assert cluster.get("deployment", namespace, "leaky")["metadata"]["generation"] == before
    assert load.failures == []
    assert "RollReverted" in [reason for reason, _ in cluster.events(namespace, "Deployment", "leaky")]


@pytest.fixture
def separate_release(cluster: DemoCluster, area: str) -> Iterator[str]:
    """Install a separate release for the test's namespace, because other tests need theirs; return the namespace."""
    image = cluster.build_operator_image(OPERATOR)
    cluster.kubectl("delete", "namespace", area, "--ignore-not-found")
    cluster.apply(objects.namespace(area), objects.program(area))
    try:
        cluster.install(SEPARATE_RELEASE, SEPARATE_RELEASE, image, [area], *FAST_LEAKS)
        yield area
    finally:
        cluster.uninstall(SEPARATE_RELEASE, SEPARATE_RELEASE)
        cluster.kubectl("delete", "namespace", area, "--wait=false")


@pytest.mark.area("killed", watched=False)
def test_an_operator_killed_during_a_roll_repeats_nothing_and_orphans_no_pod(
    cluster, separate_release, service_image, start_load
):
    """SIGKILL before the replacement is Ready; the restarted process continues the same roll."""
    namespace = separate_release
    cluster.apply(
        *objects.deployment(namespace, "leaky", service_image, **SLOW_LEAK, READY_AFTER_S="8", limit="96Mi"),
        objects.policy(namespace, "leaky", exhaustion={"leadTime": "60s"}, roll={"cooldown": "10m"}),
    )
    (old,) = wait_ready(cluster, namespace, "leaky")
    load = start_load(namespace, "leaky")
    wait_phase(cluster, namespace, "Replacing")
    wait_for("the released pod", lambda: cluster.kubectl("get", "pods", "-n", namespace, "-l", RELEASED, "-o", "name"))
    kill_operator(cluster, SEPARATE_RELEASE)
    ended = wait_phase(cluster, namespace, "Succeeded", "Failed", "Aborted")
    load.stop()
    assert ended["status"]["phase"] == "Succeeded"
    assert len(cluster.rolls(namespace)) == 1, "nothing was rolled twice"
    assert load.failures == []
    wait_for("the deletion of the old pod", lambda: cluster.get("pod", namespace, old) is None)
    (new,) = wait_ready(cluster, namespace, "leaky")
    assert new == ended["status"]["replacement"]["name"]
    assert cluster.kubectl("get", "pods", "-n", namespace, "-l", RELEASED, "-o", "name") == ""


def kill_operator(cluster: DemoCluster, operator: str) -> None:
    """Kill the operator's process as the kernel does; on another cluster, delete its pod without a grace period."""
    (pod,) = [p for p in cluster.get("pods", operator) if p["metadata"]["name"].startswith(operator)]
    if not cluster.local:
        name = pod["metadata"]["name"]
        cluster.kubectl("delete", "pod", name, "-n", operator, "--grace-period=0", "--force")
        return
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    pids = [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/cgroup") if container in _read_text(p)]
    assert pids, f"no process of container {container}"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""  # the process has ended


@pytest.mark.area("stateful")
def test_a_statefulset_s_pod_is_evicted_and_replaced_under_its_name(cluster, namespace, service_image):
    workload, service, budget = objects.deployment(namespace, "leaky", service_image, **FAST_LEAK)
    workload |= {"kind": "StatefulSet", "spec": workload["spec"] | {"serviceName": "leaky"}}
    budget["spec"] = {"maxUnavailable": 1, "selector": budget["spec"]["selector"]}
    cluster.apply(workload, service, budget, objects.policy(namespace, "leaky"))
    wait_ready(cluster, namespace, "leaky")
    uid = cluster.get("pod", namespace, "leaky-0")["metadata"]["uid"]
    ended = wait_phase(cluster, namespace, "Succeeded", "Failed", "Aborted")
    assert (ended["status"]["phase"], ended["status"]["strategy"]) == ("Succeeded", "Evict")
    assert ended["status"]["strategyReason"] == "a StatefulSet has no template hash by which a pod could be released"
    assert cluster.get("pod", namespace, "leaky-0")["metadata"]["uid"] != uid
    assert oom_kills(cluster, namespace, "leaky") == 0
