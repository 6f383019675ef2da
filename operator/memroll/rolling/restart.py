"""Strategy Restart: the workload's own controller restarts all of its pods."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.roll_spec import Strategy
from memroll.rolling.actions import Action
from memroll.rolling.reasons import CANCELED, REPLACEMENT_NOT_READY, VERIFYING, WORKLOAD_CHANGING, WORKLOAD_GONE
from memroll.rolling.strategy import RollStrategy, recreate_conflict

if TYPE_CHECKING:
    from memroll.api.pod_roll import PodRollStatus
    from memroll.errors import TerminalError
    from memroll.model.permissions import Permissions
    from memroll.rolling.observation import StepInput, Transition
    from memroll.rolling.protocols import Clients
    from memroll.rolling.strategy import RollSubject


class _RestartWorkload(Action):
    """Request the restart by annotation or field; a second request with the same time changes nothing."""

    name = "restart"

    async def perform(self, step: StepInput, clients: Clients) -> PodRollStatus:
        assert step.workload is not None, "checked by the step"
        assert step.status.restarted_at is not None, "recorded before the restart"
        await clients.kubernetes.restart(step.roll.namespace, step.workload.owner, step.status.restarted_at)
        return step.status

    def after_refusal(self, step: StepInput, error: TerminalError) -> PodRollStatus:
        return step.to_phase(Phase.FAILED, self.refusal_message(error), reason=error.reason).status


RESTART_WORKLOAD = _RestartWorkload()


def _has_been_restarted(step: StepInput) -> bool:
    """Return whether the workload was restarted at the recorded time or later; its annotation has whole seconds."""
    recorded = step.status.restarted_at
    found = step.workload.restarted_at if step.workload else None
    return recorded is None or (found is not None and found >= recorded.replace(microsecond=0))


def replacing(step: StepInput) -> Transition:
    """Wait until the controller has restarted the workload. A restart that has begun can't be rolled back."""
    status, workload, observation = step.status, step.workload, step.observation
    if workload is None:
        return step.to_phase(Phase.ABORTED, "the workload is gone", reason=WORKLOAD_GONE)
    if not _has_been_restarted(step):
        if step.roll.spec.cancel or observation.uninstalling:
            return step.to_phase(Phase.ABORTED, "stopped before anything was changed", reason=CANCELED)
        if workload.paused or step.is_overdue(status.times.replacing):
            message = f"{workload.owner} {'is paused' if workload.paused else 'could not be restarted in time'}"
            return step.to_phase(Phase.ABORTED, f"{message}: nothing was changed", reason=WORKLOAD_CHANGING)
        return step.repeat(RESTART_WORKLOAD)
    in_progress = workload.owner_rollout_in_progress or workload.restart_in_progress
    if observation.pod is None and not in_progress:
        return step.to_phase(Phase.VERIFYING, "restarted", reason=VERIFYING)
    waiting = in_progress or "the pod has not been restarted yet"
    if step.is_overdue(status.times.replacing, times=max(1, workload.replicas)):
        return step.to_phase(Phase.FAILED, f"not restarted in time: {waiting}", reason=REPLACEMENT_NOT_READY)
    return step.wait(f"restarting: {waiting}")


class _Restart(RollStrategy):
    strategy = Strategy.RESTART
    evicts_pod = False
    effect_unknown_because = "the whole workload was restarted: none of its pods is the replacement of this one"
    steps = MappingProxyType({Phase.REPLACING: replacing})

    def is_permitted(self, permissions: Permissions) -> bool:
        return permissions.restart

    def unsupported_because(self, subject: RollSubject) -> str:
        owner = subject.workload.owner
        if not self.is_permitted(subject.permissions):
            return "memroll was installed without the right to restart workloads"
        if owner.kind == "ReplicaSet":
            return f"nothing restarts the pods of a bare {owner}"
        return f"{owner} is paused" if subject.workload.paused else ""

    def not_automatic_because(self, subject: RollSubject) -> str:
        """Add the remedy: only for Recreate does Auto get here, and there is no strategy after this one."""
        reason = self.unsupported_because(subject)
        if not reason:
            return ""
        remedy = "resume it" if self.is_permitted(subject.permissions) else "set restart.enabled in the chart"
        return f"{recreate_conflict(subject.workload)}, and {reason}: {remedy}, or roll.strategy: Evict"

    def first_change(self, step: StepInput) -> Transition:
        assert step.workload is not None, "checked by the caller"
        message = f"restarting {step.workload.owner}"
        return step.to_phase(Phase.REPLACING, message, RESTART_WORKLOAD, reason="Restarting", restarted_at=step.now)


RESTART = _Restart()
