"""Default kubeconfig and namespace for commands that a person runs."""

from __future__ import annotations

import os
from pathlib import Path

from kubernetes.aio.config import ConfigException, list_kube_config_contexts
from kubernetes.aio.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION

POD_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_NAMESPACE = "default"


def current_namespace() -> str:
    """Return the pod's own namespace, else that of the kubeconfig's current context, as kubectl does."""
    if POD_NAMESPACE_FILE.exists():
        return POD_NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    try:
        _, active = list_kube_config_contexts()
    except (ConfigException, OSError):
        return DEFAULT_NAMESPACE
    return str(active["context"].get("namespace") or DEFAULT_NAMESPACE)


def missing_kubeconfig(paths: str | None) -> str:
    """Return a message with the remedy if no kubeconfig exists, else an empty string.

    `paths` may hold several, separated as in `KUBECONFIG`; None means the default ones.
    """
    paths = paths or KUBE_CONFIG_DEFAULT_LOCATION
    if any(Path(path).expanduser().exists() for path in paths.split(os.pathsep) if path):
        return ""
    return f"{paths} does not exist: set KUBECONFIG to the file that names your cluster"
