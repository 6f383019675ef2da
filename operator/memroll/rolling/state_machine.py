"""The state machine of a PodRoll: what is recorded and what is observed give the next record and the next acts.

    Announced ──> CapturingEvidence ── Surge ───> Replacing ──> (Draining) ──> Evicting ──> Verifying ──> Succeeded
                         ├──────────── Evict ─────────────────────────────────────┘             │
                         └──────────── Restart ─> Replacing ────────────────────────────────────┘

Pure. The caller writes the returned status *before* it carries out the acts (write-ahead), one step at a
time. Every act can be done twice, and every step starts from what the cluster shows, so a process that is
killed between the two repeats an act that is already done, and nothing else.

Rolling back is a step like any other (`rollback.py`): the record first says why, the labels are put back, and only
when the pod is seen to be back does the roll end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.base import WorkloadRef
from memroll.api.pod_roll import ControllerRef, Phase, PhaseTimes, Release, RollStatus
from memroll.api.roll_spec import Strategy
from memroll.evidence.time_budget import LEAST_S, left_s, skipped
from memroll.rolling import restart, surge
from memroll.rolling.observation import (
    Act,
    Observed,
    Step,
    is_replaced,
    moved,
    overdue,
    replacement,
    saying,
    waiting_for,
)
from memroll.rolling.rollback import CHANGING, RETIRED, TIMED_OUT, VETOED
from memroll.rolling.strategy import Refusal, choose

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.model.pods import Target, Workload
    from memroll.rolling.strategy import Choice


def next_step(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    """Return the next record and acts of an active roll; the same record and no act means: wait."""
    status = roll.status
    if status.phase is Phase.REPLACING and status.strategy is Strategy.RESTART:
        return restart.replacing(roll, seen, now)
    step = STEPS.get(status.phase)
    return Step(status) if step is None else step(roll, seen, now)


def _announce(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    """Resolve who and how. Nothing is touched; what can't be rolled ends here with its reason."""
    status = RollStatus(times=PhaseTimes(), pod_uid=roll.pod_uid)
    pod, workload = seen.pod, seen.workload
    if pod is None:
        return Step(moved(status, Phase.ABORTED, now, f"no pod {roll.spec.pod_name}", reason="PodGone"))
    if seen.forbidden:
        return Step(moved(status, Phase.ABORTED, now, seen.forbidden, reason="Refused", pod_uid=pod.key.uid))
    choice = choose(roll.spec.strategy, pod, workload, seen.permits, seen.hash_selected_by)
    if isinstance(choice, Refusal) or workload is None:
        return Step(moved(status, Phase.FAILED, now, choice.reason, reason="Refused", pod_uid=pod.key.uid))
    return Step(_announced(status, pod, workload, choice, seen, now))


def _announced(
    status: RollStatus, pod: Target, workload: Workload, choice: Choice, seen: Observed, now: datetime
) -> RollStatus:
    top, owner = workload.top, workload.controller
    return moved(
        status,
        Phase.ANNOUNCED,
        now,
        f"{choice.strategy}: {choice.reason}",
        reason="Announced",
        pod_uid=pod.key.uid,
        strategy=choice.strategy,
        strategy_reason=choice.reason,
        workload=WorkloadRef(api_version=top.api_version, kind=top.kind, name=top.name),
        workload_uid=top.uid,
        controller=ControllerRef(api_version=owner.api_version, kind=owner.kind, name=owner.name, uid=owner.uid),
        ready_before=seen.ready_others + int(pod.ready),
    )


