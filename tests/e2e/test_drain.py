"""Detach: new connections go to the replacement, and what is under way on the old pod is finished."""

from __future__ import annotations

import pytest

from tests.soak import draining
from tests.soak.outcome import play

CASES = {case.name: case for case in draining.CASES}
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420), pytest.mark.area("drain")]


@pytest.mark.parametrize("name", ["drained-for-a-time", "drained-until-idle"])
def test_a_stream_of_30_s_is_finished_while_new_requests_go_to_the_replacement(stage, name):
    outcome = play(CASES[name], stage)
    assert outcome.faults == []
    assert outcome.failures == ()


def test_a_pod_that_a_networkpolicy_selects_by_the_services_only_label_is_not_detached(stage):
    outcome = play(CASES["drain-skipped"], stage)
    assert outcome.faults == []
    assert outcome.failures == ()
