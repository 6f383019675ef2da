"""What a step of a roll sees, what it may do, and what can be read from the two."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic.alias_generators import to_snake

from memroll.api.pod_roll import Replacement
from memroll.api.quantity import about
from memroll.model.permissions import EVERYTHING, Permits
from memroll.model.pods import DETACHED_VALUE, RELEASED_HASH

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import Detachment, Phase, PodRoll, RollStatus
    from memroll.model.pods import Target, Workload

RETRY_S = 600.0
"""How long after a failed roll a policy tries again, where none says (`roll.cooldown`)."""


class Act(StrEnum):
    CAPTURE = "capture"
    """Ask for evidence of the pod, and write it into the record. Changes nothing else."""
    RELEASE = "release"
    """Change the template hash of the pod: its ReplicaSet lets go of it and creates a replacement."""
    RESTORE = "restore"
    """Put back every label that was changed: the ReplicaSet adopts the pod again and deletes the newcomer."""
    OWN = "own"
    """Let the PodRoll own the pod: deleting the PodRoll then leaves no stray."""
    DETACH = "detach"
    """Change the labels by which Services select the pod: no new connection reaches it."""
    EVICT = "evict"
    RESTART = "restart"
    """Have the workload's own controller restart all of its pods."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What the cluster shows right before a step."""

    pod: Target | None
    """The pod that is rolled; None when no pod with its uid exists any more."""
    workload: Workload | None
    """None when neither its controller nor what owns that exists any more."""
    others: tuple[Target, ...] = ()
    """The pods of the whole workload, of all its revisions, the rolled one left out."""
    withdrawn: str = ""
    """Why the roll is not wanted any more (policy deleted, suspended, set to Observe), or empty."""
    permits: Permits = EVERYTHING
    forbidden: str = ""
    """Why this pod must not be rolled at all (it is protected, another roll has it), or empty."""
    retiring: str = ""
    """Why every roll is to be taken back (memroll is being uninstalled), or empty."""
    hash_selected_by: str = ""
    """What selects the pod by its template hash, in words; empty when nothing does, and once the pod is released."""
    detachment: Detachment | None = None
    """How the pod can be taken out of its Services; None when that was not asked."""
    in_flight: float | None = None
    """What the pod's in-flight metric says; None when it is not known."""
    retry_s: float = RETRY_S
    """How long after a failure the policy would try again, in seconds."""

    @property
    def ready_others(self) -> int:
        return sum(1 for p in self.others if p.ready and not p.deleting)


@dataclass(frozen=True, slots=True)
class Step:
    status: RollStatus
    acts: tuple[Act, ...] = ()


def moved(status: RollStatus, phase: Phase, now: datetime, message: str, **more: object) -> RollStatus:
    """Return the status in a new phase, with its time."""
    moment = "finished" if phase.final else to_snake(phase.value)
    times = status.times.model_copy(update={moment: now})
    return status.model_copy(update={"phase": phase, "times": times, "message": message[:1024], **more})


def saying(status: RollStatus, message: str, **more: object) -> RollStatus:
    return status.model_copy(update={"message": message[:1024], **more})


def is_released(pod: Target, status: RollStatus) -> bool:
    return status.release is not None and pod.labels.get(status.release.hash_label) == RELEASED_HASH


def is_detached(pod: Target, status: RollStatus) -> bool:
    known = status.detachment.labels if status.detachment else {}
    return bool(known) and all(pod.labels.get(key) == DETACHED_VALUE for key in known)


def is_relabelled(pod: Target, status: RollStatus) -> bool:
    """Whether a label of the pod is still changed."""
    return is_released(pod, status) or DETACHED_VALUE in pod.labels.values()


def is_replaced(status: RollStatus, seen: Observed) -> bool:
    """Whether the workload has as many ready pods as before, the old one not counted.

    Fewer are enough when the workload was scaled down meanwhile. All its revisions count: in a rollout that
    somebody starts in the middle of a roll, the replacement may be of the next one.
    """
    assert seen.workload is not None, "the caller checked"
    return seen.ready_others >= min(seen.workload.replicas, status.ready_before)


def is_wanted_back(seen: Observed) -> bool:
    """Whether the pod may be put back: a ReplicaSet that wants no pods deletes what it adopts.

    That is what is wanted of a workload that is scaled to zero, but not in the middle of a rollout.
    """
    return seen.workload is not None and seen.workload.wants_back


def newcomer(roll: PodRoll, seen: Observed) -> Target | None:
    """Return the youngest pod of the workload that was made since the roll was recorded, by the server's clock."""
    young = [p for p in seen.others if p.created_at >= roll.created_at and not p.deleting]
    return max(young, key=lambda p: (p.created_at, p.key.name), default=None)


def replacement(roll: PodRoll, seen: Observed) -> Replacement | None:
    pod = newcomer(roll, seen)
    return None if pod is None else Replacement(name=pod.key.name, uid=pod.key.uid)


def waiting_for(roll: PodRoll, seen: Observed) -> str:
    pod = newcomer(roll, seen)
    failure = seen.workload.failure if seen.workload else ""
    if pod is None:
        return f"no replacement exists yet ({failure})" if failure else "no replacement exists yet"
    if pod.ready:
        return "more pods must be Ready"
    why = f" ({pod.stuck})" if pod.stuck else ""
    return f"replacement {pod.key.name} is {pod.phase} and not Ready{why}"


def has_no_room(roll: PodRoll, seen: Observed) -> bool:
    """Whether the replacement fails for want of room, not because it is broken: the pod's own room would do."""
    pod = newcomer(roll, seen)
    if pod is not None:
        return pod.unschedulable
    return seen.workload is not None and "exceeded quota" in seen.workload.failure


def dies_before_retry(roll: PodRoll, seen: Observed, now: datetime) -> str:
    """Say so when the pod would reach its limit before the next try could be through, or return nothing."""
    finding = roll.spec.finding
    if finding is None or finding.time_to_limit_seconds is None:
        return ""
    left_s = finding.time_to_limit_seconds - (now - roll.created_at).total_seconds()
    if left_s > seen.retry_s + roll.spec.replacement_timeout_seconds:
        return ""
    return f"it has {about(max(0.0, left_s))} to its limit, and the next try would come too late"


def overdue(roll: PodRoll, since: datetime | None, now: datetime, times: int = 1) -> bool:
    return since is not None and (now - since).total_seconds() > times * roll.spec.replacement_timeout_seconds
