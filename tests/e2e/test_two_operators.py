"""Two operators, the leader paused for longer than its Lease: never do both act."""

from __future__ import annotations

import pytest

from tests.faults.short_cases import run_short_case

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


def test_a_leader_that_resumes_after_its_lease_writes_nothing(cluster):
    measurements = run_short_case(cluster, "two-operators")
    assert measurements["ended"] == "2 Succeeded"
    assert measurements["taken over during a roll"] != 0
