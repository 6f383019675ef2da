"""Steps that roll back: the record names the reason, the labels are restored, and the roll ends when that is observed.

A pod whose ReplicaSet has 0 replicas, because somebody rolled out another revision meanwhile, is not restored: the
ReplicaSet would adopt it and delete it at once, Ready or not. It keeps serving until the rollout's own pods are Ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.roll_spec import Strategy
from memroll.rolling.actions import ADD_OWNER, EVICT_POD, RESTORE_POD
from memroll.rolling.observation import has_changed_labels
from memroll.rolling.reasons import (
    CANCELED,
    EVICTING,
    EVICTION_REFUSED,
    EVICTION_TIMED_OUT,
    FALLING_BACK,
    REPLACEMENT_LOST,
    REPLACEMENT_NOT_READY,
    SCALED_TO_ZERO,
    UNINSTALLED,
    VERIFYING,
    WORKLOAD_CHANGING,
)
from memroll.rolling.strategy import recreate_conflict

if TYPE_CHECKING:
    from memroll.rolling.observation import StepInput, Transition

FINAL_PHASES = {
    CANCELED: Phase.ABORTED,
    UNINSTALLED: Phase.ABORTED,
    SCALED_TO_ZERO: Phase.ABORTED,
    WORKLOAD_CHANGING: Phase.ABORTED,
    REPLACEMENT_NOT_READY: Phase.FAILED,
    REPLACEMENT_LOST: Phase.FAILED,
    EVICTION_TIMED_OUT: Phase.FAILED,
    EVICTION_REFUSED: Phase.FAILED,
}
"""Phase in which a roll ends that is rolled back for this reason."""
RESTORING = "restoring the pod"
"""Part of the message while a roll is rolled back."""
RESTORED = "the pod is restored"
"""Part of the message once it is rolled back."""


def interruption(step: StepInput) -> Transition | None:
    """Return the transition of a step that something other than its phase decides, or None."""
    status, pod = step.status, step.observation.pod
    if pod is None:
        return step.to_phase(Phase.VERIFYING, "the old pod is gone", reason=VERIFYING)
    if pod.deleting:
        return step.wait("the old pod is terminating")
    if status.reason in FINAL_PHASES:
        return _continue_rollback(step)
    if status.reason == FALLING_BACK:
        return _continue_fallback(step)
    cancellation = _cancellation(step)
    if cancellation is not None:
        transition = roll_back(step, *cancellation)
        if transition.status.reason in FINAL_PHASES:
            return transition
    return None


def _cancellation(step: StepInput) -> tuple[str, str] | None:
    """Return reason and message when a person, or the removal of memroll, ends the roll."""
    workload, uninstalling = step.workload, step.observation.uninstalling
    if step.roll.spec.cancel:
        return CANCELED, f"canceled: {RESTORING}"
    if step.status.release and workload and workload.replicas == 0:
        return SCALED_TO_ZERO, f"{workload.owner} is scaled to zero: {RESTORING}, to be deleted with the others"
    return (UNINSTALLED, f"{uninstalling}: {RESTORING}") if uninstalling else None


def roll_back(step: StepInput, reason: str, message: str) -> Transition:
    """Begin to roll back; where the pod can't be restored, wait without the reason."""
    if step.status.release is None:
        return step.wait(message, reason=reason)
    if not step.can_restore:
        return step.wait("its ReplicaSet has 0 replicas: the pod keeps serving until others are Ready")
    return step.wait(message, RESTORE_POD, reason=reason)


def roll_back_if_lost(step: StepInput) -> Transition | None:
    """Roll back at once when the replacement fails while the old pod is detached from its Services."""
    if step.workload is None or step.is_replaced:
        return None
    return roll_back(step, REPLACEMENT_LOST, f"the replacement is no longer Ready: {RESTORING}")


def _continue_rollback(step: StepInput) -> Transition:
    """Continue to roll back. The roll ends when the pod is observed to be restored, or was never released."""
    if step.status.release is None:
        return _rolled_back(step)
    if has_changed_labels(step.pod, step.status):
        if step.can_restore:
            return step.repeat(RESTORE_POD)
        if step.workload is None or step.is_replaced:
            message = "its ReplicaSet has 0 replicas, and others are Ready: evicting the pod"
            return step.to_phase(Phase.EVICTING, message, ADD_OWNER, EVICT_POD, reason=EVICTING)
        return step.repeat()
    if step.pod.has_roll_annotation:
        return step.repeat(RESTORE_POD)  # somebody restored the labels by hand, and left memroll's annotations
    if step.pod.controller is None and step.workload is not None:
        return step.repeat()  # not adopted yet
    return _rolled_back(step)


def _rolled_back(step: StepInput) -> Transition:
    message = step.status.message.replace(RESTORING, RESTORED)
    return step.to_phase(FINAL_PHASES[step.status.reason], message)


def _continue_fallback(step: StepInput) -> Transition:
    """Restore the pod, and evict it once its ReplicaSet has adopted it."""
    pod = step.pod
    if has_changed_labels(pod, step.status):
        return step.repeat(RESTORE_POD) if step.can_restore else step.repeat()
    if pod.has_roll_annotation:
        return step.repeat(RESTORE_POD)
    if pod.controller is None and step.workload is not None:
        return step.repeat()
    if step.workload is not None and step.workload.has_recreate_strategy:
        message = f"the pod is restored, and not evicted: {recreate_conflict(step.workload)}"
        return step.to_phase(Phase.FAILED, message, reason=REPLACEMENT_NOT_READY)
    message = "the pod is restored: evicting it to make room for its replacement"
    changes = {"reason": EVICTING, "strategy": Strategy.EVICT, "release": None}
    return step.to_phase(Phase.EVICTING, message, EVICT_POD, **changes)
