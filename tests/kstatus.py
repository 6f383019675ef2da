"""The rules of kstatus (sigs.k8s.io/cli-utils/pkg/kstatus) for custom resources, written out for tests.

Argo CD, Flux, Helm and kpt wait by these rules, or by ones like them.
"""

from __future__ import annotations

from typing import Any

TERMINATING, IN_PROGRESS, FAILED, CURRENT = "Terminating", "InProgress", "Failed", "Current"


def kstatus(raw: dict[str, Any]) -> str:
    """Return the status of an object: its generic conditions count before `Ready`, and no condition means Current."""
    meta, status = raw["metadata"], raw.get("status") or {}
    if meta.get("deletionTimestamp"):
        return TERMINATING
    if "observedGeneration" in status and status["observedGeneration"] != meta.get("generation", 1):
        return IN_PROGRESS
    conditions = status.get("conditions", [])
    for condition in conditions:
        if condition["type"] == "Reconciling" and condition["status"] == "True":
            return IN_PROGRESS
        if condition["type"] == "Stalled" and condition["status"] == "True":
            return FAILED
    for condition in conditions:
        if condition["type"] == "Ready":
            return CURRENT if condition["status"] == "True" else IN_PROGRESS
    return CURRENT


def is_reconciled(raw: dict[str, Any]) -> bool:
    """Return whether the reconcile of the current spec has ended, with whichever result."""
    status = raw.get("status") or {}
    if status.get("observedGeneration") != raw["metadata"].get("generation", 1):
        return False
    return not any(c["type"] == "Reconciling" and c["status"] == "True" for c in status.get("conditions", []))


def is_met(raw: dict[str, Any], condition: str) -> bool:
    """Return whether `kubectl wait --for=condition=...` ends: a condition of an older generation does not count."""
    status = raw.get("status") or {}
    found = next((c for c in status.get("conditions", []) if c["type"] == condition), None)
    if found is None:
        return False
    observed = found.get("observedGeneration", status.get("observedGeneration"))
    is_current = observed is None or observed >= raw["metadata"].get("generation", 1)
    return is_current and found["status"] == "True"
