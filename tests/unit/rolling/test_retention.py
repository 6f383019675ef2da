from __future__ import annotations

import pytest

from memroll.rolling.retention import expired
from tests.builders import NOW, ended

DAY = 86_400
KEPT = [
    pytest.param(None, 6, True, id="a week"),
    pytest.param(None, 8, False, id="over a week"),
    pytest.param("Helped", 8, False, id="one that helped"),
    pytest.param("LeakPersists", 8, False, id="one that bought time"),
    pytest.param("Ineffective", 29, True, id="one that did not help holds others for up to a week each"),
    pytest.param("Ineffective", 31, False, id="but is forgotten after a month"),
]


@pytest.mark.parametrize(("effect", "days", "kept"), KEPT)
def test_how_long_a_finished_roll_is_kept(effect, days, kept):
    roll = ended("Succeeded", -days * DAY, memory={"effect": effect} if effect else {})
    assert expired([roll], NOW) == (() if kept else (roll,))
