"""Consecutive surges of a leaking service. `make soak` runs the whole matrix, 20 rolls each."""

from __future__ import annotations

import pytest

from tests.soak import surge_matrix
from tests.soak.cases import run_case

ROLLS = 3
CASES = {case.name: case for case in surge_matrix.CASES}
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420), pytest.mark.area("matrix")]


@pytest.mark.parametrize("name", ["surge-1-min-100", "surge-3-max-0"])
def test_no_request_fails_during_consecutive_rolls(scenario, name):
    result = run_case(CASES[name], scenario, ROLLS)
    assert result.errors == []
    assert (result.rolls, result.failures, result.oom_kills, result.orphaned_pods) == (ROLLS, (), 0, ())
    assert result.requests > 200
