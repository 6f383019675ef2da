"""Taking a roll back: the record says why, the labels are put back, and the roll ends when the pod is seen to be back.

A pod whose ReplicaSet wants no pods any more, because somebody rolled out another revision meanwhile, is not put back:
the ReplicaSet would adopt it and delete it at once, Ready or not. It serves on until the rollout's own pods are Ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.roll_spec import Strategy
from memroll.rolling.observation import Act, Step, is_relabelled, is_replaced, is_wanted_back, moved, saying

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll, RollStatus
    from memroll.model.pods import Target
    from memroll.rolling.observation import Observed

VETOED = "Vetoed"
RETIRED = "Retired"
TIMED_OUT = "ReplacementNotReady"
LOST = "ReplacementLost"
BLOCKED = "EvictionBlocked"
MISCONFIGURED = "EvictionRefused"
SCALED_TO_ZERO = "ScaledToZero"
CHANGING = "WorkloadChanging"
FALLING_BACK = "FallingBack"
"""There is no room for two: the pod is put back and then evicted."""
ROLLED_BACK = {
    VETOED: Phase.ABORTED,
    RETIRED: Phase.ABORTED,
    SCALED_TO_ZERO: Phase.ABORTED,
    CHANGING: Phase.ABORTED,
    TIMED_OUT: Phase.FAILED,
    LOST: Phase.FAILED,
    BLOCKED: Phase.FAILED,
    MISCONFIGURED: Phase.FAILED,
}
"""Reasons for which a roll is taken back, and how it ends then."""
PUTTING_BACK = "putting the pod back"
IS_BACK = "the pod is back"


def asked_back(roll: PodRoll, seen: Observed) -> tuple[str, str] | None:
    """Return reason and message when a person, or the end of memroll, takes the roll back."""
    if roll.spec.veto:
        return VETOED, f"vetoed: {PUTTING_BACK}"
    if roll.status.release and seen.workload and seen.workload.replicas == 0:
        return SCALED_TO_ZERO, f"{seen.workload.top} is scaled to zero: {PUTTING_BACK}, to go with the others"
    return (RETIRED, f"{seen.retiring}: {PUTTING_BACK}") if seen.retiring else None


def roll_back(status: RollStatus, seen: Observed, reason: str, message: str) -> Step:
    """Begin to take a roll back; where the pod is not wanted back, say so and wait."""
    if status.release is None:
        return Step(saying(status, message, reason=reason))
    if not is_wanted_back(seen):
        return Step(saying(status, "its ReplicaSet wants no pods any more: the pod serves on until others are Ready"))
    return Step(saying(status, message, reason=reason), (Act.RESTORE,))


def rolling_back(roll: PodRoll, seen: Observed, pod: Target, now: datetime) -> Step:
    """Go on taking back. End when the pod is seen to be back, or was never released."""
    status = roll.status
    if status.release is None:
        return _back(status, now)
    if is_relabelled(pod, status):
        if is_wanted_back(seen):
            return Step(status, (Act.RESTORE,))
        if seen.workload is None or is_replaced(status, seen):
            message = "its ReplicaSet wants no pods any more, and others are Ready: evicting the pod"
            return Step(moved(status, Phase.EVICTING, now, message, reason="Evicting"), (Act.OWN, Act.EVICT))
        return Step(status)
    if pod.noted:
        return Step(status, (Act.RESTORE,))  # somebody put the labels back by hand, and left our notes
    if pod.controller is None and seen.workload is not None:
        return Step(status)  # not adopted yet
    return _back(status, now)


def _back(status: RollStatus, now: datetime) -> Step:
    message = status.message.replace(PUTTING_BACK, IS_BACK)
    return Step(moved(status, ROLLED_BACK[status.reason], now, message))


def falling_back(roll: PodRoll, seen: Observed, pod: Target, now: datetime) -> Step:
    """Put the pod back, and evict it once its ReplicaSet has it again."""
    status = roll.status
    if is_relabelled(pod, status):
        return Step(status, (Act.RESTORE,) if is_wanted_back(seen) else ())
    if pod.noted:
        return Step(status, (Act.RESTORE,))
    if pod.controller is None and seen.workload is not None:
        return Step(status)
    message = "the pod is back under its ReplicaSet: evicting it to make room for its replacement"
    fallen = moved(status, Phase.EVICTING, now, message, reason="Evicting", strategy=Strategy.EVICT, release=None)
    return Step(fallen, (Act.EVICT,))
