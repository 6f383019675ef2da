"""Where a person's cluster is named, and which namespace they are in."""

from __future__ import annotations

import os
from pathlib import Path

from kubernetes.aio.config import ConfigException, list_kube_config_contexts
from kubernetes.aio.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION

OWN = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT = "default"


def current_namespace() -> str:
    """Return the pod's own namespace, else that of the kubeconfig's current context, as kubectl does."""
    if OWN.exists():
        return OWN.read_text(encoding="utf-8").strip()
    try:
        _, active = list_kube_config_contexts()
    except (ConfigException, OSError):
        return DEFAULT
    return str(active["context"].get("namespace") or DEFAULT)


def missing_kubeconfig(named: str | None) -> str:
    """Return where a kubeconfig was looked for in vain; nothing, if there is one. `named` may be several."""
    places = named or KUBE_CONFIG_DEFAULT_LOCATION
    if any(Path(place).expanduser().exists() for place in places.split(os.pathsep) if place):
        return ""
    return f"{places} does not exist: set KUBECONFIG to the file that names your cluster"
