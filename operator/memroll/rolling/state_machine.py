"""State machine of a PodRoll: from the record and the observed cluster to the next record and the next actions.

    Announced ──> CapturingEvidence ── Surge ───> Replacing ──> (Draining) ──> Evicting ──> Verifying ──> Succeeded
                         ├──────────── Evict ─────────────────────────────────────┘             │
                         └──────────── Restart ─> Replacing ────────────────────────────────────┘

Pure. `reconcile.roll` writes the returned status *before* it performs the actions (write-ahead), one step at a time.
Every action can be repeated, and every step starts from what the cluster shows, so a process that is killed between
the two repeats an action that is already done, and nothing else.

The steps of Replacing, Draining and Evicting belong to the strategies (`surge.py`, `evict.py`, `restart.py`). A
rollback is a step like any other (`rollback.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.base import WorkloadRef
from memroll.api.pod_roll import ControllerRef, Phase, PodRollStatus
from memroll.api.roll_progress import PhaseTimes
from memroll.evidence.capture_time import MIN_CAPTURE_S, capture_time_left_s, skipped
from memroll.rolling.actions import CAPTURE_EVIDENCE
from memroll.rolling.eviction_choice import blocking_rollout
from memroll.rolling.observation import Transition, to_phase
from memroll.rolling.reasons import (
    CANCELED,
    EVICTION_REFUSED,
    POD_GONE,
    REFUSED,
    REPLACEMENT_NOT_READY,
    SCALED_TO_ZERO,
    TERMINATION_TIMED_OUT,
    UNINSTALLED,
    WORKLOAD_CHANGING,
    WORKLOAD_GONE,
)
from memroll.rolling.rollback import overdue_termination
from memroll.rolling.strategy import StrategyChoice, Unsupported
from memroll.rolling.strategy_choice import choose, strategy_of
from memroll.rolling.surge import SURGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.model.pods import Workload
    from memroll.rolling.observation import StepInput


def next_transition(step: StepInput) -> Transition:
    """Return the next record and actions of a roll; the same record without actions means: wait."""
    phase = step.status.phase
    take = STEPS.get(phase)
    if take is None and phase is not None:
        strategy = strategy_of(step.status.strategy) or SURGE
        take = strategy.steps.get(phase) or SURGE.steps.get(phase)  # Surge can end a roll from each phase
    return step.repeat() if take is None else take(step)


def _announce(step: StepInput) -> Transition:
    """Choose the strategy. Nothing is changed; a roll of a pod that can't be rolled ends here with the reason."""
    roll, observation, now = step.roll, step.observation, step.now
    status = PodRollStatus(times=PhaseTimes(), pod_uid=roll.pod_uid)
    pod, workload = observation.pod, observation.workload
    if pod is None:
        message = f"pod {roll.spec.pod_name} does not exist, or has ended"
        return Transition(to_phase(status, Phase.ABORTED, now, message, reason=POD_GONE))
    status = status.model_copy(update={"pod_uid": pod.key.uid})
    if observation.must_not_roll_because:
        return Transition(to_phase(status, Phase.ABORTED, now, observation.must_not_roll_because, reason=REFUSED))
    choice = _choose(step)
    if isinstance(choice, Unsupported) or workload is None:
        return Transition(to_phase(status, Phase.FAILED, now, choice.reason, reason=REFUSED))
    message = f"{choice.strategy}: {choice.reason}"
    found = _announced(workload, choice)
    if not observation.is_planned:
        found["ready_before"] = observation.ready_others + int(pod.ready)
    return Transition(to_phase(status, Phase.ANNOUNCED, now, message, reason="Announced", **found))


def _choose(step: StepInput) -> StrategyChoice | Unsupported:
    found, requested = step.observation, step.roll.spec.strategy
    return choose(requested, step.pod, step.workload, found.permissions, found.hash_selector, found.missing_room)


def _announced(workload: Workload, choice: StrategyChoice) -> dict[str, object]:
    """Return the fields of the record that must outlive the pod's own references to its owners."""
    owner, ref = workload.owner, workload.controller
    return {
        "strategy": choice.strategy,
        "strategy_reason": choice.reason,
        "workload": WorkloadRef(api_version=owner.api_version, kind=owner.kind, name=owner.name),
        "workload_uid": owner.uid,
        "controller": ControllerRef(api_version=ref.api_version, kind=ref.kind, name=ref.name, uid=ref.uid),
    }


def _begin(step: StepInput) -> Transition:
    """Check the fresh state once more, then capture evidence of the pod."""
    ended = _aborted(step)
    if ended is not None:
        return ended
    if capture_time_left_s(step.roll, step.pod, step.now) < MIN_CAPTURE_S:
        return _first_change(_without_evidence(step))
    message = "capturing evidence: nothing is changed yet"
    return step.to_phase(Phase.CAPTURING_EVIDENCE, message, CAPTURE_EVIDENCE, reason="CapturingEvidence")


