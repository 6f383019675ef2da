"""Objects of tests with a HorizontalPodAutoscaler: the autoscaler, and a substitute for metrics-server."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from memroll import clock
from tests.e2e import objects
from tests.e2e.metrics_server import PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.cluster import DemoCluster

METRICS = "metrics-server"
API_SERVICE = "v1beta1.metrics.k8s.io"
PROGRAM = Path(__file__).with_name("metrics_server.py").read_text(encoding="utf-8")


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
    cluster.kubectl("rollout", "status", f"deployment/{METRICS}", "-n", namespace, "--timeout=120s")
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
