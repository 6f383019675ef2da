"""The chart in a namespace that enforces the Pod Security Standard `restricted`, with a uid as OpenShift assigns it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e import objects
from tests.e2e.images import OPERATOR
from tests.pod_security import RESTRICTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

RELEASE = "memroll-restricted"
NAMESPACE = f"{RELEASE}-area"
UID = 1000650000
"""A uid from the range of a namespace of OpenShift, which is in no file of the image; its group is 0."""
WAIT_FOR_SIGTERM = "import signal as s; s.pthread_sigmask(s.SIG_BLOCK, [s.SIGTERM]); s.sigwait([s.SIGTERM])"


def pod(name: str, image: str) -> dict[str, object]:
    """Return a pod as people write it, without a security context."""
    spec = {"containers": [{"name": "app", "image": image, "command": ["python3", "-c", "pass"]}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": RELEASE}, "spec": spec}


def side_car(image: str) -> dict[str, object]:
    """Return a container that stands for a signing proxy."""
    resources = {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "16Mi"}
    return {
        "name": "proxy",
        "image": image,
        "command": ["python3", "-c", WAIT_FOR_SIGTERM],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": RESTRICTED | {"runAsUser": UID},
    }


@pytest.fixture
def release(cluster: DemoCluster) -> Iterator[str]:
    """Create the namespace that enforces the standard, and remove everything at the end; yield the operator's image."""
    image = cluster.build_operator_image(OPERATOR)
    cluster.kubectl("delete", "namespace", RELEASE, NAMESPACE, "--ignore-not-found")
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    namespace = objects.namespace(RELEASE)
    namespace["metadata"]["labels"] = labels
    cluster.apply(namespace, objects.namespace(NAMESPACE))
    try:
        yield image
    finally:
        cluster.helm("uninstall", RELEASE, "-n", RELEASE, "--no-hooks", "--ignore-not-found")
        cluster.kubectl("delete", "namespace", RELEASE, NAMESPACE, "--wait=false", "--ignore-not-found")


def test_operator_helm_test_and_uninstall_meet_the_enforced_standard(cluster, release, service_image):
    assert 'violates PodSecurity "restricted:latest"' in cluster.refusal(pod("other", service_image))

    assigned = f"podSecurityContext.runAsUser={UID},podSecurityContext.runAsGroup=0,podSecurityContext.fsGroup={UID}"
    proxies = f"extraContainers={json.dumps([side_car(service_image)])}"
    cluster.install(RELEASE, RELEASE, release, [NAMESPACE], "--set", assigned, "--set-json", proxies)
    (operator,) = cluster.get("pods", RELEASE)
    assert [c["name"] for c in operator["status"]["containerStatuses"] if c["ready"]] == ["operator", "proxy"]
    assert operator["spec"]["securityContext"]["runAsUser"] == UID

    # Both pods of the test are admitted and end, although a side-car runs next to one of them.
    cluster.helm("test", RELEASE, "-n", RELEASE)
    # So is the pod of the Job; if it were refused, the uninstall would fail.
    cluster.helm("uninstall", RELEASE, "-n", RELEASE, "--wait")
    assert cluster.get("leases", RELEASE, RELEASE)["spec"]["holderIdentity"].startswith("uninstalled:")
