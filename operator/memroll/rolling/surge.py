"""Steps of a roll that replaces first and evicts then; `evicting` also serves rolls that only evict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.quantity import about
from memroll.api.roll_spec import DrainMode
from memroll.rolling.observation import (
    Act,
    Step,
    dies_before_retry,
    has_no_room,
    is_detached,
    is_released,
    is_replaced,
    moved,
    overdue,
    replacement,
    saying,
    waiting_for,
)
from memroll.rolling.rollback import (
    BLOCKED,
    CHANGING,
    FALLING_BACK,
    LOST,
    PUTTING_BACK,
    ROLLED_BACK,
    TIMED_OUT,
    asked_back,
    falling_back,
    roll_back,
    rolling_back,
)
from memroll.rolling.strategy import surge_blocked_by

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll, RollStatus
    from memroll.model.pods import Target
    from memroll.rolling.observation import Observed

    Go = Callable[[PodRoll, Observed, Target, datetime], Step]

HELD_BY_PDB = "HeldByBudget"
"""While Evicting: a PodDisruptionBudget does not allow it now."""


def replacing(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    return _unless_ended(roll, seen, now, _replacing)


def draining(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    return _unless_ended(roll, seen, now, _draining)


def evicting(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    return _unless_ended(roll, seen, now, _evicting)


def _unless_ended(roll: PodRoll, seen: Observed, now: datetime, go: Go) -> Step:
    """Handle what ends every phase alike, else go on."""
    status, pod = roll.status, seen.pod
    if pod is None:
        return Step(moved(status, Phase.VERIFYING, now, "the old pod is gone", reason="Verifying"))
    if pod.deleting:
        return Step(saying(status, "the old pod is terminating"))
    if status.reason in ROLLED_BACK:
        return rolling_back(roll, seen, pod, now)
    if status.reason == FALLING_BACK:
        return falling_back(roll, seen, pod, now)
    asked = asked_back(roll, seen)
    if asked is not None:
        step = roll_back(status, seen, *asked)
        if step.status.reason in ROLLED_BACK:
            return step
    return go(roll, seen, pod, now)


def _replacing(roll: PodRoll, seen: Observed, pod: Target, now: datetime) -> Step:
    status = roll.status
    if not is_released(pod, status):
        return _release_again(roll, seen, pod, now)
    if seen.workload is None:
        gone = moved(status, Phase.EVICTING, now, "the workload is gone: removing its pod", reason="WorkloadGone")
        return Step(gone, (Act.OWN, Act.EVICT))
    if is_replaced(status, seen):
        return _replaced(roll, seen, now)
    waiting = waiting_for(roll, seen)
    if overdue(roll, status.times.replacing, now):
        late = dies_before_retry(roll, seen, now) if has_no_room(roll, seen) else ""
        if late:
            return roll_back(status, seen, FALLING_BACK, f"{waiting}; {late}: {PUTTING_BACK}, to evict it")
        return roll_back(status, seen, TIMED_OUT, f"{waiting} in time: {PUTTING_BACK}")
    return Step(saying(status, f"waiting: {waiting}", replacement=replacement(roll, seen)))


def _release_again(roll: PodRoll, seen: Observed, pod: Target, now: datetime) -> Step:
    """Release what was recorded but not done; not in a rollout that began meanwhile, nor against somebody's will."""
    status, workload = roll.status, seen.workload
    changing = "the workload is gone"
    if workload is not None:
        blocked = surge_blocked_by(pod, workload, seen.permits, seen.hash_selected_by)
        changing = workload.mid_rollout or blocked
    if changing:
        return Step(saying(status, changing, reason=CHANGING))
    if overdue(roll, status.times.replacing, now):
        return Step(saying(status, "the pod could not be released in time", reason=TIMED_OUT))
    return Step(status, (Act.RELEASE,))


def _replaced(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    """Drain the old pod where that is asked for and possible, else evict it."""
    status, made = roll.status, replacement(roll, seen)
    ready = f"replacement {made.name if made else ''} is Ready"
    known = seen.detachment if roll.spec.drain.mode is DrainMode.DETACH else None
    if known is not None and not known.skipped:
        message = f"{ready}: no new connections for the old pod"
        drained = moved(status, Phase.DRAINING, now, message, reason="Draining", replacement=made, detachment=known)
        return Step(drained, (Act.OWN, Act.DETACH))
    message = f"{ready}: evicting the old pod" + (f" (not detached: {known.skipped})" if known else "")
    evicted = moved(status, Phase.EVICTING, now, message, reason="Evicting", replacement=made, detachment=known)
    return Step(evicted, (Act.OWN, Act.EVICT))


def _draining(roll: PodRoll, seen: Observed, pod: Target, now: datetime) -> Step:
    status, drain = roll.status, roll.spec.drain
    lost = _lost(status, seen)
    if lost is not None:
        return lost
    if not is_detached(pod, status):
        return Step(status, (Act.OWN, Act.DETACH))
    passed_s = (now - (status.times.draining or now)).total_seconds()
    done = _drained(roll, seen, passed_s)
    if done:
        evicted = moved(status, Phase.EVICTING, now, f"{done}: evicting the old pod", reason="Evicting")
        return Step(evicted, (Act.OWN, Act.EVICT))
    busy = "" if drain.until is None else f", {_in_flight(seen)}"
    return Step(saying(status, f"draining{busy}"))


def _drained(roll: PodRoll, seen: Observed, passed_s: float) -> str:
    """Say why the pod counts as drained, or return nothing."""
    drain = roll.spec.drain
    if passed_s < drain.wait.total_seconds():
        return ""
    if drain.until is None:
        return f"drained for {about(passed_s)}"
    if seen.in_flight is not None and seen.in_flight <= drain.until.at_most:
        return f"idle after {about(passed_s)}"
    if passed_s >= drain.timeout.total_seconds():
        return f"{_in_flight(seen)} after {about(passed_s)}, the most that it is given"
    return ""


def _in_flight(seen: Observed) -> str:
    return "how busy it is, is not known" if seen.in_flight is None else f"{seen.in_flight:g} in flight"


def _lost(status: RollStatus, seen: Observed) -> Step | None:
    """Take back at once when the replacement fails while the old pod is out of its Services."""
    if seen.workload is None or is_replaced(status, seen):
        return None
    return roll_back(status, seen, LOST, f"the replacement is not Ready any more: {PUTTING_BACK}")


def _evicting(roll: PodRoll, seen: Observed, pod: Target, now: datetime) -> Step:
    status = roll.status
    if status.release and seen.workload and not is_replaced(status, seen):
        if is_detached(pod, status):
            return _lost(status, seen) or Step(status)
        waiting = "the replacement is not Ready any more: the old pod stays"
        if overdue(roll, status.times.evicting, now):
            return roll_back(status, seen, TIMED_OUT, f"{waiting}, {PUTTING_BACK}")
        return Step(saying(status, waiting))
    if overdue(roll, status.times.evicting, now) and status.reason != "WorkloadGone":
        return roll_back(status, seen, BLOCKED, f"not evicted in time ({status.message}): the pod stays")
    return Step(status, (Act.OWN, Act.EVICT) if status.release else (Act.EVICT,))
