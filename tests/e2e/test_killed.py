"""SIGKILL around the acts of a roll and at random moments: tests/faults has the full forms."""

from __future__ import annotations

import pytest

from tests.faults.short import figures_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


def test_killed_around_each_act_of_one_roll_it_still_acts_once(cluster):
    figures = figures_of(cluster, "killed-all-in-one-roll")
    assert (figures["kills"], figures["ended"]) == (5, "1 Succeeded")


def test_killed_at_random_moments_every_roll_ends(cluster):
    assert figures_of(cluster, "killed-at-random")["kills"] == 4
