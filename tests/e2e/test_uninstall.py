"""An uninstall during a roll: the chart's Job rolls it back before anything is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.e2e.images import OPERATOR
from tests.e2e.test_rolls import wait_phase, wait_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

RELEASE = "memroll-uninstall"
NAMESPACE = f"{RELEASE}-area"


@pytest.fixture
def release(cluster: DemoCluster) -> Iterator[str]:
    """Install a separate release, which the test uninstalls; yield the operator's image."""
    image = cluster.build_operator_image(OPERATOR)
    cluster.kubectl("delete", "namespace", RELEASE, NAMESPACE, "--ignore-not-found")
    cluster.apply(objects.namespace(NAMESPACE), objects.program(NAMESPACE))
    try:
        cluster.install(RELEASE, RELEASE, image, [NAMESPACE])
        yield image
    finally:
        cluster.helm("uninstall", RELEASE, "-n", RELEASE, "--no-hooks", "--ignore-not-found")
        cluster.kubectl("delete", "namespace", RELEASE, NAMESPACE, "--wait=false", "--ignore-not-found")


def tampered_pod(image: str) -> dict[str, Any]:
    """Return a Pending pod as any tenant can create it: marked as released, with an unreadable recorded owner."""
    record = '{"controller":{"api_version":["x"],"kind":"ReplicaSet","name":"n"}}'
    annotations = {"memroll.dev/released-owner": record, "memroll.dev/released-from": "abc", "memroll.dev/roll": "gone"}
    template = objects.pod_template("tampered", image)
    meta = {"name": "tampered", "namespace": NAMESPACE, "annotations": annotations}
    labels = {"app": "tampered", "pod-template-hash": "memroll-released"}
    spec = template["spec"] | {"nodeSelector": {"no": "such-node"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta | {"labels": labels}, "spec": spec}


def test_an_uninstall_restores_a_detached_pod_and_leaves_no_obstacle(cluster, release, service_image):
    cluster.apply(*objects.deployment(NAMESPACE, "chat", service_image))
    (name,) = wait_ready(cluster, NAMESPACE, "chat")
    # Of two Ready pods the ReplicaSet could delete either.
    cluster.kubectl("annotate", "pod", name, "-n", NAMESPACE, "controller.kubernetes.io/pod-deletion-cost=1000")
    before = cluster.get("pod", NAMESPACE, name)["metadata"]
    cluster.apply(
        {
            "apiVersion": "memroll.dev/v1alpha1",
            "kind": "PodRoll",
            "metadata": {"name": "by-hand", "namespace": NAMESPACE},
            "spec": {"podName": name, "drain": {"mode": "Detach", "minDuration": "30m", "timeout": "1h"}},
        }
    )
    cluster.apply(tampered_pod(service_image))
    wait_phase(cluster, NAMESPACE, "Draining")
    wait_for(
        "a detached pod",
        lambda: cluster.get("pod", NAMESPACE, name)["metadata"]["labels"]["app"] == "memroll-detached",
    )

    cluster.helm("uninstall", RELEASE, "-n", RELEASE, "--wait")
    after = cluster.get("pod", NAMESPACE, name)["metadata"]
    for part in ("uid", "labels", "annotations"):
        assert after[part] == before[part]
    assert [o["kind"] for o in after["ownerReferences"]] == ["ReplicaSet"]
    annotations = cluster.get("pod", NAMESPACE, "tampered")["metadata"]["annotations"]
    assert not [key for key in annotations if key.startswith("memroll.dev/")], "restored like any other pod"
    (roll,) = cluster.rolls(NAMESPACE)
    assert (roll["status"]["phase"], roll["status"]["reason"]) == ("Aborted", "Uninstalled")
    assert cluster.get("deployments,jobs,services,roles", RELEASE) == []
    lease = cluster.get("lease", RELEASE, RELEASE)
    assert lease["spec"]["holderIdentity"].startswith("uninstalled:")

    # A new installation takes the Lease at once: `helm test` waits for a leader for less time than the Lease lasts.
    cluster.install(RELEASE, RELEASE, release, [NAMESPACE])
    cluster.helm("test", RELEASE, "-n", RELEASE)
