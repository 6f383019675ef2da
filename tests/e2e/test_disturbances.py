"""Disturbances by users and the cluster during a surge leave no orphaned pod. `make soak` runs more cases."""

from __future__ import annotations

import pytest

from tests.e2e.images import OPERATOR
from tests.soak import disturbances, garbage
from tests.soak.cases import run_case
from tests.soak.uninstall import uninstall_case

NODE_DRAINED = pytest.param("node-drained", marks=pytest.mark.alone)
CASES = {case.name: case for case in (*disturbances.CASES, *garbage.CASES)}
WITHOUT_A_POD = ["scaled-to-zero", "workload-deleted"]
UNCHANGED = ["canceled-late-1", "canceled-late-3", "two-budgets"]
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


@pytest.mark.area("disturbed")
@pytest.mark.parametrize("name", ["rollout-1", "scaled-down", NODE_DRAINED, "rolls-deleted-early"])
def test_a_disturbed_roll_ends_and_orphans_no_pod(scenario, name):
    result = run_case(CASES[name], scenario)
    assert result.errors == []
    assert result.orphaned_pods == ()


@pytest.mark.area("disturbed")
@pytest.mark.parametrize("name", WITHOUT_A_POD)
def test_a_roll_of_a_pod_that_is_no_longer_needed_is_aborted_and_no_success(scenario, name):
    result = run_case(CASES[name], scenario)
    assert result.errors == []
    assert result.orphaned_pods == ()


@pytest.mark.area("disturbed")
@pytest.mark.parametrize("name", UNCHANGED)
def test_a_roll_that_can_t_or_must_not_evict_leaves_the_same_pods(scenario, name):
    result = run_case(CASES[name], scenario)
    assert result.errors == []
    assert result.failures == ()


@pytest.mark.area("deleted")
@pytest.mark.parametrize("name", ["gc-roll-late-foreground-3", "gc-roll-early-orphan-1", "gc-workload-late-orphan"])
def test_what_a_user_deletes_or_orphans_costs_no_ready_pod(scenario, name):
    result = run_case(CASES[name], scenario)
    assert result.errors == []
    assert result.failures == ()


@pytest.mark.area("deleted")
@pytest.mark.parametrize("name", ["gc-workload-early-foreground", "gc-workload-late-background"])
def test_a_released_pod_goes_with_its_workload(scenario, name):
    result = run_case(CASES[name], scenario)
    assert result.errors == []
    assert result.orphaned_pods == ()


@pytest.mark.area("uninstalled", watched=False)
def test_an_uninstall_during_a_surge_restores_the_pod(scenario):
    result = run_case(uninstall_case(OPERATOR), scenario)
    assert result.errors == []
    assert result.orphaned_pods == ()
