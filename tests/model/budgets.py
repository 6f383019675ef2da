"""Disruption controller, which counts as pkg/controller/disruption of Kubernetes 1.35 does."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tests.model.deployments import replicas_of, resolve_count
from tests.model.objects import Json, controller_uid, is_deleting, is_ready, labels_of, name_of, selects, uid_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.model.api_server import ModelApiServer

DELETION_TIMEOUT = timedelta(minutes=2)
"""Time after which an evicted pod that is not deleted no longer counts as disrupted."""


def sync_all(server: ModelApiServer) -> None:
    with server.act_as("disruption-controller"):
        for budget in server.list("poddisruptionbudgets"):
            _sync(server, budget)


def _sync(server: ModelApiServer, budget: Json) -> None:
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


def _expected(server: ModelApiServer, budget: Json, pods: Sequence[Json]) -> tuple[int, int]:
    """Return the expected number of pods, and the desired number of healthy ones.

    A plain number counts every pod that matches; a percentage counts the replicas of their controllers, and no pod
    without a controller.
    """
    spec = budget["spec"]
    if "maxUnavailable" in spec:
        expected = _desired_replicas(server, pods)
        return expected, max(0, expected - resolve_count(spec["maxUnavailable"], expected, up=True))
    if isinstance(spec["minAvailable"], int):
        return len(pods), spec["minAvailable"]
    expected = _desired_replicas(server, pods)
    return expected, resolve_count(spec["minAvailable"], expected, up=True)


def _desired_replicas(server: ModelApiServer, pods: Sequence[Json]) -> int:
    """Return the sum of the replicas of the pods' controllers, or of their Deployments."""
    sets = {uid_of(r): r for r in server.list("replicasets")}
    deployments = {uid_of(d): d for d in server.list("deployments")}
    replicas: dict[str, int] = {}
    for pod in pods:
        replica_set = sets.get(controller_uid(pod))
        if replica_set is not None:
            controller = deployments.get(controller_uid(replica_set), replica_set)
            replicas[uid_of(controller)] = replicas_of(controller)
    return sum(replicas.values())


def _disrupted(server: ModelApiServer, budget: Json, pods: Sequence[Json]) -> dict[str, str]:
    """Return the evicted pods that are not deleted yet."""
    recorded: dict[str, str] = budget.get("status", {}).get("disruptedPods", {})
    waiting = {name_of(p) for p in pods if not is_deleting(p)}
    return {
        name: evicted_at
        for name, evicted_at in recorded.items()
        if name in waiting and datetime.fromisoformat(evicted_at) + DELETION_TIMEOUT >= server.now
    }
