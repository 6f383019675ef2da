"""What memroll was not given the right to: evidence is missing with its reason, a restart is refused with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e import objects
from tests.e2e.fencing import refusal
from tests.e2e.images import OPERATOR
from tests.e2e.test_evidence import reasons, run_reporter
from tests.e2e.test_rolls import wait_ready
from tests.e2e.test_strategies import roll_by_hand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.site import Site

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

RELEASE = "memroll-rights"
AREA = f"{RELEASE}-area"
ASKED = {"http": {"port": 8080}, "timeout": "5s"}
ACCOUNT = f"system:serviceaccount:{RELEASE}:{RELEASE}"
MAY_READ_LOGS = ("auth", "can-i", "get", "pods", "--subresource=log", "-n", AREA, f"--as={ACCOUNT}")


@pytest.fixture
def image(cluster: Site) -> Iterator[str]:
    """Make room for a release of its own, for its rights are changed."""
    image = cluster.operator_image(OPERATOR)
    cluster.kubectl("delete", "namespace", AREA, "--ignore-not-found")
    cluster.apply(objects.namespace(AREA), objects.program(AREA))
    try:
        yield image
    finally:
        cluster.uninstall(RELEASE, RELEASE)
        cluster.kubectl("delete", "namespace", AREA, "--wait=false", "--ignore-not-found")


def without_logs(cluster: Site) -> None:
    """Take the right away behind memroll's back, as an admin does who writes the roles by hand."""
    role = json.loads(cluster.kubectl("get", "clusterrole", f"{RELEASE}-act", "-o", "json"))
    role["rules"] = [rule for rule in role["rules"] if "pods/log" not in rule["resources"]]
    cluster.kubectl("replace", "-f", "-", stdin=json.dumps(role))


def test_what_memroll_has_no_right_to_is_left_out_or_refused_with_the_reason(cluster, image, service_image, load):
    cluster.install(RELEASE, RELEASE, image, [AREA])
    assert cluster.kubectl(*MAY_READ_LOGS) == "yes\n"
    without_logs(cluster)
    assert refusal(cluster.kubectl, *MAY_READ_LOGS).endswith("no\n")

    pod = run_reporter(cluster, AREA, service_image)
    roll = roll_by_hand(cluster, AREA, pod, evidence=ASKED)
    evidence = roll["status"]["evidence"]
    assert roll["status"]["phase"] == "Succeeded"
    assert "forbidden" in reasons(evidence)["logs"]
    assert not evidence.get("logs")
    assert evidence["probe"]["growth"], "what may be had is had all the same"

    recreated, service, _ = objects.deployment(AREA, "recreated", service_image)
    recreated["spec"]["strategy"] = {"type": "Recreate"}
    cluster.apply(recreated, service)
    (only,) = wait_ready(cluster, AREA, "recreated")
    traffic = load(AREA, "recreated")
    refused = roll_by_hand(cluster, AREA, only)
    assert (refused["status"]["phase"], refused["status"]["reason"]) == ("Failed", "Refused")
    assert "strategy Recreate" in refused["status"]["message"]
    assert "set restart.enabled in the chart, or roll.strategy: Evict" in refused["status"]["message"]
    traffic.stop()
    assert traffic.failures == []

    closed = ("--set", "evidence.logs.enabled=false,evidence.http.enabled=false")
    cluster.install(RELEASE, RELEASE, image, [AREA], *closed)
    assert refusal(cluster.kubectl, *MAY_READ_LOGS).endswith("no\n")
    roll = roll_by_hand(cluster, AREA, roll["status"]["replacement"]["name"], evidence=ASKED)
    evidence = roll["status"]["evidence"]
    assert roll["status"]["phase"] == "Succeeded"
    missing = reasons(evidence)
    assert "without the right to read logs" in missing["logs"]
    assert "installed to ask no pod" in missing["http"]
    assert not any(evidence.get(part) for part in ("logs", "probe"))
