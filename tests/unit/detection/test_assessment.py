"""The numbers of a container at risk, as a phrase."""

from __future__ import annotations

import pytest

from memroll.detection.assessment import Assessment, describe_growth
from tests.builders import container, leak_verdict, pod


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        pytest.param(
            leak_verdict(420.0, lead_s=30.0, due=False), "limit in 7m, rolled when 30s are left", id="not due"
        ),
        pytest.param(leak_verdict(20.0, lead_s=30.0), "limit in 20s", id="due"),
        pytest.param(leak_verdict(112.0, lead_s=300.0, due=False), "limit in 112s", id="near, but used too little"),
    ],
)
def test_a_lead_time_that_has_passed_is_not_named(verdict, expected):
    assert describe_growth(Assessment(pod(), container(), verdict)).endswith(expected)
