"""Default kubeconfig and namespace for commands that a person runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from memroll.clients.kube.json_access import get_dicts, get_str
from memroll.yaml_files import YamlFileError, read_document

POD_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_NAMESPACE = "default"
HOME_KUBECONFIG = "~/.kube/config"
"""Kubeconfig if `KUBECONFIG` is not set, or blank."""


def current_namespace(kubeconfig: str | None = None, context: str | None = None) -> str:
    """Return the pod's own namespace, else that of the kubeconfig's context, as kubectl does.

    That of an unusable kubeconfig is the default one: connecting with it raises the error. The library's reader of
    contexts is not used, because it requires a valid current context even if another one is chosen.
    """
    if kubeconfig is None and context is None and POD_NAMESPACE_FILE.exists():
        return POD_NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    contents = [content for path in kubeconfig_paths(kubeconfig) if (content := _read(path))]
    name = context or next((found for c in contents if (found := get_str(c, "current-context"))), "")
    contexts = (entry for content in contents for entry in get_dicts(content, "contexts"))
    chosen = next((entry for entry in contexts if get_str(entry, "name") == name), {})
    return get_str(chosen, "context", "namespace") or DEFAULT_NAMESPACE


def context_names(kubeconfig: str | None = None) -> list[str]:
    """Return the names of the contexts of a kubeconfig, as far as it can be read."""
    entries = [entry for path in kubeconfig_paths(kubeconfig) for entry in get_dicts(_read(path), "contexts")]
    return [name for entry in entries if (name := get_str(entry, "name"))]


def default_kubeconfig() -> str:
    """Return the files that `KUBECONFIG` names, else the one in the home folder, as kubectl does."""
    named = os.environ.get("KUBECONFIG", "")
    return named if named.strip(os.pathsep + " ") else HOME_KUBECONFIG


def kubeconfig_paths(kubeconfig: str | None) -> list[Path]:
    """Return the files of a kubeconfig, which `KUBECONFIG` may have several of."""
    paths = kubeconfig or default_kubeconfig()
    return [Path(path).expanduser() for path in paths.split(os.pathsep) if path]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = read_document(path)
    except YamlFileError:
        return {}
    return content if isinstance(content, dict) else {}


def missing_kubeconfig(paths: str | None) -> str:
    """Return a message with the remedy if no kubeconfig exists, else an empty string.

    `paths` may hold several, separated as in `KUBECONFIG`; None means the default ones.
    """
    if any(path.exists() for path in kubeconfig_paths(paths)):
        return ""
    return f"{paths or default_kubeconfig()} does not exist: set KUBECONFIG to the file that names your cluster"
