"""Revision of a pod, read from the pod or its PodRoll alone. Pure: nothing is looked up in the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.model.pod_names import OWNER_KINDS
from memroll.model.pods import HASH_ANNOTATION, HASH_LABELS, RELEASED_HASH

if TYPE_CHECKING:
    from memroll.api.pod_roll import PodRoll
    from memroll.model.pods import Pod

REVISION_LABELS = (*HASH_LABELS, "controller-revision-hash")
"""Labels that identify a pod's revision; the last one is that of StatefulSets and DaemonSets."""


def revision_of(pod: Pod) -> str:
    """Return the template hash of a pod, or the name of its revision; empty if its controller sets none."""
    revision = next((value for label in REVISION_LABELS if (value := pod.labels.get(label))), "")
    return pod.annotations.get(HASH_ANNOTATION, "") if revision == RELEASED_HASH else revision


def revision_of_roll(roll: PodRoll) -> str | None:
    """Return the revision of the rolled pod; None if the record does not contain it, empty if the pod had none."""
    status = roll.status
    if status.release is not None:
        return status.release.template_hash
    kind = status.workload.kind if status.workload else ""
    if kind == "ReplicaSet":
        return ""
    if kind and kind in OWNER_KINDS.values() and status.controller and status.controller.kind == "ReplicaSet":
        return status.controller.name.rpartition("-")[2]
    return None
