"""A tenant that edits its policies and creates PodRolls all the time delays no other, on a real cluster."""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.e2e.diagnostics import RELEASE
from tests.e2e.test_isolation import FINAL, workload
from tests.e2e.test_isolation import NAMES as ISOLATION_NAMES
from tests.soak.kubectl_proxy import KubectlProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.cluster import DemoCluster

logger = logging.getLogger(__name__)

VICTIM, HOSTILE = f"{RELEASE}-tenant-victim", f"{RELEASE}-tenant-hostile"
pytestmark = [
    *(pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(420)),
    pytest.mark.watches(VICTIM, HOSTILE),
]

APP = ISOLATION_NAMES[0][1]
POLICIES = 5
"""Number of policies that the hostile tenant edits."""
EDIT_PAUSE_S = 0.02
"""Pause between two edits: at most 50 a second."""
MIN_EDITS_PER_S = 20.0
ROLL_PAUSE_S = 1.0
ANNOTATION_BYTES = 200 * 1024
MEASURED_S = 30.0
MAX_RATIO = 2.0
STEP_S = 2.0
"""Duration of a step of a roll, which may or may not be necessary, on a busy machine."""


class HostileTenant:
    """Edits policies and creates PodRolls by hand for pods that do not exist, in threads, until `stop`."""

    def __init__(self, cluster: DemoCluster) -> None:
        self._cluster = cluster
        self._stopping = threading.Event()
        self.edits = 0
        self._threads = [threading.Thread(target=self._edit), threading.Thread(target=self._create_rolls)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _edit(self) -> None:
        with KubectlProxy(self._cluster) as kube:
            while not self._stopping.wait(EDIT_PAUSE_S):
                self.edits += 1
                window = {"spec": {"growth": {"window": f"{60 + self.edits % 60}s"}}}
                kube.patch("memorypolicies", HOSTILE, f"app-{self.edits % POLICIES}", window)

    def _create_rolls(self) -> None:
        count, annotations = 0, {"example.com/text": "x" * ANNOTATION_BYTES}
        with KubectlProxy(self._cluster) as kube:
            while not self._stopping.wait(ROLL_PAUSE_S):
                count += 1
                roll = manual_roll(HOSTILE, f"hostile-{count}", f"no-such-pod-{count}")
                roll["metadata"]["annotations"] = annotations
                kube.create("podrolls", HOSTILE, roll)


def manual_roll(namespace: str, name: str, pod: str) -> dict[str, Any]:
    return {
        "apiVersion": "memroll.dev/v1alpha1",
        "kind": "PodRoll",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podName": pod},
    }


@pytest.fixture
def tenants(cluster: DemoCluster, operator: str) -> Iterator[None]:
    cluster.kubectl("delete", "namespace", VICTIM, HOSTILE, "--ignore-not-found")
    cluster.apply(objects.namespace(VICTIM), objects.namespace(HOSTILE))
    deployment = workload(ISOLATION_NAMES[0], cluster.service_image)
    deployment["metadata"]["namespace"] = VICTIM
    cluster.apply(deployment, objects.policy(VICTIM, APP))
    cluster.apply(*(objects.policy(HOSTILE, f"app-{number}") for number in range(POLICIES)))
    yield
    cluster.kubectl("delete", "namespace", VICTIM, HOSTILE, "--wait=false")


def count_reconciles(cluster: DemoCluster, operator: str) -> float:
    """Return the number of reconciles of the victim's policy."""
    (pod,) = [p for p in cluster.get("pods", operator) if p["metadata"]["name"].startswith(RELEASE)]
    path = f"/api/v1/namespaces/{operator}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
    text = cluster.kubectl("get", "--raw", path)
    return sum(map(float, re.findall(rf'memroll_reconcile_total{{namespace="{VICTIM}",.*}} (\S+)', text)))


def measure(cluster: DemoCluster, kube: KubectlProxy, operator: str, roll: str) -> tuple[float, float]:
    """Return the reconciles per second of the victim's policy, and the duration of a roll by hand in seconds."""
    before, begun_s = count_reconciles(cluster, operator), time.monotonic()
    (pod,) = wait_for("the victim's pod", lambda: ready(kube))
    kube.create("podrolls", VICTIM, manual_roll(VICTIM, roll, pod))

    def has_ended() -> bool:
        found = kube.get("podrolls", VICTIM, roll) or {}
        return found.get("status", {}).get("phase") in FINAL

    wait_for("the end of the roll", has_ended, timeout_s=120)
    roll_s = time.monotonic() - begun_s
    assert (kube.get("podrolls", VICTIM, roll) or {})["status"]["phase"] == "Succeeded"
    wait_for("the end of the measured time", lambda: time.monotonic() - begun_s >= MEASURED_S)
    return (count_reconciles(cluster, operator) - before) / (time.monotonic() - begun_s), roll_s


def ready(kube: KubectlProxy) -> list[str]:
    pods = [p for p in kube.list("pods", VICTIM) if "deletionTimestamp" not in p["metadata"]]
    conditions = ((p, c) for p in pods for c in p["status"].get("conditions", []))
    return [p["metadata"]["name"] for p, c in conditions if (c["type"], c["status"]) == ("Ready", "True")]


def test_a_hostile_tenant_delays_neither_reconciles_nor_rolls_of_others(cluster, kube, operator, tenants):
    wait_for("the first reconciles", lambda: count_reconciles(cluster, operator) >= 2)
    alone_per_s, alone_roll_s = measure(cluster, kube, operator, "alone")
    with HostileTenant(cluster) as hostile:
        wait_for("the edits", lambda: hostile.edits >= MIN_EDITS_PER_S)
        edits, begun_s = hostile.edits, time.monotonic()
        per_s, roll_s = measure(cluster, kube, operator, "beside")
        edits_per_s = (hostile.edits - edits) / (time.monotonic() - begun_s)
    found = f"{alone_per_s:.2f} and {per_s:.2f} reconciles per s, rolls of {alone_roll_s:.1f} and {roll_s:.1f} s"
    logger.info("%s, %.0f edits per s", found, edits_per_s)
    assert edits_per_s >= MIN_EDITS_PER_S, "the tenant is not hostile"
    assert alone_per_s <= MAX_RATIO * per_s, found
    assert roll_s <= MAX_RATIO * alone_roll_s + STEP_S, found
