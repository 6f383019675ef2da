"""The ReplicaSet controller, as pkg/controller/replicaset of Kubernetes 1.35 does it.

It claims its pods (adopts and releases), makes what is missing, and deletes what is too much.
"""

from __future__ import annotations

import math
from datetime import datetime
from functools import cmp_to_key
from typing import TYPE_CHECKING

from tests.contract.cluster.semantics import Refused
from tests.model.objects import (
    Json,
    condition_of,
    controller_uid,
    is_active,
    is_ready,
    labels_of,
    name_of,
    node_of,
    owners_of,
    phase_of,
    reference,
    restarts_of,
    selects,
    uid_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.model.server import Server

_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def sync_all(server: Server) -> None:
    with server.acting("replicaset-controller"):
        for replica_set in server.list("replicasets"):
            sync(server, replica_set)


def sync(server: Server, replica_set: Json) -> None:
    namespace = replica_set["metadata"]["namespace"]
    active = [p for p in server.list("pods", namespace) if is_active(p)]
    owned = [p for pod in active if (p := _claimed(server, replica_set, pod)) is not None]
    wanted = int(replica_set["spec"]["replicas"])
    failure = _create(server, replica_set, wanted - len(owned))
    for pod in to_delete(server, replica_set, owned, len(owned) - wanted):
        server.delete("pods", pod)
    _report(server, replica_set, owned, failure)


def _claimed(server: Server, replica_set: Json, pod: Json) -> Json | None:
    """Adopt a pod that matches and has no controller; release one that is owned and does not match any more."""
    matches = selects(replica_set["spec"]["selector"], labels_of(pod))
    owner = controller_uid(pod)
    if owner == uid_of(replica_set) and not matches:
        kept = [o for o in owners_of(pod) if o["uid"] != owner]
        server.update("pods", pod, {"metadata": {"ownerReferences": kept or None}})
        return None
    if not owner and matches:
        return server.update("pods", pod, {"metadata": {"ownerReferences": [*owners_of(pod), reference(replica_set)]}})
    return pod if owner == uid_of(replica_set) else None


def _create(server: Server, replica_set: Json, missing: int) -> str:
    """Make what is missing; return why the API server refuses it. It is tried again at the next look."""
    template = replica_set["spec"]["template"]
    meta = template["metadata"] | {
        "generateName": f"{name_of(replica_set)}-",
        "ownerReferences": [reference(replica_set)],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
    try:
        for _ in range(missing):
            server.create("pods", replica_set["metadata"]["namespace"], pod | {"status": {"phase": "Pending"}})
    except Refused as refused:
        return str(refused)
    return ""


def _report(server: Server, replica_set: Json, seen: Sequence[Json], failure: str) -> None:
    """Write the status from the pods as they were seen before anything was made or deleted."""
    ready = sum(map(is_ready, seen))
    status = {
        "replicas": len(seen),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "observedGeneration": replica_set["metadata"]["generation"],
    }
    if failure:
        failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": failure}
        status |= {"conditions": [failed]}
    server.set_status("replicasets", replica_set, status)


def to_delete(server: Server, replica_set: Json, owned: Sequence[Json], surplus: int) -> list[Json]:
    """Choose the pods that are too many: the earlier a pod is in its life, the sooner it goes."""
    if surplus <= 0:
        return []
    on_node: dict[str, int] = {}
    for pod in _related(server, replica_set):
        on_node[node_of(pod)] = on_node.get(node_of(pod), 0) + 1

    def compared(a: Json, b: Json) -> int:
        first = _rank(a, on_node), _rank(b, on_node)
        return (first[0] > first[1]) - (first[0] < first[1]) or _by_age(a, b, server.now)

    return sorted(owned, key=cmp_to_key(compared))[:surplus]


def _related(server: Server, replica_set: Json) -> list[Json]:
    """Return the active pods of every ReplicaSet of the same Deployment."""
    namespace, owner = replica_set["metadata"]["namespace"], controller_uid(replica_set)
    sets = [r for r in server.list("replicasets", namespace) if owner and controller_uid(r) == owner] or [replica_set]
    pods = [p for p in server.list("pods", namespace) if is_active(p)]
    return [p for p in pods if any(selects(r["spec"]["selector"], labels_of(p)) for r in sets)]


def _rank(pod: Json, on_node: dict[str, int]) -> tuple[bool, int, bool, int]:
    return bool(node_of(pod)), _PHASES.get(phase_of(pod), 1), is_ready(pod), -on_node.get(node_of(pod), 0)


def _by_age(a: Json, b: Json, now: datetime) -> int:
    """Compare the times in the logarithmic scale: of two pods of about one age, chance (the uid) decides."""
    if is_ready(a) and (found := _younger_first(a, b, _ready_since(a), _ready_since(b), now)):
        return found
    if restarts_of(a) != restarts_of(b):
        return restarts_of(b) - restarts_of(a)
    return _younger_first(a, b, a["metadata"]["creationTimestamp"], b["metadata"]["creationTimestamp"], now)


def _younger_first(a: Json, b: Json, since_a: str, since_b: str, now: datetime) -> int:
    if since_a == since_b:
        return 0
    return _log_age(since_a, now) - _log_age(since_b, now) or (-1 if uid_of(a) < uid_of(b) else 1)


def _log_age(since: str, now: datetime) -> int:
    age_ns = (now - datetime.fromisoformat(since)).total_seconds() * 1e9
    return int(math.log2(age_ns)) if age_ns > 0 else -1


def _ready_since(pod: Json) -> str:
    return str(condition_of(pod, "Ready").get("lastTransitionTime", ""))
