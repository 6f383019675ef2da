"""SIGKILL around the actions of a roll and at random times: short forms of cases in tests/faults."""

from __future__ import annotations

import pytest

from tests.faults.short_cases import run_short_case

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


def test_after_sigkills_around_the_actions_of_a_roll_each_action_happened_once(cluster):
    measurements = run_short_case(cluster, "killed-all-in-one-roll")
    assert (measurements["kills"], measurements["ended"]) == (5, "1 Succeeded")


def test_after_sigkills_at_random_times_every_roll_ends(cluster):
    assert run_short_case(cluster, "killed-at-random")["kills"] == 4
