"""Eviction subresource, as pkg/registry/core/pod/storage/eviction.go of Kubernetes 1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contract.cluster.api_semantics import RefusedError
from tests.model.objects import Json, is_deleting, is_ready, labels_of, name_of, phase_of, selects, uid_of

if TYPE_CHECKING:
    from tests.model.api_server import ModelApiServer

VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."


def evict(server: ModelApiServer, namespace: str, name: str, body: Json, *, dry_run: bool = False) -> Json:
    """Evict a pod, or raise RefusedError; a dry run changes nothing."""
    pod = server.find("pods", namespace, name)
    options = body.get("deleteOptions", {})
    if phase_of(pod) in ("Pending", "Succeeded", "Failed") or is_deleting(pod):
        return _delete(server, pod, options, dry_run=dry_run)
    budgets = [b for b in server.list("poddisruptionbudgets", namespace) if _selects(b, pod)]
    if len(budgets) > 1:
        raise RefusedError(
            500,
            "",
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )
    if budgets and not _can_evict_unready(budgets[0], pod):
        _decrement(server, budgets[0], pod, dry_run=dry_run)
    return _delete(server, pod, options, dry_run=dry_run)


def _selects(budget: Json, pod: Json) -> bool:
    return selects(budget["spec"]["selector"], labels_of(pod))


def _can_evict_unready(budget: Json, pod: Json) -> bool:
    """Return whether an unready pod may be evicted because of unhealthyPodEvictionPolicy."""
    if is_ready(pod):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status", {})
    desired = int(status.get("desiredHealthy", 0))
    return desired > 0 and int(status.get("currentHealthy", 0)) >= desired


def _decrement(server: ModelApiServer, budget: Json, pod: Json, *, dry_run: bool) -> None:
    """Use one of the allowed disruptions; the disruption controller recounts after the deletion."""
    status = budget.get("status", {})
    if status.get("observedGeneration", 0) < budget["metadata"]["generation"]:
        message = f"The disruption budget {name_of(budget)} is still being processed by the server."
        raise RefusedError(429, "TooManyRequests", VIOLATES, causes=[_cause(message)], retryAfterSeconds=10)
    allowed = int(status.get("disruptionsAllowed", 0))
    if allowed == 0:
        raise RefusedError(429, "TooManyRequests", VIOLATES, causes=[_cause(_describe_budget(budget))])
    if dry_run:
        return
    disrupted = status.get("disruptedPods", {}) | {name_of(pod): server.timestamp()}
    server.set_status(
        "poddisruptionbudgets", budget, status | {"disruptionsAllowed": allowed - 1, "disruptedPods": disrupted}
    )


def _describe_budget(budget: Json) -> str:
    status, name = budget.get("status", {}), name_of(budget)
    desired, current = int(status.get("desiredHealthy", 0)), int(status.get("currentHealthy", 0))
    if current <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {current} currently"
    return f"The disruption budget {name} does not allow evicting pods currently"


def _cause(message: str) -> Json:
    return {"reason": "DisruptionBudget", "message": message}


def _delete(server: ModelApiServer, pod: Json, options: Json, *, dry_run: bool) -> Json:
    expected_uid = options.get("preconditions", {}).get("uid")
    if expected_uid and expected_uid != uid_of(pod):
        message = f"the UID in the precondition ({expected_uid}) does not match the UID in record ({uid_of(pod)})"
        raise RefusedError(409, "Conflict", message)
    if not dry_run:
        server.delete("pods", pod, "evict")
    return {"kind": "Status", "status": "Success"}
