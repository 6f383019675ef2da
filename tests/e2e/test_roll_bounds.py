"""Rolls that would never end, or be carried out twice, without a bound. `make soak` runs more cases."""

from __future__ import annotations

import pytest

from tests.soak import competing_rolls, stuck_pods
from tests.soak.cases import run_case

CASES = {case.name: case for case in [*stuck_pods.CASES, *competing_rolls.CASES]}
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420), pytest.mark.area("bounds")]


def test_a_roll_succeeds_while_its_replaced_pod_still_terminates(scenario):
    result = run_case(CASES["stuck-terminating-pod"], scenario)
    assert result.errors == []
    assert (result.rolls, result.failures, result.orphaned_pods) == (1, (), ())


def test_of_several_rolls_of_one_pod_one_is_carried_out(scenario):
    result = run_case(CASES["two-rolls-of-one-pod"], scenario)
    assert result.errors == []
    assert (result.failures, result.orphaned_pods) == ((), ())
