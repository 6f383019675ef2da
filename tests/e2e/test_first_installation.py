"""A first installation: install the chart, apply a policy of three lines, check the installation, explain a pod."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e import objects
from tests.e2e.images import OPERATOR
from tests.e2e.test_rolls import wait_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(300)]

RELEASE = "memroll-first"
NAMESPACE = f"{RELEASE}-area"
LIMIT_S = 60.0
POLICY = f"""
apiVersion: memroll.dev/v1alpha1
kind: MemoryPolicy
metadata: {{name: chat, namespace: {NAMESPACE}}}
spec:
  mode: Observe
  selector: {{matchLabels: {{app: chat}}}}
"""


@pytest.fixture
def service(cluster: DemoCluster, service_image: str) -> Iterator[str]:
    """Run a service that exists before memroll; yield the name of its pod. Everything is removed at the end."""
    cluster.kubectl("delete", "namespace", RELEASE, NAMESPACE, "--ignore-not-found")
    cluster.build_operator_image(OPERATOR)
    cluster.apply(objects.namespace(NAMESPACE), objects.program(NAMESPACE))
    cluster.apply(*objects.deployment(NAMESPACE, "chat", service_image))
    try:
        (pod,) = wait_ready(cluster, NAMESPACE, "chat")
        yield pod
    finally:
        cluster.helm("uninstall", RELEASE, "-n", RELEASE, "--ignore-not-found")
        cluster.kubectl("delete", "namespace", RELEASE, NAMESPACE, "--wait=false", "--ignore-not-found")


def memroll(cluster: DemoCluster, *arguments: str) -> str:
    """Run a command of memroll with the cluster's kubeconfig; it must end with 0."""
    environment = os.environ | {"KUBECONFIG": cluster.kubeconfig}
    command = [sys.executable, "-m", "memroll", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"memroll {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_a_first_installation_has_an_explanation_within_a_minute(cluster, service):
    prometheus = ("--prometheus", cluster.prometheus_url)
    started = time.monotonic()
    cluster.install(RELEASE, RELEASE, os.environ.get("MEMROLL_IMAGE", OPERATOR), [NAMESPACE])
    cluster.kubectl("apply", "-f", "-", stdin=POLICY)
    cluster.kubectl("wait", "--for=condition=Ready", "mempol/chat", "-n", NAMESPACE, "--timeout=60s")
    checks = memroll(cluster, "check", "--operator-namespace", RELEASE, "-n", NAMESPACE, *prometheus)
    explanation = memroll(cluster, "explain", service, "-n", NAMESPACE, *prometheus)
    seconds = time.monotonic() - started

    assert "failed" not in checks
    assert service in explanation
    assert "ObserveOnly" in explanation
    assert seconds < LIMIT_S, f"took {seconds:.0f} s"
