"""Revision of a pod, compared with the revision at which its controller would create it again. Pure.

`clients.kube.pod_revisions` builds a `PodRevisions` from a StatefulSet or DaemonSet; `Workload.rollout_of` compares a
pod with it. The pods of a Deployment need no comparison: their ReplicaSet creates them again at its own revision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class PodRevisions:
    """Revisions of the pods of one controller."""

    label: str
    """Label that contains the revision of a pod."""
    latest: str
    """Revision at which pods are created."""
    outdated_because: str
    """Reason why a pod may be at another revision than `latest`, as the beginning of a sentence."""
    min_ordinal: int = 0
    """Lowest ordinal of the pods that are created at `latest`: the partition of a StatefulSet."""
    former: str = ""
    """Revision at which the pods below `min_ordinal` are created."""
    held_back_because: str = ""
    """Reason why a pod below `min_ordinal` may be at another revision than `former`."""

    def describe(self, pod_name: str, labels: Mapping[str, str]) -> str:
        """Return why an eviction would change the revision of a pod, or an empty string."""
        held_back = -1 < _ordinal(pod_name) < self.min_ordinal
        expected = self.former if held_back else self.latest
        found = labels.get(self.label, "")
        if found == expected:
            return ""
        because = self.held_back_because if held_back else self.outdated_because
        return f"{because}: the pod is at revision {found or 'none'}, and evicting it would change that to {expected}"


def _ordinal(pod_name: str) -> int:
    """Return the ordinal at the end of the name of a StatefulSet's pod; -1 for other names."""
    digits = pod_name.rpartition("-")[2]
    return int(digits) if digits.isascii() and digits.isdigit() else -1
