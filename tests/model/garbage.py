"""The garbage collector and the namespace controller: what goes because something else has gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.objects import Json, is_deleting, name_of, owners_of

if TYPE_CHECKING:
    from tests.model.server import Server

OWNERS = {"Deployment": "deployments", "ReplicaSet": "replicasets", "PodRoll": "podrolls"}


def sync_all(server: Server) -> None:
    with server.acting("garbage-collector"):
        for plural in ("replicasets", "pods"):
            for obj in server.list(plural):
                _collect(server, plural, obj)
    with server.acting("namespace-controller"):
        for namespace in server.list("namespaces"):
            if is_deleting(namespace):
                _empty(server, namespace)


def _collect(server: Server, plural: str, obj: Json) -> None:
    """Delete what no living owner holds; drop single references to owners that are gone."""
    owners = owners_of(obj)
    solid = [o for o in owners if _lives(server, obj, o)]
    if len(solid) == len(owners) or is_deleting(obj):
        return
    if solid:
        server.update(plural, obj, {"metadata": {"ownerReferences": solid}})
    else:
        server.delete(plural, obj)


def _lives(server: Server, obj: Json, owner: Json) -> bool:
    found = server.get(OWNERS[owner["kind"]], obj["metadata"]["namespace"], owner["name"])
    return found is not None and found["metadata"]["uid"] == owner["uid"]


def _empty(server: Server, namespace: Json) -> None:
    name = name_of(namespace)
    for key in [k for k in sorted(server.objects) if k[1] == name]:
        server.delete(key[0], server.objects[key])
    if not any(k[1] == name for k in server.objects):
        server.remove("namespaces", namespace)
