"""Faults of the API server: no roll is lost or repeated, and no restart is necessary."""

from __future__ import annotations

import pytest

from tests.faults.short_cases import run_short_case

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


def test_rolls_succeed_while_the_api_server_fails(cluster):
    assert run_short_case(cluster, "api-faults")["restarts"] == 0


def test_a_write_whose_response_is_lost_is_not_repeated(cluster):
    assert run_short_case(cluster, "lost-answers")["evictions"] == 1


def test_a_podroll_whose_creation_got_no_response_is_not_created_twice(cluster):
    assert run_short_case(cluster, "lost-creation")["rolls"] == 1


def test_a_bug_that_puts_every_pod_at_risk_is_stopped_by_the_rate_limit(cluster):
    found = run_short_case(cluster, "runaway")
    assert found["pods"] > found["allowed per hour"] >= found["created"] > 0
    assert found["events"] > 0
