"""Steps that roll back: the record names the reason, the labels are restored, and the roll ends when that is observed.

A pod whose ReplicaSet has 0 replicas, because somebody rolled out another revision meanwhile, is not restored: the
ReplicaSet would adopt it and delete it at once, Ready or not. It keeps serving until the rollout's own pods are Ready.

No rollback takes longer than the replacement timeout, and no wait for an eviction longer than two of them: then the
roll ends, and the search for orphaned pods (`orphans.py`) restores or evicts the pod when that becomes possible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.quantity import humanize_duration
from memroll.api.roll_spec import Strategy
from memroll.rolling.actions import (
    ADD_OWNER,
    EVICT_POD,
    LEAVE_TO_WORKLOAD,
    PREFER_REPLACEMENT_DELETION,
    RESTORE_POD,
)
from memroll.rolling.observation import MAX_MESSAGE_CHARS, Transition, with_message
from memroll.rolling.pod_labels import has_changed_labels
from memroll.rolling.reasons import (
    CANCELED,
    CONTAINER_RESTARTED,
    EVICTING,
    EVICTION_REFUSED,
    EVICTION_TIMED_OUT,
    FALLING_BACK,
    REPLACEMENT_LOST,
    REPLACEMENT_NOT_READY,
    SCALED_TO_ZERO,
    STILL_RELEASED,
    TERMINATION_TIMED_OUT,
    UNINSTALLED,
    VERIFYING,
    WORKLOAD_CHANGING,
)
from memroll.rolling.strategy import recreate_conflict

if TYPE_CHECKING:
    from memroll.rolling.actions import Action
    from memroll.rolling.observation import StepInput

FINAL_PHASES = {
    CANCELED: Phase.ABORTED,
    UNINSTALLED: Phase.ABORTED,
    SCALED_TO_ZERO: Phase.ABORTED,
    WORKLOAD_CHANGING: Phase.ABORTED,
    CONTAINER_RESTARTED: Phase.ABORTED,
    REPLACEMENT_NOT_READY: Phase.FAILED,
    REPLACEMENT_LOST: Phase.FAILED,
    EVICTION_TIMED_OUT: Phase.FAILED,
    EVICTION_REFUSED: Phase.FAILED,
}
"""Phase in which a roll ends that is rolled back for this reason."""
RESTORING = "restoring the pod"
"""Part of the message while a roll is rolled back."""
LAST_ATTEMPT = "; this is the last attempt"
"""End of the message when the time for a rollback is over."""
RESTORED = "the pod is restored"
"""Part of the message once it is rolled back."""


def interruption(step: StepInput) -> Transition | None:
    """Return the transition of a step that something other than its phase decides, or None."""
    status, pod = step.status, step.observation.pod
    if pod is None:
        return step.to_phase(Phase.VERIFYING, "the old pod is gone", reason=VERIFYING)
    if pod.deleting:
        return _terminating(step)
    if status.reason in FINAL_PHASES:
        return _continue_rollback(_with_beginning(step))
    if status.reason == FALLING_BACK:
        return _continue_fallback(_with_beginning(step))
    cancellation = _cancellation(step)
    if cancellation is not None:
        transition = roll_back(step, *cancellation)
        if transition.status.reason in FINAL_PHASES:
            return transition
    return None


def _terminating(step: StepInput) -> Transition:
    """Wait until the pod is gone, unless nothing more depends on that, or it should have been gone for long."""
    is_replaced = step.workload is None or (step.is_replaced and step.has_waited_for_termination)
    if is_replaced or step.observation.uninstalling:
        return step.to_phase(Phase.VERIFYING, "the old pod is terminating", reason=VERIFYING)
    if step.is_past_grace_period:
        return step.to_phase(Phase.VERIFYING, overdue_termination(step), reason=TERMINATION_TIMED_OUT)
    return step.wait("the old pod is terminating")


def overdue_termination(step: StepInput) -> str:
    """Return a sentence about a pod that should have terminated."""
    due_at = step.pod.deletion_due_at or step.now
    late = humanize_duration((step.now - due_at).total_seconds())
    return f"the old pod still terminates, {late} after its grace period: its node is lost, or a finalizer holds it"


def _with_beginning(step: StepInput) -> StepInput:
    """Return the step with the time at which the rollback began."""
    times = step.status.times
    if times.rolling_back is not None:
        return step
    return step.with_status(times=times.model_copy(update={"rolling_back": step.now}))


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
    if step.can_restore:
        return _with_beginning(step).wait(message, *_restore_actions(step), reason=reason)
    waiting = "its ReplicaSet has 0 replicas: the pod keeps serving until others are Ready"
    if step.is_overdue(step.phase_began, times=2):
        return step.to_phase(Phase.FAILED, f"{_without_restoring(message)}; {waiting}", reason=STILL_RELEASED)
    return step.wait(waiting)


def roll_back_if_lost(step: StepInput) -> Transition | None:
    """Roll back at once when the replacement fails while the old pod is detached from its Services."""
    lost = "" if step.workload is None or step.is_replaced else _lost_because(step)
    return roll_back(step, REPLACEMENT_LOST, f"{lost}: {RESTORING}") if lost else None


def _lost_because(step: StepInput) -> str:
    """Return that the recorded replacement no longer takes the old pod's place, or an empty string.

    Another pod that is not Ready would not be, either, without the roll.
    """
    recorded = step.status.replacement
    if recorded is None:
        return "too few pods are Ready"
    found = next((p for p in step.observation.other_pods if p.key.uid == recorded.uid and not p.deleting), None)
    if found is None:
        return "the replacement is gone"
    return "" if found.ready else "the replacement is no longer Ready"


def roll_back_if_restarted(step: StepInput) -> Transition | None:
    """Roll back when a restart of the container has freed its memory: an eviction would only cost Ready pods."""
    restarted = step.restarted_because
    if not restarted:
        return None
    return roll_back(step, CONTAINER_RESTARTED, f"{restarted}, which freed its memory: {RESTORING}")


def _continue_rollback(step: StepInput) -> Transition:
    """Continue to roll back. The roll ends when the pod is observed to be restored, or was never released."""
    return _rolled_back(step) if step.status.release is None else _restore(step) or _rolled_back(step)


def _restore(step: StepInput) -> Transition | None:
    """Return the next step to restore a released pod; None once its ReplicaSet has adopted it.

    When the time is over, one more attempt is made: perhaps no process of memroll was running.
    """
    message = step.status.message
    transition = _restore_step(step)
    if transition is None or not step.is_overdue(step.status.times.rolling_back):
        return transition
    if message.endswith(LAST_ATTEMPT):
        message = f"{_without_restoring(message.removesuffix(LAST_ATTEMPT))}; the pod is not restored in time"
        return step.to_phase(Phase.FAILED, message, reason=STILL_RELEASED)
    message = message[: MAX_MESSAGE_CHARS - len(LAST_ATTEMPT)] + LAST_ATTEMPT
    return Transition(with_message(transition.status, message), transition.actions)


def _restore_step(step: StepInput) -> Transition | None:
    """Return the next step to restore a released pod, whatever the time; None once it is adopted."""
    if has_changed_labels(step.pod, step.status):
        if step.can_restore:
            return step.repeat(*_restore_actions(step))
        if step.workload is None or step.is_replaced:
            return _evict_instead(step)
        return step.repeat()
    if step.pod.has_roll_annotation:
        return step.repeat(RESTORE_POD)  # somebody restored the labels by hand, and left memroll's annotations
    if step.pod.controller is None and step.workload is not None:
        return step.repeat()  # not adopted yet
    return None


def _restore_actions(step: StepInput) -> tuple[Action, ...]:
    """Return the actions that restore the pod. A Ready replacement is marked: no other pod is deleted for it."""
    replacement = step.replacement_pod
    is_ready = replacement is not None and replacement.ready
    return (PREFER_REPLACEMENT_DELETION, RESTORE_POD) if is_ready else (RESTORE_POD,)


def _evict_instead(step: StepInput) -> Transition:
    """Evict a pod that no ReplicaSet would keep."""
    message = "its ReplicaSet has 0 replicas, and others are Ready: evicting the pod"
    actions = LEAVE_TO_WORKLOAD if step.workload is None else ADD_OWNER, EVICT_POD
    if step.status.phase is Phase.EVICTING:
        return step.wait(message, *actions)
    return step.to_phase(Phase.EVICTING, message, *actions, reason=EVICTING)


def _rolled_back(step: StepInput) -> Transition:
    message = step.status.message.removesuffix(LAST_ATTEMPT).replace(RESTORING, RESTORED)
    return step.to_phase(FINAL_PHASES[step.status.reason], message)


def _without_restoring(message: str) -> str:
    return message.replace(f": {RESTORING}", "")


def _continue_fallback(step: StepInput) -> Transition:
    """Restore the pod, and evict it once its ReplicaSet has adopted it."""
    restarted = roll_back_if_restarted(step)
    transition = restarted or _restore(step)
    if transition is not None:
        return transition
    if step.workload is not None and step.workload.has_recreate_strategy:
        message = f"the pod is restored, and not evicted: {recreate_conflict(step.workload)}"
        return step.to_phase(Phase.FAILED, message, reason=REPLACEMENT_NOT_READY)
    message = "the pod is restored: evicting it to make room for its replacement"
    changes = {
        "reason": EVICTING,
        "strategy": Strategy.EVICT,
        "strategy_reason": f"a surge had no room: {_without_restoring(step.status.message)}",
        "release": None,
        "replacement": None,
    }
    return step.to_phase(Phase.EVICTING, message, EVICT_POD, **changes)
