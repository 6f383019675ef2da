"""Scan of the real cluster: Prometheus is found by its Service, read through the API server, and a leak is named.

The Prometheus of the local cluster runs outside of it, and the API server's proxy reaches pods only. A pod with the
labels of Prometheus' chart passes the queries on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.e2e.test_rolls import SLOW_LEAK, wait_ready

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

FORWARDER = """
import http.server, os, urllib.error, urllib.request

class Forwarder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
        headers = {"Content-Type": self.headers.get("Content-Type", "")}
        try:
            answer = urllib.request.urlopen(urllib.request.Request(os.environ["TARGET"] + self.path, body, headers))
        except urllib.error.HTTPError as error:
            answer = error
        data = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST

http.server.ThreadingHTTPServer(("", 9090), Forwarder).serve_forever()
"""


def prometheus_service(namespace: str, image: str, target: str) -> list[dict[str, Any]]:
    """Return a pod that passes queries on to Prometheus, and a Service with the labels of its chart."""
    labels = {"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/component": "server"}
    pod = objects.pod_template("prometheus", image)
    (container,) = pod["spec"]["containers"]
    container |= {"command": ["python3", "-c", FORWARDER], "env": [{"name": "TARGET", "value": target}]}
    container["readinessProbe"] = {"httpGet": {"path": "/-/healthy", "port": 9090}, "periodSeconds": 1}
    meta = {"name": "prometheus-server", "namespace": namespace, "labels": labels}
    ports = [{"name": "http", "port": 80, "targetPort": 9090}]
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta | {"labels": {"app": "prometheus"}}, "spec": pod["spec"]},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": {"app": "prometheus"}, "ports": ports},
        },
    ]


def scan(cluster: DemoCluster, *arguments: str) -> dict[str, Any]:
    """Run the command with the cluster's kubeconfig and nothing else, and return its document."""
    environment = os.environ | {"KUBECONFIG": cluster.kubeconfig}
    command = [sys.executable, "-m", "memroll", "scan", "-o", "json", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout}{done.stderr}"
    assert "using Prometheus, Service" in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.area("scanned", watched=False)
def test_a_scan_finds_prometheus_and_names_the_leak(cluster, namespace, service_image, tmp_path):
    cluster.apply(*prometheus_service(namespace, service_image, cluster.prometheus_url))
    cluster.apply(*objects.deployment(namespace, "leaky", service_image, **SLOW_LEAK))
    cluster.apply(*objects.deployment(namespace, "calm", service_image))
    wait_ready(cluster, namespace, "leaky")
    wait_ready(cluster, namespace, "prometheus")
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump(objects.policy(namespace, "leaky", exhaustion={"leadTime": "2m"})))
    written = tmp_path / "policies"
    arguments = ("-n", namespace, "--policy", str(policy), "--since", "1h", "--write-policies", str(written))

    found = wait_for(
        "the leak in the scan",
        lambda: (f := scan(cluster, *arguments)) and any(n["atRisk"] for n in f["findings"]) and f,
        timeout_s=180,
    )
    (leak,) = [n for n in found["findings"] if n["atRisk"]]
    assert (leak["workload"], leak["container"]) == ("Deployment/leaky", "app")
    assert leak["verdict"] in ("Leaking", "Exhausting")
    assert leak["growthBytesPerSecond"] > 0
    assert leak["history"]["replayed"] >= 1
    assert found["pods"] == 3

    (file,) = written.iterdir()
    cluster.kubectl("apply", "-f", str(file))
    applied = cluster.get("mempol", namespace, "leaky")
    assert applied["spec"]["mode"] == "Observe"
    assert applied["spec"]["targetRef"]["name"] == "leaky"
