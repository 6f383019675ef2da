"""One kubeconfig per client of the API server, each with its certificate inside, so the file works anywhere."""

import base64
from pathlib import Path

import yaml

from localcluster import files
from localcluster.layout import NODE, Layout

CLIENTS = ("controller-manager", "kubelet", "proxy", "scheduler")


def write_all(layout: Layout) -> None:
    for client in CLIENTS:
        files.write(path(layout, client), render(layout.api_server, layout.pki, client), 0o600)
    files.write(layout.kubeconfig, render(layout.api_server, layout.pki, "admin"), 0o600)


def path(layout: Layout, client: str) -> Path:
    return layout.config / f"{client}.kubeconfig"


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
