"""Which namespace a person is in."""

from __future__ import annotations

from pathlib import Path

from kubernetes.aio.config import ConfigException, list_kube_config_contexts

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
