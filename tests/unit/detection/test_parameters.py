"""Detection parameters that are built from a policy."""

from __future__ import annotations

import pytest

from memroll.detection.parameters import build_parameters
from memroll.detection.samples import SampleRange
from tests.builders import LIMIT, policy


@pytest.mark.parametrize(
    ("growth", "lookback_h", "step_s"),
    [
        pytest.param({}, 30.5, 60, id="the defaults: a day, a window and growth.for, a point a minute"),
        pytest.param({"window": "24h"}, 120.5, 240, id="long windows are read more coarsely"),
        pytest.param({"window": "3m", "warmUp": "20s", "for": "30s"}, 15.5 / 60, None, id="every sample of short ones"),
    ],
)
def test_the_history_that_is_read_is_bounded(growth, lookback_h, step_s):
    parameters = build_parameters(policy(growth=growth), None)
    found = SampleRange.for_window(parameters.lookback_s, parameters.window_s)
    assert found.lookback_s == pytest.approx(lookback_h * 3600)
    assert found.step_s == step_s
    assert step_s is None or found.lookback_s / step_s <= 2000


def test_a_fixed_lead_time_is_a_parameter():
    assert build_parameters(policy(exhaustion={"leadTime": "2h"}), LIMIT).lead_time.fixed_s == 7200


def test_the_threshold_is_a_percentage_of_the_limit():
    assert build_parameters(policy(growth={"perHour": "50%"}), LIMIT).threshold_bytes_per_s == LIMIT / 2 / 3600
    assert build_parameters(policy(growth={"perHour": "50%"}), None).threshold_bytes_per_s is None


@pytest.mark.parametrize(
    ("given", "rolls"), [({}, False), ({"otherMemory": "Report"}, False), ({"otherMemory": "Roll"}, True)]
)
def test_other_memory_is_rolled_only_where_the_policy_opts_in(given, rolls):
    assert build_parameters(policy(exhaustion=given), LIMIT).roll_other_memory is rolls


def test_load_is_cpu_unless_the_policy_names_a_metric():
    assert build_parameters(policy(), LIMIT).load_is_cpu
    assert not build_parameters(policy(load={"metric": "http_requests_total"}), LIMIT).load_is_cpu
