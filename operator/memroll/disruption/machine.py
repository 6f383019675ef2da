"""The state machine of a PodRoll: what is recorded and what is observed give the next record and the next act.

    Announced ── Surge ──> Replacing ──> Evicting ──> Verifying ──> Succeeded
        └─────── Evict ──────────────────┘

Pure. The caller writes the returned status *before* it carries out the acts (write-ahead), one step at a
time. Every act can be done twice, and every step starts from what the cluster shows, so a process that is
killed between the two repeats an act that is already done, and nothing else.

Rolling back is a step like any other: the record first says why (`reason`, one of `ROLLED_BACK`), the label
is put back, and only when the pod is seen to be back does the roll end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from memroll.api.base import WorkloadRef
from memroll.api.policy import Strategy
from memroll.api.roll import ControllerRef, Phase, PhaseTimes, Release, Replacement, RollStatus
from memroll.disruption.strategy import EVERYTHING, Permits, Refusal, choose
from memroll.disruption.target import RELEASED_HASH

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.roll import PodRoll
    from memroll.disruption.target import Target, Workload

HELD_BY_PDB = "HeldByBudget"
"""While Evicting: a PodDisruptionBudget does not allow it now."""
VETOED = "Vetoed"
TIMED_OUT = "ReplacementNotReady"
BLOCKED = "EvictionBlocked"
MISCONFIGURED = "EvictionRefused"
ROLLED_BACK = {
    VETOED: Phase.ABORTED,
    TIMED_OUT: Phase.FAILED,
    BLOCKED: Phase.FAILED,
    MISCONFIGURED: Phase.FAILED,
}
"""Reasons for which a roll is taken back, and how it ends then."""


class Act(StrEnum):
    RELEASE = "release"
    """Change the template hash of the pod: its ReplicaSet lets go of it and creates a replacement."""
    RESTORE = "restore"
    """Put the template hash back: the ReplicaSet adopts the pod again and deletes the newcomer."""
    OWN = "own"
    """Let the PodRoll own the pod: deleting the PodRoll then leaves no stray."""
    EVICT = "evict"


@dataclass(frozen=True, slots=True)
class Observed:
    """What the cluster shows right before a step."""

    pod: Target | None
    """The pod that is rolled; None when no pod with its uid exists any more."""
    workload: Workload | None
    """None when its controller does not exist any more."""
    others: tuple[Target, ...] = ()
    """The pods that the controller owns, the rolled one left out."""
    withdrawn: str = ""
    """Why the roll is not wanted any more (policy deleted, suspended, set to Observe), or empty."""

    permits: Permits = EVERYTHING

    @property
    def ready_others(self) -> int:
        return sum(1 for p in self.others if p.ready and not p.deleting)


@dataclass(frozen=True, slots=True)
class Step:
    status: RollStatus
    acts: tuple[Act, ...] = ()


def next_step(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    """Return the next record and acts of an active roll; the same record and no act means: wait."""
    status = roll.status
    match status.phase:
        case None:
            return _announce(roll, seen, now)
        case Phase.ANNOUNCED:
            return _begin(roll, seen, now)
        case Phase.REPLACING:
            return _replacing(roll, seen, now)
        case Phase.EVICTING:
            return _evicting(roll, seen, now)
        case Phase.VERIFYING:
            return _verifying(roll, seen, now)
        case Phase.SUCCEEDED | Phase.FAILED | Phase.ABORTED:
            return Step(status)


def moved(status: RollStatus, phase: Phase, now: datetime, message: str, **more: object) -> RollStatus:
    """Return the status in a new phase, with its time."""
    moment = "finished" if phase.final else phase.value.lower()
    times = status.times.model_copy(update={moment: now})
    return status.model_copy(update={"phase": phase, "times": times, "message": message[:1024], **more})


def _announce(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    """Resolve who and how. Nothing is touched; what can't be rolled ends here with its reason."""
    status = RollStatus(times=PhaseTimes(), pod_uid=roll.pod_uid)
    pod, workload = seen.pod, seen.workload
    if pod is None:
        return Step(moved(status, Phase.ABORTED, now, f"no pod {roll.spec.pod_name}", reason="PodGone"))
    choice = choose(roll.spec.strategy, pod, workload, seen.permits)
    if isinstance(choice, Refusal) or workload is None:
        why = choice.reason
        return Step(moved(status, Phase.FAILED, now, why, reason="Refused"))
    owner = workload.controller
    return Step(
        moved(
            status,
            Phase.ANNOUNCED,
            now,
            f"{choice.strategy}: {choice.reason}",
            reason="Announced",
            pod_uid=pod.key.uid,
            strategy=choice.strategy,
            strategy_reason=choice.reason,
            workload=WorkloadRef(api_version=workload.top.api_version, kind=workload.top.kind, name=workload.top.name),
            workload_uid=workload.top.uid,
            controller=ControllerRef(api_version=owner.api_version, kind=owner.kind, name=owner.name, uid=owner.uid),
            ready_before=seen.ready_others + int(pod.ready),
        )
    )


