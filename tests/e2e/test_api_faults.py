"""An API server in trouble: nothing is lost, nothing done twice, no restart is needed."""

from __future__ import annotations

import pytest

from tests.faults.short import figures_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


def test_rolls_get_through_an_api_server_in_trouble(cluster):
    assert figures_of(cluster, "api-faults")["restarts"] == 0


def test_a_write_whose_answer_is_lost_is_not_done_twice(cluster):
    assert figures_of(cluster, "lost-answers")["evictions"] == 1


def test_a_roll_whose_creation_got_no_answer_is_not_created_twice(cluster):
    assert figures_of(cluster, "lost-creation")["rolls"] == 1


def test_a_bug_that_marks_every_pod_as_breaching_is_stopped_by_the_guard(cluster):
    figures_of(cluster, "runaway")
