"""Integers of the API have 64 bits: larger ones can't be converted to a float."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from memroll.api.base import MAX_INTEGER
from memroll.api.pod_roll import RollTrigger


def trigger(seconds: object) -> RollTrigger:
    return RollTrigger.model_validate(
        {"container": "app", "reason": "Leaking", "message": "", "usageBytes": 1, "timeToLimitSeconds": seconds}
    )


def test_the_largest_integer_is_read():
    assert trigger(MAX_INTEGER).time_to_limit_seconds == MAX_INTEGER


@pytest.mark.parametrize("seconds", [MAX_INTEGER + 1, 10**400, "9" * 400])
def test_a_larger_one_is_refused_by_its_name(seconds):
    with pytest.raises(ValidationError, match="timeToLimitSeconds must be an integer of 64 bits"):
        trigger(seconds)
