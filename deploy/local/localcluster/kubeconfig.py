"""Writes a kubeconfig for each client of the API server. The certificate is embedded, so the file can be copied."""

import base64
from pathlib import Path

import yaml

from localcluster import files
from localcluster.paths import NODE, ClusterPaths

CLIENTS = ("controller-manager", "kubelet", "proxy", "scheduler")


def write_all(paths: ClusterPaths) -> None:
    for client in CLIENTS:
        files.write(path(paths, client), render(paths.api_server, paths.pki, client), 0o600)
    files.write(paths.kubeconfig, render(paths.api_server, paths.pki, "admin"), 0o600)


def path(paths: ClusterPaths, client: str) -> Path:
    return paths.config / f"{client}.kubeconfig"


def render(server: str, pki: Path, client: str) -> str:
    cluster = {"server": server, "certificate-authority-data": _encoded(pki / "ca.crt")}
    user = {
        "client-certificate-data": _encoded(pki / f"{client}.crt"),
        "client-key-data": _encoded(pki / f"{client}.key"),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NODE, "cluster": cluster}],
        "users": [{"name": client, "user": user}],
        "contexts": [{"name": NODE, "context": {"cluster": NODE, "user": client}}],
        "current-context": NODE,
    }
    return yaml.safe_dump(document, sort_keys=False)


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
