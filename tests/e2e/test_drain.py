"""Detach: new connections go to the replacement, and responses in flight on the old pod are completed."""

from __future__ import annotations

import pytest

from tests.soak import drains
from tests.soak.cases import run_case

CASES = {case.name: case for case in drains.CASES}
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420), pytest.mark.area("drain")]


@pytest.mark.parametrize("name", ["drained-for-a-time", "drained-until-idle"])
def test_a_stream_of_30_s_is_completed_while_new_requests_go_to_the_replacement(scenario, name):
    result = run_case(CASES[name], scenario)
    assert result.errors == []
    assert result.failures == ()


def test_a_pod_that_a_networkpolicy_selects_by_the_services_only_label_is_not_detached(scenario):
    result = run_case(CASES["drain-skipped"], scenario)
    assert result.errors == []
    assert result.failures == ()
