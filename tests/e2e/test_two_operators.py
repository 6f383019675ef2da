"""Two operators, the leader paused past its lease: never two acting."""

from __future__ import annotations

import pytest

from tests.faults.short import figures_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


def test_a_leader_that_wakes_after_its_lease_does_nothing_more(cluster):
    figures = figures_of(cluster, "two-operators")
    assert figures["ended"] == "2 Succeeded"
    assert figures["taken over in mid-roll"] != 0
