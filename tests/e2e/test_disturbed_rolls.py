"""What users and the cluster do in mid-surge leaves no stray pod. `make soak` plays more of it."""

from __future__ import annotations

import pytest

from tests.e2e.images import OPERATOR
from tests.soak import disturbed
from tests.soak.outcome import play
from tests.soak.uninstalled import uninstalled

NODE_DRAINED = pytest.param("node-drained", marks=pytest.mark.alone)
CASES = {case.name: case for case in disturbed.CASES}
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


@pytest.mark.area("disturbed")
@pytest.mark.parametrize("name", ["rollout-1", "scaled-down", NODE_DRAINED, "rolls-deleted-early"])
def test_a_disturbed_roll_ends_and_strands_nothing(stage, name):
    outcome = play(CASES[name], stage)
    assert outcome.faults == []
    assert outcome.strays == ()


@pytest.mark.area("uninstalled", watched=False)
def test_an_uninstall_in_mid_surge_puts_the_pod_back(stage):
    outcome = play(uninstalled(OPERATOR), stage)
    assert outcome.faults == []
    assert outcome.strays == ()
