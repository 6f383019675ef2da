from __future__ import annotations

import pytest
from pydantic import ValidationError

from memroll.api.pod_roll import PodRoll
from tests.builders import OUT_OF_RANGE_TIMES, roll_json


def test_a_roll_is_parsed_back_from_its_json():
    read = PodRoll.read(roll_json("Replacing", podUID="uid-leaky-abc", times={"announced": "2026-03-01T12:00:00Z"}))
    assert read.active
    assert read.pod_uid == "uid-leaky-abc"
    assert read.spec.to_dict()["podUID"] == "uid-leaky-abc"
    assert read.status.to_dict()["times"] == {"announced": "2026-03-01T12:00:00Z"}


@pytest.mark.parametrize("time", OUT_OF_RANGE_TIMES)
def test_a_time_that_arithmetic_could_overflow_is_invalid(time):
    with pytest.raises(ValidationError, match="is not between the years 1970 and 3000"):
        PodRoll.read(roll_json(spec={"trigger": {"containerStarted": time}}))


@pytest.mark.parametrize("policy", [".", "..", "-", "a/b", "A"])
def test_a_name_that_no_policy_can_have_is_invalid(policy):
    with pytest.raises(ValidationError, match="policy"):
        PodRoll.read(roll_json(spec={"policy": policy}))


@pytest.mark.parametrize("policy", ["", "a", "chat.v2-memory"])
def test_the_name_of_the_policy_is_that_of_an_object_or_empty(policy):
    assert PodRoll.read(roll_json(spec={"policy": policy})).spec.policy == policy
