"""Controllers of a workload's pods: by these, not by labels, a pod belongs to the workload that a `targetRef` names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.model.annotations import RecordedOwners
from memroll.model.pods import OWNER_ANNOTATION

if TYPE_CHECKING:
    from memroll.model.pods import Pod


@dataclass(frozen=True, slots=True)
class TargetControllers:
    """Controllers of the pods of one workload."""

    selector: str
    """Label selector of its pods, as a query string; pods of other workloads may match it as well."""
    uids: frozenset[str]
    """UID of the workload itself, or those of the ReplicaSets of all its revisions."""


def controller_uid_of(pod: Pod) -> str:
    """Return the uid of a pod's controller, or of its former one while a roll has released the pod."""
    controller = pod.controller
    if controller is None and pod.released:
        controller = RecordedOwners.from_annotation(pod.annotations.get(OWNER_ANNOTATION, "")).controller
    return controller.uid if controller else ""
