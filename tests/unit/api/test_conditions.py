from __future__ import annotations

from memroll.api.conditions import Condition, ConditionStatus, ConditionType, merge_conditions, new_condition
from tests.builders import NOW, at


def _condition(status: ConditionStatus, seconds: float, type_: ConditionType = ConditionType.READY) -> Condition:
    return new_condition(type_, status, "Why", "because", generation=1, now=at(seconds))


def test_a_transition_time_changes_only_when_the_status_flips():
    old = (_condition(ConditionStatus.TRUE, -60),)
    assert merge_conditions(old, [_condition(ConditionStatus.TRUE, 0)])[0].last_transition_time == at(-60)
    assert merge_conditions(old, [_condition(ConditionStatus.FALSE, 0)])[0].last_transition_time == NOW


def test_abnormal_conditions_are_present_only_while_true():
    stalled = _condition(ConditionStatus.FALSE, 0, ConditionType.STALLED)
    assert merge_conditions((), [stalled]) == ()
    assert merge_conditions((), [_condition(ConditionStatus.TRUE, 0, ConditionType.STALLED)]) != ()
