"""Conditions of a PodRoll by the rules of kstatus, for `kubectl wait` and GitOps tools. Pure.

They contain nothing that is not in the phase, the reason and the times: `PodRollStatus.to_dict` adds them to each
status that is written, without a request of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.conditions import Condition, ConditionStatus, ConditionType

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRollStatus

SUCCEEDED = "Succeeded"


def roll_conditions(status: PodRollStatus) -> tuple[Condition, ...]:
    """Return the conditions of a roll in this state; none before its first step."""
    phase, times = status.phase, status.times
    began = times.announced or times.finished
    if phase is None or began is None:
        return ()
    if not phase.final:
        return (
            _condition(status, ConditionType.READY, ConditionStatus.FALSE, began),
            _condition(status, ConditionType.RECONCILING, ConditionStatus.TRUE, began),
        )
    ended = times.finished or began
    if phase.value == SUCCEEDED:
        return (_condition(status, ConditionType.READY, ConditionStatus.TRUE, ended),)
    return (
        _condition(status, ConditionType.READY, ConditionStatus.FALSE, began),
        _condition(status, ConditionType.STALLED, ConditionStatus.TRUE, ended),
    )


def _condition(status: PodRollStatus, type_: ConditionType, value: ConditionStatus, since: datetime) -> Condition:
    """Return a condition with the cause of the roll's state, or its phase."""
    reason = status.reason or (status.phase.value if status.phase else "")
    return Condition(type=type_, status=value, reason=reason, message=status.message, last_transition_time=since)
