"""ReplicaSet controller, as pkg/controller/replicaset of Kubernetes 1.35.

It claims its pods (adopts and releases), creates missing pods, and deletes surplus ones.
"""

from __future__ import annotations

import math
from datetime import datetime
from functools import cmp_to_key
from typing import TYPE_CHECKING

from tests.contract.cluster.api_semantics import RefusedError
from tests.model.objects import (
    Json,
    annotations_of,
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

    from tests.model.api_server import ModelApiServer

_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def sync_all(server: ModelApiServer) -> None:
    with server.act_as("replicaset-controller"):
        for replica_set in server.list("replicasets"):
            sync(server, replica_set)


def sync(server: ModelApiServer, replica_set: Json) -> None:
    namespace = replica_set["metadata"]["namespace"]
    active = [p for p in server.list("pods", namespace) if is_active(p)]
    owned = [p for pod in active if (p := _claim(server, replica_set, pod)) is not None]
    desired = int(replica_set["spec"]["replicas"])
    failure = _create(server, replica_set, desired - len(owned))
    for pod in choose_surplus(server, replica_set, owned, len(owned) - desired):
        server.delete("pods", pod)
    _write_status(server, replica_set, owned, failure)


def _claim(server: ModelApiServer, replica_set: Json, pod: Json) -> Json | None:
    """Adopt a pod that matches and has no controller; release an owned pod that no longer matches."""
    matches = selects(replica_set["spec"]["selector"], labels_of(pod))
    owner = controller_uid(pod)
    if owner == uid_of(replica_set) and not matches:
        kept = [o for o in owners_of(pod) if o["uid"] != owner]
        server.update("pods", pod, {"metadata": {"ownerReferences": kept or None}})
        return None
    if not owner and matches:
        return server.update("pods", pod, {"metadata": {"ownerReferences": [*owners_of(pod), reference(replica_set)]}})
    return pod if owner == uid_of(replica_set) else None


def _create(server: ModelApiServer, replica_set: Json, missing: int) -> str:
    """Create missing pods; return the API server's error, if any. The next synchronization tries again."""
    template = replica_set["spec"]["template"]
    meta = template["metadata"] | {
        "generateName": f"{name_of(replica_set)}-",
        "ownerReferences": [reference(replica_set)],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
    try:
        for _ in range(missing):
            server.create("pods", replica_set["metadata"]["namespace"], pod | {"status": {"phase": "Pending"}})
    except RefusedError as error:
        return str(error)
    return ""


def _write_status(server: ModelApiServer, replica_set: Json, observed: Sequence[Json], failure: str) -> None:
    """Write the status from the pods as observed before the creations and deletions."""
    ready = sum(map(is_ready, observed))
    status = {
        "replicas": len(observed),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "observedGeneration": replica_set["metadata"]["generation"],
    }
    if failure:
        failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": failure}
        status |= {"conditions": [failed]}
    server.set_status("replicasets", replica_set, status)


def choose_surplus(server: ModelApiServer, replica_set: Json, owned: Sequence[Json], surplus: int) -> list[Json]:
    """Return the surplus pods to delete: those in the earliest stage of their life first."""
    if surplus <= 0:
        return []
    on_node: dict[str, int] = {}
    for pod in _related(server, replica_set):
        on_node[node_of(pod)] = on_node.get(node_of(pod), 0) + 1

    def compare(a: Json, b: Json) -> int:
        first = _rank(a, on_node), _rank(b, on_node)
        return (first[0] > first[1]) - (first[0] < first[1]) or _by_age(a, b, server.now)

    return sorted(owned, key=cmp_to_key(compare))[:surplus]


def _related(server: ModelApiServer, replica_set: Json) -> list[Json]:
    """Return the active pods of every ReplicaSet of the same Deployment."""
    namespace, owner = replica_set["metadata"]["namespace"], controller_uid(replica_set)
    sets = [r for r in server.list("replicasets", namespace) if owner and controller_uid(r) == owner] or [replica_set]
    pods = [p for p in server.list("pods", namespace) if is_active(p)]
    return [p for p in pods if any(selects(r["spec"]["selector"], labels_of(p)) for r in sets)]


def _rank(pod: Json, on_node: dict[str, int]) -> tuple[bool, int, bool, int, int]:
    cost = int(annotations_of(pod).get("controller.kubernetes.io/pod-deletion-cost", "0"))
    return bool(node_of(pod)), _PHASES.get(phase_of(pod), 1), is_ready(pod), cost, -on_node.get(node_of(pod), 0)


def _by_age(a: Json, b: Json, now: datetime) -> int:
    """Compare ages on a logarithmic scale: of two pods of about the same age, the uid decides."""
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
