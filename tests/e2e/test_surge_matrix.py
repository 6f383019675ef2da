"""Surge, some times in a row, on a leaking service. `make soak` plays all of the matrix, 20 times each."""

from __future__ import annotations

import pytest

from tests.soak import matrix
from tests.soak.outcome import play

ROLLS = 3
CASES = {case.name: case for case in matrix.CASES}
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420), pytest.mark.area("matrix")]


@pytest.mark.parametrize("name", ["surge-1-min-100", "surge-3-max-0"])
def test_rolls_in_a_row_lose_no_request_whatever_the_budget(stage, name):
    outcome = play(CASES[name], stage, ROLLS)
    assert outcome.faults == []
    assert (outcome.rolls, outcome.failures, outcome.oom_kills, outcome.strays) == (ROLLS, (), 0, ())
    assert outcome.requests > 200
