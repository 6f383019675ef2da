"""Which revision of which workload a pod is of, by what the pod or its PodRoll says. Pure, and nothing is looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.model.pods import HASH_ANNOTATION, RELEASED_HASH

if TYPE_CHECKING:
    from memroll.api.pod_roll import PodRoll
    from memroll.model.pods import Target

REVISION_LABELS = {
    "pod-template-hash": "Deployment",
    "rollouts-pod-template-hash": "Rollout",
    "controller-revision-hash": "",
}
"""The labels that tell a pod's revision, with the kind that stands above the ReplicaSet that sets them."""


def revision_of(target: Target) -> str:
    """Return the template hash of a pod, or the name of its revision; empty where its controller has none."""
    found = next((value for label in REVISION_LABELS if (value := target.labels.get(label))), "")
    return target.annotations.get(HASH_ANNOTATION, "") if found == RELEASED_HASH else found


def revision_of_roll(roll: PodRoll) -> str | None:
    """Return the revision of the pod that was rolled; None where the record doesn't tell, empty where there is none."""
    status = roll.status
    if status.release is not None:
        return status.release.template_hash
    kind = status.workload.kind if status.workload else ""
    if kind == "ReplicaSet":
        return ""
    if kind and kind in REVISION_LABELS.values() and status.controller and status.controller.kind == "ReplicaSet":
        return status.controller.name.rpartition("-")[2]
    return None


def workload_of(target: Target) -> str:
    """Name what a person would call the pod's workload, such as `Deployment/chat`, by what the pod itself says."""
    ref = target.controller
    if ref is None:
        return f"Pod/{target.key.name}"
    for label, kind in REVISION_LABELS.items():
        base, _, suffix = ref.name.rpartition("-")
        if ref.kind == "ReplicaSet" and kind and base and suffix == target.labels.get(label):
            return f"{kind}/{base}"
    return str(ref)
