"""Labels that a roll changes on its pod: whether they are changed now. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.model.pods import DETACHED_VALUE, RELEASED_HASH

if TYPE_CHECKING:
    from memroll.api.pod_roll import PodRollStatus
    from memroll.model.pods import Pod


def is_released(pod: Pod, status: PodRollStatus) -> bool:
    return status.release is not None and pod.labels.get(status.release.hash_label) == RELEASED_HASH


def is_detached(pod: Pod, status: PodRollStatus) -> bool:
    labels = status.detachment.labels if status.detachment else {}
    return bool(labels) and all(pod.labels.get(key) == DETACHED_VALUE for key in labels)


def has_changed_labels(pod: Pod, status: PodRollStatus) -> bool:
    """Return whether a label of the pod still has the value that memroll gave it."""
    return is_released(pod, status) or DETACHED_VALUE in pod.labels.values()