def _begin(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    """Check once more against the fresh state, then make the first change."""
    status, pod, workload = roll.status, seen.pod, seen.workload
    if roll.spec.veto:
        return Step(moved(status, Phase.ABORTED, now, "vetoed before anything was changed", reason=VETOED))
    if pod is None or pod.deleting:
        return Step(moved(status, Phase.ABORTED, now, "the pod left by itself", reason="PodGone"))
    if seen.withdrawn:
        return Step(moved(status, Phase.ABORTED, now, seen.withdrawn, reason="Withdrawn"))
    if workload is None or workload.mid_rollout:
        why = workload.mid_rollout if workload else "the workload is gone"
        return Step(moved(status, Phase.ABORTED, now, why, reason="WorkloadChanging"))
    if status.strategy is Strategy.EVICT:
        return Step(moved(status, Phase.EVICTING, now, "evicting the pod", reason="Evicting"), (Act.EVICT,))
    release = Release(hash_label=workload.hash_label, template_hash=pod.labels.get(workload.hash_label, ""))
    released = moved(status, Phase.REPLACING, now, "waiting for the replacement", reason="Releasing", release=release)
    return Step(released, (Act.RELEASE,))


def _replacing(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    status, pod = roll.status, seen.pod
    if pod is None:
        return _gone(status, now)
    if status.reason in ROLLED_BACK:
        return _rolling_back(roll, pod, now)
    if roll.spec.veto:
        return _roll_back(status, VETOED, "vetoed: putting the pod back")
    if not is_released(pod, status):
        return Step(status, (Act.RELEASE,))
    if seen.workload is None:
        gone = moved(status, Phase.EVICTING, now, "the workload is gone: removing its pod", reason="WorkloadGone")
        return Step(gone, (Act.OWN, Act.EVICT))
    if is_replaced(status, seen):
        name = _newcomer(roll, seen)
        ready = f"replacement {name.name if name else ''} is Ready: evicting the old pod"
        return Step(
            moved(status, Phase.EVICTING, now, ready, reason="Evicting", replacement=name), (Act.OWN, Act.EVICT)
        )
    if _overdue(roll, status.times.replacing, now):
        return _roll_back(status, TIMED_OUT, f"{_waiting_for(roll, seen)} in time: putting the pod back")
    return Step(_saying(status, f"waiting: {_waiting_for(roll, seen)}", replacement=_newcomer(roll, seen)))


def _evicting(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    status, pod = roll.status, seen.pod
    if pod is None:
        return _gone(status, now)
    if status.reason in ROLLED_BACK:
        return _rolling_back(roll, pod, now)
    if pod.deleting:
        return Step(_saying(status, "the old pod is terminating"))
    if roll.spec.veto:
        return _roll_back(status, VETOED, "vetoed: putting the pod back")
    if status.release and seen.workload and not is_replaced(status, seen):
        waiting = "the replacement is not Ready any more: the old pod stays"
        if _overdue(roll, status.times.evicting, now):
            return _roll_back(status, TIMED_OUT, f"{waiting}, putting it back")
        return Step(_saying(status, waiting))
    if _overdue(roll, status.times.evicting, now):
        return _roll_back(status, BLOCKED, f"not evicted in time ({status.message}): the pod stays")
    acts = (Act.OWN, Act.EVICT) if status.release else (Act.EVICT,)
    return Step(status, acts)


def _gone(status: RollStatus, now: datetime) -> Step:
    return Step(moved(status, Phase.VERIFYING, now, "the old pod is gone", reason="Verifying"))


def _verifying(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    status = roll.status
    newcomer = _newcomer(roll, seen)
    if seen.workload is None:
        return Step(moved(status, Phase.SUCCEEDED, now, "the old pod and its workload are gone", reason="WorkloadGone"))
    if is_replaced(status, seen):
        message = f"replaced by {newcomer.name}" if newcomer else "the workload has its ready pods"
        return Step(moved(status, Phase.SUCCEEDED, now, message, reason="Rolled", replacement=newcomer))
    if _overdue(roll, status.times.verifying, now):
        message = f"the old pod is gone, but {_waiting_for(roll, seen)}"
        return Step(moved(status, Phase.FAILED, now, message, reason=TIMED_OUT, replacement=newcomer))
    return Step(_saying(status, f"the old pod is gone; {_waiting_for(roll, seen)}", replacement=newcomer))


def _roll_back(status: RollStatus, reason: str, message: str) -> Step:
    return Step(_saying(status, message, reason=reason), (Act.RESTORE,) if status.release else ())


def _rolling_back(roll: PodRoll, pod: Target, now: datetime) -> Step:
    """End when the pod is seen to be back (or was never released); until then put it back again."""
    status = roll.status
    if status.release and is_released(pod, status):
        return Step(status, (Act.RESTORE,))
    message = status.message.replace("putting the pod back", "the pod is back").replace("putting it back", "it is back")
    return Step(moved(status, ROLLED_BACK[status.reason], now, message))


def is_released(pod: Target, status: RollStatus) -> bool:
    return status.release is not None and pod.labels.get(status.release.hash_label) == RELEASED_HASH


def is_replaced(status: RollStatus, seen: Observed) -> bool:
    """Whether the controller has as many ready pods as before, the old one not counted.

    Fewer are enough when the workload was scaled down meanwhile.
    """
    assert seen.workload is not None, "the caller checked"
    return seen.ready_others >= min(seen.workload.desired, status.ready_before)


def _newcomer(roll: PodRoll, seen: Observed) -> Replacement | None:
    """Return the youngest pod that the controller made since the roll was recorded, by the server's clock."""
    young = [p for p in seen.others if p.created_at >= roll.created_at and not p.deleting]
    if not young:
        return None
    pod = max(young, key=lambda p: (p.created_at, p.key.name))
    return Replacement(name=pod.key.name, uid=pod.key.uid)


def _waiting_for(roll: PodRoll, seen: Observed) -> str:
    newcomer = _newcomer(roll, seen)
    if newcomer is None:
        return "no replacement exists yet"
    pod = next(p for p in seen.others if p.key.uid == newcomer.uid)
    return f"replacement {newcomer.name} is {pod.phase} and not Ready" if not pod.ready else "more pods must be Ready"


def _overdue(roll: PodRoll, since: datetime | None, now: datetime) -> bool:
    return since is not None and (now - since).total_seconds() > roll.spec.replacement_timeout_seconds


def _saying(status: RollStatus, message: str, **more: object) -> RollStatus:
    return status.model_copy(update={"message": message[:1024], **more})
