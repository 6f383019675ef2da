"""Memory of the steps: values are forgotten when they are too old, and when there are too many."""

from __future__ import annotations

from memroll.reconcile.step_memory import MAX_REMEMBERED, Recent
from tests.builders import at


def test_a_value_is_forgotten_when_it_is_too_old_or_the_clock_was_set_back():
    recent: Recent[str, int] = Recent(5.0)
    for seconds in (5, -1):
        recent.put("a", 1, at(0))
        assert recent.get("a", at(4)) == 1
        assert recent.get("a", at(seconds)) == (1 if seconds == 5 else None)
    recent.put("a", 1, at(0))
    assert recent.get("a", at(6)) is None
    assert recent.get("a", at(4)) is None, "a value that was too old is gone"


def test_a_value_can_be_taken_once():
    recent: Recent[str, int] = Recent(5.0)
    recent.put("a", 1, at(0))
    assert [recent.take("a", at(1)), recent.take("a", at(1))] == [1, None]


def test_the_number_of_values_is_bounded():
    recent: Recent[int, int] = Recent(5.0)
    for number in range(MAX_REMEMBERED + 10):
        recent.put(number, number, at(0))
    assert [recent.get(n, at(0)) for n in (0, 9, 10, MAX_REMEMBERED + 9)] == [None, None, 10, MAX_REMEMBERED + 9]
