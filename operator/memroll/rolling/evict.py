"""Strategy Evict: the pod is evicted, and its controller creates the replacement afterwards.

`evicting` is also the last step of a Surge.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.roll_spec import Strategy
from memroll.rolling.actions import ADD_OWNER, EVICT_POD, LEAVE_TO_WORKLOAD
from memroll.rolling.pod_labels import is_detached
from memroll.rolling.reasons import EVICTING, EVICTION_TIMED_OUT, REPLACEMENT_NOT_READY, STILL_RELEASED
from memroll.rolling.rollback import (
    RESTORING,
    interruption,
    roll_back,
    roll_back_if_lost,
    roll_back_if_restarted,
)
from memroll.rolling.strategy import RollStrategy, recreate_conflict

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.model.permissions import Permissions
    from memroll.rolling.observation import StepInput, Transition
    from memroll.rolling.strategy import RollSubject


def evicting(step: StepInput) -> Transition:
    """Evict the pod again and again until it is gone; a released one only while its replacement is Ready."""
    interrupted = interruption(step)
    if interrupted is not None:
        return interrupted
    if step.status.release is None:
        return roll_back_if_restarted(step) or _evict(step)
    if is_detached(step.pod, step.status):
        return roll_back_if_lost(step) or _evict(step)
    if step.workload and not step.can_remove_old_pod:
        return _not_replaced(step)
    return _evict(step)


def _not_replaced(step: StepInput) -> Transition:
    """Keep the old pod, which still serves, while too few others do."""
    waiting = f"{step.not_replaced_because}: the old pod stays"
    if step.is_overdue(step.status.times.evicting):
        return roll_back(step, REPLACEMENT_NOT_READY, f"{waiting}, {RESTORING}")
    return step.wait(waiting)


def _evict(step: StepInput) -> Transition:
    """Evict the pod, until that has been refused for too long."""
    ended = end_if_refused_for_long(step, step.status.times.evicting, step.status.message)
    if ended is not None:
        return ended
    if step.status.release is None:
        return step.repeat(EVICT_POD)
    return step.repeat(LEAVE_TO_WORKLOAD if step.workload is None else ADD_OWNER, EVICT_POD)


def end_if_refused_for_long(step: StepInput, since: datetime | None, refusal: str) -> Transition | None:
    """Restore a pod whose eviction is refused for too long; one that no ReplicaSet needs is left to `orphans.py`."""
    message = f"not evicted in time ({refusal})"
    if step.is_overdue(since) and (step.status.release is None or step.can_restore):
        return roll_back(step, EVICTION_TIMED_OUT, f"{message}: the pod stays")
    if step.is_overdue(since, times=2):
        return step.to_phase(Phase.FAILED, f"{message}, and no workload needs the pod", reason=STILL_RELEASED)
    return None


class _Evict(RollStrategy):
    strategy = Strategy.EVICT
    steps = MappingProxyType({Phase.EVICTING: evicting})

    def is_permitted(self, permissions: Permissions) -> bool:
        return permissions.acting

    def unsupported_because(self, subject: RollSubject) -> str:  # noqa: ARG002 - every pod can be evicted
        return ""

    def not_automatic_because(self, subject: RollSubject) -> str:
        """Reject Recreate: a ReplicaSet creates the replacement while the evicted pod still terminates."""
        return recreate_conflict(subject.workload) if subject.workload.has_recreate_strategy else ""

    def first_change(self, step: StepInput) -> Transition:
        return step.to_phase(Phase.EVICTING, "evicting the pod", EVICT_POD, reason=EVICTING)


EVICT = _Evict()
