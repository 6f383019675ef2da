"""Strategy Evict: the pod is evicted, and its controller creates the replacement afterwards.

`evicting` is also the last step of a Surge.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.roll_spec import Strategy
from memroll.rolling.actions import ADD_OWNER, EVICT_POD
from memroll.rolling.observation import is_detached
from memroll.rolling.reasons import EVICTING, EVICTION_TIMED_OUT, REPLACEMENT_NOT_READY, WORKLOAD_GONE
from memroll.rolling.rollback import RESTORING, interruption, roll_back, roll_back_if_lost
from memroll.rolling.strategy import RollStrategy, recreate_conflict

if TYPE_CHECKING:
    from memroll.model.permissions import Permissions
    from memroll.rolling.observation import StepInput, Transition
    from memroll.rolling.strategy import RollSubject


def evicting(step: StepInput) -> Transition:
    """Evict the pod again and again until it is gone; a released one only while its replacement is Ready."""
    interrupted = interruption(step)
    if interrupted is not None:
        return interrupted
    status = step.status
    if status.release and step.workload and not step.is_replaced:
        if is_detached(step.pod, status):
            return roll_back_if_lost(step) or step.repeat()
        waiting = "the replacement is no longer Ready: the old pod stays"
        if step.is_overdue(status.times.evicting):
            return roll_back(step, REPLACEMENT_NOT_READY, f"{waiting}, {RESTORING}")
        return step.wait(waiting)
    if step.is_overdue(status.times.evicting) and status.reason != WORKLOAD_GONE:
        return roll_back(step, EVICTION_TIMED_OUT, f"not evicted in time ({status.message}): the pod stays")
    return step.repeat(ADD_OWNER, EVICT_POD) if status.release else step.repeat(EVICT_POD)


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