def _capturing(step: StepInput) -> Transition:
    """Continue with the captured evidence; if a process died before it was written, capture it in the time left."""
    ended = _aborted(step)
    if ended is not None:
        return ended
    if step.status.evidence is not None:
        return _first_change(step)
    if capture_time_left_s(step.roll, step.pod, step.now) < MIN_CAPTURE_S:
        return _first_change(_without_evidence(step))
    return step.repeat(CAPTURE_EVIDENCE)


def _without_evidence(step: StepInput) -> StepInput:
    return step.with_status(evidence=skipped(step.roll, step.pod, step.now))


def _first_change(step: StepInput) -> Transition:
    """Choose again: since the announcement, the workload or an object that selects the pod may have changed."""
    observation, choice = step.observation, _choose(step)
    if isinstance(choice, Unsupported):
        return step.to_phase(Phase.FAILED, choice.reason, reason=REFUSED)
    strategy = strategy_of(choice.strategy)
    assert strategy is not None, "the choice is never Auto"
    if strategy.evicts_pod and observation.never_evictable_because:
        return step.to_phase(Phase.FAILED, observation.never_evictable_because, reason=EVICTION_REFUSED)
    ready_before = step.status.ready_before or observation.ready_others + int(step.pod.ready)
    chosen = step.with_status(strategy=choice.strategy, strategy_reason=choice.reason, ready_before=ready_before)
    return strategy.first_change(chosen)


def _aborted(step: StepInput) -> Transition | None:
    """Return the transition of a roll that ends before anything was changed, or None."""
    reason = _abort_reason(step)
    return None if reason is None else step.to_phase(Phase.ABORTED, reason[1], reason=reason[0])


def _abort_reason(step: StepInput) -> tuple[str, str] | None:
    """Return reason and message to end a roll that has not changed anything yet."""
    observation = step.observation
    if step.roll.spec.cancel:
        return CANCELED, "canceled before anything was changed"
    if observation.uninstalling:
        return UNINSTALLED, f"{observation.uninstalling} before anything was changed"
    if observation.pod is None or observation.pod.deleting:
        return POD_GONE, "the pod is already gone, terminating or ended"
    if observation.must_not_roll_because:
        return REFUSED, observation.must_not_roll_because
    if observation.policy_withdrawn:
        return "Withdrawn", observation.policy_withdrawn
    rollout = blocking_rollout(step)
    if rollout:
        return WORKLOAD_CHANGING, rollout
    return None


def _verifying(step: StepInput) -> Transition:
    """Wait until the workload has as many Ready pods as before. The old pod is gone, or terminates by itself."""
    replacement, uninstalling, workload = step.replacement, step.observation.uninstalling, step.workload
    old_pod = _describe_old_pod(step)
    if workload is None:
        return step.to_phase(Phase.ABORTED, f"the workload is gone, and {old_pod}", reason=WORKLOAD_GONE)
    if workload.replicas == 0:
        message = f"{workload.owner} is scaled to zero, and {old_pod}"
        return step.to_phase(Phase.ABORTED, message, reason=SCALED_TO_ZERO)
    if step.is_replaced:
        message = f"replaced by {replacement.name}" if replacement else "the workload has its Ready pods"
        message += "" if step.observation.pod is None else f"; {old_pod}"
        return step.to_phase(Phase.SUCCEEDED, message, reason="Rolled", replacement=replacement)
    if uninstalling:
        return step.to_phase(Phase.SUCCEEDED, f"{old_pod}; {uninstalling}", reason=UNINSTALLED)
    waiting = f"{old_pod}, but {step.not_replaced_because}"
    if step.is_overdue(step.status.times.verifying):
        reason = REPLACEMENT_NOT_READY if step.observation.pod is None else TERMINATION_TIMED_OUT
        return step.to_phase(Phase.FAILED, waiting, reason=reason, replacement=replacement)
    return step.wait(waiting, replacement=replacement)


def _describe_old_pod(step: StepInput) -> str:
    if step.observation.pod is None:
        return "the old pod is gone"
    return overdue_termination(step) if step.is_past_grace_period else "the old pod is terminating"


STEPS: dict[Phase | None, Callable[[StepInput], Transition]] = {
    None: _announce,
    Phase.ANNOUNCED: _begin,
    Phase.CAPTURING_EVIDENCE: _capturing,
    Phase.VERIFYING: _verifying,
}
"""Steps that all strategies share, by phase. Final phases have none."""
