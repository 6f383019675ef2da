"""Configuration of Prometheus: it scrapes the kubelet's cAdvisor and the annotated pods."""

from localcluster import files
from localcluster.paths import NODE, ClusterPaths
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


def write(paths: ClusterPaths) -> None:
    files.write_yaml(paths.config / "prometheus.yaml", render(paths))
    if not paths.scrape_targets.exists():
        # Prometheus watches the folder, which must exist when it starts.
        files.write_json(paths.scrape_targets, [])


def render(paths: ClusterPaths) -> dict[str, object]:
    return {
        "global": {"scrape_interval": INTERVAL, "scrape_timeout": "4s", "evaluation_interval": INTERVAL},
        "scrape_configs": [_cadvisor(paths), _pods(paths)],
    }


def _cadvisor(paths: ClusterPaths) -> dict[str, object]:
    return {
        "job_name": "cadvisor",
        "scheme": "https",
        "metrics_path": "/metrics/cadvisor",
        # The kubelet's timestamps are those of its own reading, which makes a dead container look alive.
        "honor_timestamps": False,
        "tls_config": _tls(paths),
        "static_configs": [{"targets": [f"{paths.network.address}:{paths.ports.kubelet}"], "labels": {"node": NODE}}],
    }


def _pods(paths: ClusterPaths) -> dict[str, object]:
    targets = [{"files": [str(paths.scrape_targets)]}]
    # The label `namespace` of a metric of memroll is that of its policy, as with the chart's ServiceMonitor.
    return {"job_name": "pods", "honor_labels": True, "file_sd_configs": targets}


def _tls(paths: ClusterPaths) -> dict[str, object]:
    return {
        "ca_file": str(paths.pki / "ca.crt"),
        "cert_file": str(paths.pki / "prometheus.crt"),
        "key_file": str(paths.pki / "prometheus.key"),
    }
