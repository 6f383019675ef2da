"""The disruption controller, as pkg/controller/disruption of Kubernetes 1.35 counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tests.model.deployments import replicas_of, scaled
from tests.model.objects import Json, controller_uid, is_deleting, is_ready, labels_of, name_of, selects, uid_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.model.server import Server

DELETION = timedelta(minutes=2)
"""How long an evicted pod that is not deleted counts as disrupted."""


def sync_all(server: Server) -> None:
    with server.acting("disruption-controller"):
        for budget in server.list("poddisruptionbudgets"):
            _sync(server, budget)


def _sync(server: Server, budget: Json) -> None:
    namespace = budget["metadata"]["namespace"]
    pods = [p for p in server.list("pods", namespace) if selects(budget["spec"]["selector"], labels_of(p))]
    expected, desired = _expected(server, budget, pods)
    disrupted = _disrupted(server, budget, pods)
    healthy = sum(1 for p in pods if is_ready(p) and not is_deleting(p) and name_of(p) not in disrupted)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    status = {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "disruptionsAllowed": allowed,
        "disruptedPods": disrupted,
        "observedGeneration": budget["metadata"]["generation"],
    }
    server.set_status("poddisruptionbudgets", budget, status)


def _expected(server: Server, budget: Json, pods: Sequence[Json]) -> tuple[int, int]:
    """Return how many pods there should be, and how many must be healthy.

    A plain number counts every pod that matches; a share counts what their controllers want, and pods without one
    not at all.
    """
    spec = budget["spec"]
    if "maxUnavailable" in spec:
        expected = _scale(server, pods)
        return expected, max(0, expected - scaled(spec["maxUnavailable"], expected, up=True))
    if isinstance(spec["minAvailable"], int):
        return len(pods), spec["minAvailable"]
    expected = _scale(server, pods)
    return expected, scaled(spec["minAvailable"], expected, up=True)


def _scale(server: Server, pods: Sequence[Json]) -> int:
    """Add up what the controllers of the pods want; for pods of a Deployment's ReplicaSets, the Deployment."""
    sets = {uid_of(r): r for r in server.list("replicasets")}
    tops = {uid_of(d): d for d in server.list("deployments")}
    found: dict[str, int] = {}
    for pod in pods:
        replica_set = sets.get(controller_uid(pod))
        if replica_set is not None:
            top = tops.get(controller_uid(replica_set), replica_set)
            found[uid_of(top)] = replicas_of(top)
    return sum(found.values())


def _disrupted(server: Server, budget: Json, pods: Sequence[Json]) -> dict[str, str]:
    """Keep the evicted pods that are still to be deleted."""
    known: dict[str, str] = budget.get("status", {}).get("disruptedPods", {})
    waiting = {name_of(p) for p in pods if not is_deleting(p)}
    return {
        name: at
        for name, at in known.items()
        if name in waiting and datetime.fromisoformat(at) + DELETION >= server.now
    }
