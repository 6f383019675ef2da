"""The eviction subresource, as pkg/registry/core/pod/storage/eviction.go of Kubernetes 1.35 decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contract.cluster.semantics import Refused
from tests.model.objects import Json, is_deleting, is_ready, labels_of, name_of, phase_of, selects, uid_of

if TYPE_CHECKING:
    from tests.model.server import Server

VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."


def evict(server: Server, namespace: str, name: str, body: Json, *, dry: bool = False) -> Json:
    """Evict a pod, or refuse; a dry run only answers."""
    pod = server.find("pods", namespace, name)
    options = body.get("deleteOptions", {})
    if phase_of(pod) in ("Pending", "Succeeded", "Failed") or is_deleting(pod):
        return _delete(server, pod, options, dry=dry)
    budgets = [b for b in server.list("poddisruptionbudgets", namespace) if _covers(b, pod)]
    if len(budgets) > 1:
        raise Refused(
            500,
            "",
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )
    if budgets and not _may_go_unready(budgets[0], pod):
        _decrement(server, budgets[0], pod, dry=dry)
    return _delete(server, pod, options, dry=dry)


def _covers(budget: Json, pod: Json) -> bool:
    return selects(budget["spec"]["selector"], labels_of(pod))


def _may_go_unready(budget: Json, pod: Json) -> bool:
    """Whether an unready pod may go because the budget is met without it (unhealthyPodEvictionPolicy)."""
    if is_ready(pod):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status", {})
    desired = int(status.get("desiredHealthy", 0))
    return desired > 0 and int(status.get("currentHealthy", 0)) >= desired


def _decrement(server: Server, budget: Json, pod: Json, *, dry: bool) -> None:
    """Take one of the allowed disruptions; the budget's controller counts anew when it has seen the deletion."""
    status = budget.get("status", {})
    if status.get("observedGeneration", 0) < budget["metadata"]["generation"]:
        said = f"The disruption budget {name_of(budget)} is still being processed by the server."
        raise Refused(429, "TooManyRequests", VIOLATES, causes=[_cause(said)], retryAfterSeconds=10)
    allowed = int(status.get("disruptionsAllowed", 0))
    if allowed == 0:
        raise Refused(429, "TooManyRequests", VIOLATES, causes=[_cause(_why(budget))])
    if dry:
        return
    disrupted = status.get("disruptedPods", {}) | {name_of(pod): server.stamp()}
    server.set_status(
        "poddisruptionbudgets", budget, status | {"disruptionsAllowed": allowed - 1, "disruptedPods": disrupted}
    )


def _why(budget: Json) -> str:
    status, name = budget.get("status", {}), name_of(budget)
    desired, current = int(status.get("desiredHealthy", 0)), int(status.get("currentHealthy", 0))
    if current <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {current} currently"
    return f"The disruption budget {name} does not allow evicting pods currently"


def _cause(message: str) -> Json:
    return {"reason": "DisruptionBudget", "message": message}


def _delete(server: Server, pod: Json, options: Json, *, dry: bool) -> Json:
    wanted = options.get("preconditions", {}).get("uid")
    if wanted and wanted != uid_of(pod):
        said = f"the UID in the precondition ({wanted}) does not match the UID in record ({uid_of(pod)})"
        raise Refused(409, "Conflict", said)
    if not dry:
        server.delete("pods", pod, "evict")
    return {"kind": "Status", "status": "Success"}
