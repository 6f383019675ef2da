"""ReplicaSets of Deployments whose rollout is complete, for a few seconds: they need not be listed at each step.

`workloads` reads the Deployment each time, and lists its ReplicaSets only if they may have changed. A Deployment's
controller creates and scales ReplicaSets only for a new generation of the Deployment, so those of a complete rollout
are the same while the generation is. A new revision, a new number of replicas, a pause and an undo all change it.
Argo Rollouts scales ReplicaSets without one: those are listed each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll import clock
from memroll.clients.kube.json_access import get_dict, get_int, get_str

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.clients.kube.api_client import Json
    from memroll.model.pods import Workload

MAX_AGE_S = 10.0
"""Maximum age in seconds of a remembered list. Chosen by hand: a fast roll, and the time in which a failure to create
pods, or a ReplicaSet that somebody has deleted, is seen late."""
MAX_OWNERS = 100
"""Maximum number of Deployments whose ReplicaSets are remembered, 2 KiB for each ReplicaSet; chosen by hand."""


@dataclass(slots=True)
class RecentReplicaSets:
    """Lists of ReplicaSets by the uid of their Deployment."""

    elapsed_s: Callable[[], float] = clock.elapsed_s
    _known: dict[str, tuple[float, int, list[Json]]] = field(default_factory=dict)

    def has(self, owner_uid: str) -> bool:
        """Return whether a list of this owner may be used, so that its generation must be compared."""
        listed_s, _, _ = self._known.get(owner_uid, (float("-inf"), 0, []))
        return self.elapsed_s() - listed_s <= MAX_AGE_S

    def get(self, owner: Json | None) -> list[Json] | None:
        """Return the ReplicaSets of an owner as it is now; None if they must be listed."""
        uid = get_str(owner, "metadata", "uid")
        if not self.has(uid) or self._known[uid][1] != get_int(owner, "metadata", "generation"):
            return None
        return self._known[uid][2]

    def put(self, owner: Json | None, replica_sets: list[Json], listed_s: float, workload: Workload) -> None:
        """Remember a list that was made after its owner was read, if nothing about it is in progress."""
        uid, generation = get_str(owner, "metadata", "uid"), get_int(owner, "metadata", "generation")
        self._known.pop(uid, None)
        is_complete = not (workload.owner_rollout_in_progress or workload.replica_failure or workload.paused)
        if workload.owner.kind != "Deployment" or not generation or not is_complete:
            return
        while len(self._known) >= MAX_OWNERS:
            del self._known[next(iter(self._known))]
        self._known[uid] = listed_s, generation, [_without_pod_spec(rs) for rs in replica_sets]


def _without_pod_spec(raw: Json) -> Json:
    template = {key: value for key, value in get_dict(raw, "spec", "template").items() if key != "spec"}
    return {**raw, "spec": {**get_dict(raw, "spec"), "template": template}}
