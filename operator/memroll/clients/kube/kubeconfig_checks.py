"""Defects of a kubeconfig, found before the library reads it: its own messages name neither the file nor the remedy.

`connection` raises the first defect as an error. A message has no content of the file but names.
"""

from __future__ import annotations

import shutil
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from memroll.clients.kube.json_access import get_dict, get_dicts, get_str
from memroll.clients.kube.kubeconfig import kubeconfig_paths
from memroll.yaml_files import YamlFileError, read_document

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_FILE_BYTES = 16 * 2**20
"""Maximum size of a kubeconfig, in bytes; chosen by hand: a cluster with its certificates has about 5 KiB."""


def find_defect(kubeconfig: str | None, context: str | None) -> str:
    """Return the first defect of a kubeconfig that exists, with the file; an empty text without one."""
    contents: list[dict[str, Any]] = []
    files = [path for path in kubeconfig_paths(kubeconfig) if path.exists()]
    for path in files:
        try:
            content = read_document(path, MAX_FILE_BYTES)
        except YamlFileError as error:
            return str(error)
        if not isinstance(content, dict):
            return f"{path}: {'empty' if content is None else 'not a kubeconfig'}, must have clusters and contexts"
        contents.append(content)
    defect = _of_context(contents, context)
    return f"{', '.join(map(str, files))}: {defect}" if defect else ""


def _of_context(contents: Sequence[dict[str, Any]], context: str | None) -> str:
    name = context or next((found for c in contents if (found := get_str(c, "current-context"))), "")
    if not name:
        return "no current-context: choose one with --context, or 'kubectl config use-context NAME'"
    contexts = _named(contents, "contexts")
    if name not in contexts:
        return f"no context {name!r}{_similar(name, contexts)}"
    chosen = get_dict(contexts[name], "context")
    cluster, user = get_str(chosen, "cluster"), get_str(chosen, "user")
    clusters, users = _named(contents, "clusters"), _named(contents, "users")
    if cluster not in clusters:
        return f"context {name!r} has the cluster {cluster!r}, which is not in the file"
    if defect := _of_server(cluster, get_dict(clusters[cluster], "cluster").get("server")):
        return defect
    if user and user not in users:
        return f"context {name!r} has the user {user!r}, which is not in the file"
    return _of_plugin(users.get(user, {}))


def _named(contents: Sequence[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    """Return the entries of a list by their names; those of the first file count."""
    entries = [entry for content in reversed(contents) for entry in reversed(list(get_dicts(content, key)))]
    return {get_str(entry, "name"): entry for entry in entries}


def _similar(name: str, known: dict[str, dict[str, Any]]) -> str:
    similar = get_close_matches(name, known, 1)
    if similar:
        return f". Did you mean {similar[0]!r}?"
    return f"; there are: {', '.join(sorted(known))}" if known else "; there are none"


def _of_server(cluster: str, server: object) -> str:
    """Return the defect of a server's address. No message contains the address, which may hold a password."""
    try:
        parts = urlsplit(server) if isinstance(server, str) else None
        is_url = parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, is_url = None, False
    if not is_url:
        return f"the server of cluster {cluster!r} must be a URL such as https://example.com:6443"
    if parts is not None and "@" in parts.netloc:
        return f"the server of cluster {cluster!r} must not hold a user or password: they belong to the user"
    return ""


def _of_plugin(user: dict[str, Any]) -> str:
    """Return the defect of a credential plugin that is not installed, with the hint of its author."""
    command = get_str(user, "user", "exec", "command")
    if not command or shutil.which(command):
        return ""
    hint = " ".join(get_str(user, "user", "exec", "installHint").split())
    return f"the credential plugin {command} is not installed{f': {hint}' if hint else ''}"
