"""An uninstall in the middle of a roll: the chart's Job takes it back before anything is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.site import wait_for
from tests.e2e import objects
from tests.e2e.images import OPERATOR
from tests.e2e.test_rolls import wait_phase, wait_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.site import Site

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

RELEASE = "memroll-uninstall"
AREA = f"{RELEASE}-area"


@pytest.fixture
def installed(cluster: Site) -> Iterator[None]:
    """Install a release of its own, for it does not outlive the test."""
    image = cluster.operator_image(OPERATOR)
    cluster.kubectl("delete", "namespace", RELEASE, AREA, "--ignore-not-found")
    cluster.apply(objects.namespace(AREA), objects.program(AREA))
    try:
        cluster.install(RELEASE, RELEASE, image, [AREA])
        yield
    finally:
        cluster.helm("uninstall", RELEASE, "-n", RELEASE, "--no-hooks", "--ignore-not-found")
        cluster.kubectl("delete", "namespace", RELEASE, AREA, "--wait=false", "--ignore-not-found")


def tampered(image: str) -> dict[str, Any]:
    """Return a Pending pod as any tenant can make it: it says that it was released, by an owner that can't be read."""
    note = '{"controller":{"api_version":["x"],"kind":"ReplicaSet","name":"n"}}'
    marks = {"memroll.dev/released-owner": note, "memroll.dev/released-from": "abc", "memroll.dev/roll": "gone"}
    template = objects.pod_template("tampered", image)
    meta = {"name": "tampered", "namespace": AREA, "annotations": marks}
    labels = {"app": "tampered", "pod-template-hash": "memroll-released"}
    spec = template["spec"] | {"nodeSelector": {"no": "such-node"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta | {"labels": labels}, "spec": spec}


def test_an_uninstall_puts_a_detached_pod_back_and_leaves_nothing_behind(cluster, installed, service_image):
    cluster.apply(*objects.deployment(AREA, "chat", service_image))
    (name,) = wait_ready(cluster, AREA, "chat")
    # Of two Ready pods the ReplicaSet would keep either.
    cluster.kubectl("annotate", "pod", name, "-n", AREA, "controller.kubernetes.io/pod-deletion-cost=1000")
    before = cluster.get("pod", AREA, name)["metadata"]
    cluster.apply(
        {
            "apiVersion": "memroll.dev/v1alpha1",
            "kind": "PodRoll",
            "metadata": {"name": "by-hand", "namespace": AREA},
            "spec": {"podName": name, "drain": {"mode": "Detach", "wait": "30m", "timeout": "1h"}},
        }
    )
    cluster.apply(tampered(service_image))
    wait_phase(cluster, AREA, "Draining")
    wait_for(
        "a detached pod", lambda: cluster.get("pod", AREA, name)["metadata"]["labels"]["app"] == "memroll-detached"
    )

    cluster.helm("uninstall", RELEASE, "-n", RELEASE, "--wait")
    after = cluster.get("pod", AREA, name)["metadata"]
    for part in ("uid", "labels", "annotations"):
        assert after[part] == before[part]
    assert [o["kind"] for o in after["ownerReferences"]] == ["ReplicaSet"]
    marks = cluster.get("pod", AREA, "tampered")["metadata"]["annotations"]
    assert not [key for key in marks if key.startswith("memroll.dev/")], "it was put back like any other"
    (roll,) = cluster.rolls(AREA)
    assert (roll["status"]["phase"], roll["status"]["reason"]) == ("Aborted", "Retired")
    assert cluster.get("deployments,jobs,services,roles", RELEASE) == []
