"""Missing permissions: evidence is missing with a reason, and a restart is refused with a reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e import objects
from tests.e2e.admission_requests import refusal
from tests.e2e.images import OPERATOR
from tests.e2e.test_evidence import reasons, run_reporter
from tests.e2e.test_rolls import wait_ready
from tests.e2e.test_strategies import roll_by_hand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

RELEASE = "memroll-rights"
NAMESPACE = f"{RELEASE}-area"
EVIDENCE = {"http": {"port": 8080}, "timeout": "5s"}
ACCOUNT = f"system:serviceaccount:{RELEASE}:{RELEASE}"
CAN_READ_LOGS = ("auth", "can-i", "get", "pods", "--subresource=log", "-n", NAMESPACE, f"--as={ACCOUNT}")


@pytest.fixture
def image(cluster: DemoCluster) -> Iterator[str]:
    """Build the image for a separate release, whose permissions change; uninstall it at the end."""
    image = cluster.build_operator_image(OPERATOR)
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    cluster.apply(objects.namespace(NAMESPACE), objects.program(NAMESPACE))
    try:
        yield image
    finally:
        cluster.uninstall(RELEASE, RELEASE)
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found")


def revoke_log_permission(cluster: DemoCluster) -> None:
    """Remove the permission without memroll's settings, as an administrator does who edits the roles by hand."""
    role = json.loads(cluster.kubectl("get", "clusterrole", f"{RELEASE}-act", "-o", "json"))
    role["rules"] = [rule for rule in role["rules"] if "pods/log" not in rule["resources"]]
    cluster.kubectl("replace", "-f", "-", stdin=json.dumps(role))


def test_without_permissions_evidence_is_missing_and_a_restart_refused_with_the_reason(
    cluster, image, service_image, start_load
):
    cluster.install(RELEASE, RELEASE, image, [NAMESPACE])
    assert cluster.kubectl(*CAN_READ_LOGS) == "yes\n"
    revoke_log_permission(cluster)
    assert refusal(cluster.kubectl, *CAN_READ_LOGS).endswith("no\n")

    pod = run_reporter(cluster, NAMESPACE, service_image)
    roll = roll_by_hand(cluster, NAMESPACE, pod, evidence=EVIDENCE)
    evidence = roll["status"]["evidence"]
    assert roll["status"]["phase"] == "Succeeded"
    assert "forbidden" in reasons(evidence)["logs"]
    assert not evidence.get("logs")
    assert evidence["probe"]["growth"], "the permitted sections are captured"

    recreated, service, _ = objects.deployment(NAMESPACE, "recreated", service_image)
    recreated["spec"]["strategy"] = {"type": "Recreate"}
    cluster.apply(recreated, service)
    (pod_name,) = wait_ready(cluster, NAMESPACE, "recreated")
    load = start_load(NAMESPACE, "recreated")
    refused = roll_by_hand(cluster, NAMESPACE, pod_name)
    assert (refused["status"]["phase"], refused["status"]["reason"]) == ("Failed", "Refused")
    assert "strategy Recreate" in refused["status"]["message"]
    assert "set restart.enabled in the chart, or roll.strategy: Evict" in refused["status"]["message"]
    load.stop()
    assert load.failures == []

    disabled = ("--set", "evidence.logs.enabled=false,evidence.http.enabled=false")
    cluster.install(RELEASE, RELEASE, image, [NAMESPACE], *disabled)
    assert refusal(cluster.kubectl, *CAN_READ_LOGS).endswith("no\n")
    roll = roll_by_hand(cluster, NAMESPACE, roll["status"]["replacement"]["name"], evidence=EVIDENCE)
    evidence = roll["status"]["evidence"]
    assert roll["status"]["phase"] == "Succeeded"
    missing = reasons(evidence)
    assert "without the right to read logs" in missing["logs"]
    assert "installed without HTTP requests to pods" in missing["http"]
    assert not any(evidence.get(section) for section in ("logs", "probe"))
