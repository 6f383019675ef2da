"""Retention of finished rolls."""

from __future__ import annotations

import pytest

from memroll.rolling.retention import garbage_collectable
from tests.builders import NOW, ended_roll

DAY = 86_400
KEPT = [
    pytest.param(None, 6, True, id="a week"),
    pytest.param(None, 8, False, id="over a week"),
    pytest.param("Effective", 8, False, id="an effective one"),
    pytest.param("LeakPersists", 8, False, id="a leak that persists"),
    pytest.param("Ineffective", 29, True, id="an ineffective one, which blocks its workload"),
    pytest.param("Ineffective", 31, False, id="an ineffective one after a month"),
]


@pytest.mark.parametrize(("result", "days", "kept"), KEPT)
def test_a_finished_roll_is_kept_for_its_retention(result, days, kept):
    roll = ended_roll("Succeeded", -days * DAY, effect={"result": result} if result else {})
    assert garbage_collectable([roll], NOW) == (() if kept else (roll,))
