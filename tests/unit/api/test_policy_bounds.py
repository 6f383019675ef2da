"""Bounds of the administrator: each message names the field, its value, what is allowed, and the value of the chart."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from memroll.api.policy_bounds import UNBOUNDED, PolicyBounds
from memroll.controller.context import bounds_from
from memroll.errors import BoundExceededError
from memroll.settings import Settings
from tests.builders import policy

BOUNDS = PolicyBounds(timedelta(seconds=30), timedelta(hours=48), 5000, 50, 20)


def test_the_defaults_of_the_process_are_those_of_the_chart():
    assert bounds_from(Settings()) == BOUNDS


@pytest.mark.parametrize(
    ("spec", "reason", "named"),
    [
        ({"interval": "5s"}, "IntervalTooShort", ("spec.interval is 5s", "30s or more", "policyBounds.minInterval")),
        (
            {"interval": "5m", "growth": {"window": "168h"}}, "WindowTooLong",
            ("spec.growth.window is 168h", "48h or less", "policyBounds.maxWindow"),
        ),
    ],
)  # fmt: skip
def test_a_spec_out_of_bounds_is_refused(spec, reason, named):
    with pytest.raises(BoundExceededError, match=".*".join(map(re.escape, named))) as caught:
        BOUNDS.check_spec(policy(**spec).spec)
    assert caught.value.reason == reason
    UNBOUNDED.check_spec(policy(**spec).spec)


def test_a_spec_at_its_bounds_is_accepted():
    BOUNDS.check_spec(policy(interval="30s", growth={"window": "48h"}).spec)


def test_too_many_pods_and_policies_are_refused():
    BOUNDS.check_pods(5000, "spec.selector")
    with pytest.raises(BoundExceededError, match=r"spec.selector selects 5001 pods: .* 5000 .*podsPerPolicy"):
        BOUNDS.check_pods(5001, "spec.selector")
    BOUNDS.check_policies(49)
    with pytest.raises(BoundExceededError, match=r"number 51 of its namespace .* 50 .*policiesPerNamespace"):
        BOUNDS.check_policies(50)
