"""Decoding of listed objects: one that can't be decoded does not hide the others."""

from __future__ import annotations

import logging

import pytest

from memroll.api.decode import decode_valid
from memroll.api.pod_roll import PodRoll
from tests.builders import OUT_OF_RANGE_TIMES, roll_json


@pytest.mark.parametrize("time", OUT_OF_RANGE_TIMES)
def test_a_roll_with_a_time_out_of_range_does_not_hide_the_others(time):
    odd, invalid = roll_json(spec={"trigger": {"containerStarted": time}}), []
    found = list(decode_valid([roll_json(), odd, roll_json()], PodRoll.read, invalid.append))
    assert (len(found), invalid) == (2, [odd])


def test_an_object_that_triggers_a_bug_does_not_hide_the_others(caplog):
    """Any tenant may have written the object."""

    def decode(raw):
        return 1 / raw["n"]

    objects, invalid = [{"n": 1}, {"n": 0}, {"n": 2}], []
    with caplog.at_level(logging.ERROR):
        assert list(decode_valid(objects, decode, invalid.append)) == [1.0, 0.5]
    assert invalid == [{"n": 0}]
    assert "bug: decoding an object failed" in caplog.text
