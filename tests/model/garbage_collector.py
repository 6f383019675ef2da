"""Garbage collector and namespace controller: they delete objects because others were deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.objects import Json, is_deleting, name_of, owners_of

if TYPE_CHECKING:
    from tests.model.api_server import ModelApiServer

OWNERS = {"Deployment": "deployments", "ReplicaSet": "replicasets", "PodRoll": "podrolls"}


def sync_all(server: ModelApiServer) -> None:
    with server.act_as("garbage-collector"):
        for plural in ("replicasets", "pods"):
            for obj in server.list(plural):
                _collect(server, plural, obj)
    with server.act_as("namespace-controller"):
        for namespace in server.list("namespaces"):
            if is_deleting(namespace):
                _delete_contents(server, namespace)


def _collect(server: ModelApiServer, plural: str, obj: Json) -> None:
    """Delete an object without an existing owner; remove references to owners that do not exist."""
    owners = owners_of(obj)
    existing = [o for o in owners if _exists(server, obj, o)]
    if len(existing) == len(owners) or is_deleting(obj):
        return
    if existing:
        server.update(plural, obj, {"metadata": {"ownerReferences": existing}})
    else:
        server.delete(plural, obj)


def _exists(server: ModelApiServer, obj: Json, owner: Json) -> bool:
    found = server.get(OWNERS[owner["kind"]], obj["metadata"]["namespace"], owner["name"])
    return found is not None and found["metadata"]["uid"] == owner["uid"]


def _delete_contents(server: ModelApiServer, namespace: Json) -> None:
    name = name_of(namespace)
    for key in [k for k in sorted(server.objects) if k[1] == name]:
        server.delete(key[0], server.objects[key])
    if not any(k[1] == name for k in server.objects):
        server.remove("namespaces", namespace)