def _begin(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    """Check once more against the fresh state, then capture evidence of what is about to go."""
    ended = _ended(roll, seen, now)
    if ended is not None:
        return ended
    assert seen.pod is not None, "against"
    if left_s(roll, seen.pod, now) < LEAST_S:
        return _first_change(roll, _without_evidence(roll, seen.pod, now), seen, now)
    message = "capturing evidence: nothing is touched yet"
    captured = moved(roll.status, Phase.CAPTURING_EVIDENCE, now, message, reason="CapturingEvidence")
    return Step(captured, (Act.CAPTURE,))


def _capturing(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    """Go on with what was captured; what a process that died did not capture is asked for in the time that is left."""
    ended = _ended(roll, seen, now)
    if ended is not None:
        return ended
    assert seen.pod is not None, "against"
    if roll.status.evidence is not None:
        return _first_change(roll, roll.status, seen, now)
    if left_s(roll, seen.pod, now) < LEAST_S:
        return _first_change(roll, _without_evidence(roll, seen.pod, now), seen, now)
    return Step(roll.status, (Act.CAPTURE,))


def _without_evidence(roll: PodRoll, pod: Target, now: datetime) -> RollStatus:
    return roll.status.model_copy(update={"evidence": skipped(roll, pod, now)})


def _ended(roll: PodRoll, seen: Observed, now: datetime) -> Step | None:
    """End a roll that has touched nothing yet, where something speaks against it."""
    against = _against(roll, seen)
    if against is None:
        return None
    reason, message = against
    return Step(moved(roll.status, Phase.ABORTED, now, message, reason=reason))


def _first_change(roll: PodRoll, status: RollStatus, seen: Observed, now: datetime) -> Step:
    pod, workload = seen.pod, seen.workload
    assert pod is not None, "against"
    assert workload is not None, "against"
    if status.strategy is Strategy.SURGE:  # since it was announced, a Service or the workload may have changed
        choice = choose(roll.spec.strategy, pod, workload, seen.permits, seen.hash_selected_by)
        if isinstance(choice, Refusal):
            return Step(moved(status, Phase.FAILED, now, choice.reason, reason="Refused"))
        status = status.model_copy(update={"strategy": choice.strategy, "strategy_reason": choice.reason})
    if status.strategy is Strategy.EVICT:
        return Step(moved(status, Phase.EVICTING, now, "evicting the pod", reason="Evicting"), (Act.EVICT,))
    if status.strategy is Strategy.RESTART:
        message = f"restarting {workload.top}"
        restarted = moved(status, Phase.REPLACING, now, message, reason="Restarting", restarted_at=now)
        return Step(restarted, (Act.RESTART,))
    release = Release(hash_label=workload.hash_label, template_hash=pod.labels.get(workload.hash_label, ""))
    released = moved(status, Phase.REPLACING, now, "waiting for the replacement", reason="Releasing", release=release)
    return Step(released, (Act.RELEASE,))


def _against(roll: PodRoll, seen: Observed) -> tuple[str, str] | None:
    """Return why a roll that has touched nothing yet ends here, as reason and message."""
    if roll.spec.veto:
        return VETOED, "vetoed before anything was changed"
    if seen.retiring:
        return RETIRED, f"{seen.retiring} before anything was changed"
    if seen.pod is None or seen.pod.deleting:
        return "PodGone", "the pod left by itself"
    if seen.withdrawn:
        return "Withdrawn", seen.withdrawn
    if seen.workload is None or seen.workload.mid_rollout:
        return CHANGING, seen.workload.mid_rollout if seen.workload else "the workload is gone"
    return None


def _verifying(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    status, made = roll.status, replacement(roll, seen)
    if seen.workload is None:
        return Step(moved(status, Phase.SUCCEEDED, now, "the old pod and its workload are gone", reason="WorkloadGone"))
    if is_replaced(status, seen):
        message = f"replaced by {made.name}" if made else "the workload has its ready pods"
        return Step(moved(status, Phase.SUCCEEDED, now, message, reason="Rolled", replacement=made))
    if seen.retiring:
        return Step(moved(status, Phase.SUCCEEDED, now, f"the old pod is gone; {seen.retiring}", reason=RETIRED))
    waiting = f"the old pod is gone, but {waiting_for(roll, seen)}"
    if overdue(roll, status.times.verifying, now):
        return Step(moved(status, Phase.FAILED, now, waiting, reason=TIMED_OUT, replacement=made))
    return Step(saying(status, waiting, replacement=made))


STEPS = {
    None: _announce,
    Phase.ANNOUNCED: _begin,
    Phase.CAPTURING_EVIDENCE: _capturing,
    Phase.REPLACING: surge.replacing,
    Phase.DRAINING: surge.draining,
    Phase.EVICTING: surge.evicting,
    Phase.VERIFYING: _verifying,
}
"""What is done in each phase; nothing in a final one."""
