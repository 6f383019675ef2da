"""A real HorizontalPodAutoscaler that scales in the middle of a roll, with a substitute for metrics-server."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from memroll import clock
from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.e2e.metrics_server import ANNOTATION, PORT
from tests.e2e.test_rolls import pods_of, wait_ready
from tests.e2e.test_strategies import outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(400), pytest.mark.area("autoscaled")]

METRICS = "metrics-server"
API_SERVICE = "v1beta1.metrics.k8s.io"
PROGRAM = Path(__file__).with_name("metrics_server.py").read_text(encoding="utf-8")
SETTLE_S = 45
"""Seconds for which the replacement must be Ready: three periods of the HorizontalPodAutoscaler."""


def self_signed() -> dict[str, str]:
    """Return a certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, METRICS)])
    now = clock.now()
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"tls.crt": certificate.decode(), "tls.key": text.decode()}


def metrics_server(namespace: str, image: str) -> list[dict[str, Any]]:
    """Return the substitute's Deployment and Service, its files, and its permission to list the namespace's pods."""
    meta = {"name": METRICS, "namespace": namespace}
    template = objects.pod_template(METRICS, image)
    (container,) = template["spec"]["containers"]
    container |= {
        "command": ["python3", "/srv/metrics_server.py"],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "program", "mountPath": "/srv"}, {"name": "tls", "mountPath": "/tls"}],
    }
    template["spec"]["volumes"] = [
        {"name": "program", "configMap": {"name": METRICS}},
        {"name": "tls", "secret": {"secretName": METRICS}},
    ]
    selector = {"app": METRICS}
    rbac, role = "rbac.authorization.k8s.io", {"kind": "Role", "name": METRICS}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"metrics_server.py": PROGRAM}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": self_signed()},
        {
            "apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta,
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
        },
        {
            "apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": meta, "roleRef": {"apiGroup": rbac, **role},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
        },
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
            "spec": {"selector": {"matchLabels": selector}, "template": template},
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": {"selector": selector, "ports": [{"port": 443, "targetPort": PORT}]},
        },
    ]  # fmt: skip


@contextmanager
def serve_metrics(cluster: DemoCluster, namespace: str, image: str) -> Iterator[None]:
    """Serve the metrics API. It is removed first: an aggregated API without a server blocks namespaces' deletion."""
    cluster.apply(*metrics_server(namespace, image))
    wait_ready(cluster, namespace, METRICS)
    spec = {
        "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "insecureSkipTLSVerify": True, "service": {"name": METRICS, "namespace": namespace},
    }  # fmt: skip
    kind = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService"}
    cluster.apply({**kind, "metadata": {"name": API_SERVICE}, "spec": spec})
    try:
        cluster.kubectl("wait", "--for=condition=Available", f"apiservice/{API_SERVICE}", "--timeout=60s")
        yield
    finally:
        cluster.kubectl("delete", "apiservice", API_SERVICE)


def autoscaler(namespace: str, name: str, average: str) -> dict[str, Any]:
    target = {"type": "AverageValue", "averageValue": average}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": {"name": "memory", "target": target}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }


def replicas(cluster: DemoCluster, namespace: str) -> int:
    return int(cluster.get("deployments", namespace, "chat")["spec"]["replicas"])


def names(cluster: DemoCluster, namespace: str) -> list[str]:
    return [p["metadata"]["name"] for p in pods_of(cluster, namespace, "chat")]


def has_metrics(cluster: DemoCluster, namespace: str) -> bool:
    text = cluster.kubectl("get", "hpa", "chat", "-n", namespace, "-o", "json")
    return bool(json.loads(text).get("status", {}).get("currentMetrics"))


def test_an_autoscaler_may_scale_while_a_pod_is_rolled_and_is_named_in_the_status(
    cluster, namespace, service_image, start_load
):
    """The released pod still counts for the average, so the autoscaler adds a replica for the time of the roll."""
    if not cluster.local:
        pytest.skip("replaces the metrics API of the cluster")
    workload, service, budget = objects.deployment(namespace, "chat", service_image)
    workload["spec"]["template"]["metadata"]["annotations"] = {ANNOTATION: "40Mi"}
    del workload["spec"]["replicas"]
    cluster.apply(workload, service, budget)
    (old,) = wait_ready(cluster, namespace, "chat")
    cluster.kubectl("annotate", "pod", old, "-n", namespace, "--overwrite", f"{ANNOTATION}=105Mi")
    with serve_metrics(cluster, namespace, service_image):
        cluster.apply(
            autoscaler(namespace, "chat", "110Mi"),
            objects.policy(namespace, "chat", mode="Observe", usageThreshold="5%"),
        )
        wait_for("the autoscaler's metrics", lambda: has_metrics(cluster, namespace), 90)
        named = wait_for(
            "the autoscaler in the status",
            lambda: (cluster.get("mempol", namespace, "chat").get("status") or {}).get("autoscalers"),
            90,
        )
        message = "scales by memory: a leak makes it add replicas"
        expected = {"name": "HorizontalPodAutoscaler/chat", "workload": "Deployment/chat", "message": message}
        assert named == [expected]
        assert replicas(cluster, namespace) == 1
        load = start_load(namespace, "chat")
        ended = roll_until_scaled(cluster, namespace, old)
        assert outcome(ended)[:2] == ("Succeeded", "Surge")
        wait_for("the end of the old pod", lambda: old not in names(cluster, namespace))
        wait_for("one replica again", lambda: replicas(cluster, namespace) == 1, 90)
        wait_ready(cluster, namespace, "chat")
        load.stop()
        assert load.failures == []
        assert load.served > 100


def roll_until_scaled(cluster: DemoCluster, namespace: str, old: str) -> dict[str, Any]:
    """Roll a pod, and require that the autoscaler adds a replica before the old pod is evicted; return the PodRoll."""
    meta = {"name": "watched", "namespace": namespace}
    spec = {"podName": old, "settleSeconds": SETTLE_S}
    cluster.apply({"apiVersion": "memroll.dev/v1alpha1", "kind": "PodRoll", "metadata": meta, "spec": spec})

    def find_roll(*phases: str) -> dict[str, Any] | None:
        found: dict[str, Any] = cluster.get("podroll", namespace, "watched")
        return found if found.get("status", {}).get("phase") in phases else None

    wait_for("a second replica", lambda: replicas(cluster, namespace) == 2, SETTLE_S + 30)
    assert find_roll("Replacing"), "the old pod is still there"
    ended = wait_for("the end of the roll", lambda: find_roll("Succeeded", "Failed", "Aborted"), 120)
    assert ended is not None
    return ended
