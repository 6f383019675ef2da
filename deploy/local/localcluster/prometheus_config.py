"""What Prometheus scrapes: the memory of every container from the kubelet, and the pods that ask for it."""

from localcluster import files
from localcluster.layout import NODE, Layout
from localcluster.pki import PROMETHEUS

INTERVAL = "5s"

ROLE: dict[str, object] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": PROMETHEUS},
    "rules": [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
    ],
}
BINDING: dict[str, object] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": PROMETHEUS},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": PROMETHEUS},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": PROMETHEUS}],
}


def write(layout: Layout) -> None:
    files.write_yaml(layout.config / "prometheus.yaml", render(layout))
    if not layout.scrape_targets.exists():
        # Prometheus watches the folder, which must be there when it starts.
        files.write_json(layout.scrape_targets, [])


def render(layout: Layout) -> dict[str, object]:
    return {
        "global": {"scrape_interval": INTERVAL, "scrape_timeout": "4s", "evaluation_interval": INTERVAL},
        "scrape_configs": [_cadvisor(layout), _pods(layout)],
    }


def _cadvisor(layout: Layout) -> dict[str, object]:
    return {
        "job_name": "cadvisor",
        "scheme": "https",
        "metrics_path": "/metrics/cadvisor",
        # The kubelet stamps samples with the time it read them, which makes a dead container look alive.
        "honor_timestamps": False,
        "tls_config": _tls(layout),
        "static_configs": [{"targets": [f"{layout.network.address}:{layout.ports.kubelet}"], "labels": {"node": NODE}}],
    }


def _pods(layout: Layout) -> dict[str, object]:
    return {"job_name": "pods", "file_sd_configs": [{"files": [str(layout.scrape_targets)]}]}


def _tls(layout: Layout) -> dict[str, object]:
    return {
        "ca_file": str(layout.pki / "ca.crt"),
        "cert_file": str(layout.pki / "prometheus.crt"),
        "key_file": str(layout.pki / "prometheus.key"),
    }
