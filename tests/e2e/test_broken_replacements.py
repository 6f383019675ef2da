"""A replacement that can't become Ready never costs the pod that works. `make soak` plays all the ways to break one."""

from __future__ import annotations

import pytest

from tests.soak import broken
from tests.soak.outcome import play

CASES = {case.name: case for case in broken.CASES}
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420), pytest.mark.area("broken")]


@pytest.mark.parametrize("name", ["unschedulable", "crash-looping"])
def test_the_old_pod_is_back_the_newcomer_gone_and_no_spec_changed(stage, name):
    outcome = play(CASES[name], stage)
    assert outcome.faults == []
    assert outcome.failures == ()
    assert [reason.partition("/")[0] for reason in outcome.reasons] == ["Failed"], "and the PodRoll says why"
