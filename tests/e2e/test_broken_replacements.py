"""Replacements that can't become Ready never cost the old pod. `make soak` runs all cases."""

from __future__ import annotations

import pytest

from tests.soak import broken_replacements
from tests.soak.cases import run_case

CASES = {case.name: case for case in broken_replacements.CASES}
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420), pytest.mark.area("broken")]


@pytest.mark.parametrize("name", ["unschedulable", "crash-looping"])
def test_the_old_pod_is_restored_the_replacement_deleted_and_no_spec_changed(scenario, name):
    result = run_case(CASES[name], scenario)
    assert result.errors == []
    assert result.failures == ()
    assert [reason.partition("/")[0] for reason in result.reasons] == ["Failed"], "the PodRoll has a reason"
