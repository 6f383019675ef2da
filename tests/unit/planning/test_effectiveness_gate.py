"""Gate that blocks a workload after ineffective rolls."""

from __future__ import annotations

from datetime import timedelta

import pytest

from memroll.api.pod_roll import EffectResult
from memroll.planning.effectiveness_gate import check_effectiveness, pause_after
from tests.builders import WORKLOAD_REF, candidate, container, context, measured_roll, pod, stamp

HOUR = 3600
NEXT = candidate(pod=pod(containers=(container(image="leaky:1"),)))
STATEFUL = {"release": None}
INEFFECTIVE, EFFECTIVE, PERSISTS = EffectResult.INEFFECTIVE, EffectResult.EFFECTIVE, EffectResult.LEAK_PERSISTS
CASES = [
    pytest.param([], None, id="no roll yet"),
    pytest.param([measured_roll(EFFECTIVE, -HOUR)], None, id="an effective roll"),
    pytest.param([measured_roll(PERSISTS, -HOUR)], None, id="a leak that persists"),
    pytest.param([measured_roll(INEFFECTIVE, -HOUR)], 5 * HOUR, id="an ineffective roll: 6 h"),
    pytest.param([measured_roll(INEFFECTIVE, -6 * HOUR)], None, id="6 h later"),
    pytest.param(
        [measured_roll(INEFFECTIVE, -9 * HOUR), measured_roll(INEFFECTIVE, -HOUR)], 11 * HOUR, id="two in a row: 12 h"
    ),
    pytest.param(
        [measured_roll(INEFFECTIVE, -9 * HOUR), measured_roll(EFFECTIVE, -HOUR)], None, id="the last one was effective"
    ),
    pytest.param(
        [measured_roll(INEFFECTIVE, -9 * HOUR), measured_roll(EFFECTIVE, -5 * HOUR), measured_roll(INEFFECTIVE, -HOUR)],
        5 * HOUR,
        id="the count starts again",
    ),
    pytest.param(
        [measured_roll(INEFFECTIVE, -2 * HOUR), measured_roll(None, -HOUR)],
        4 * HOUR,
        id="the effect of the last one is unknown",
    ),
    pytest.param([measured_roll(INEFFECTIVE, -HOUR, hash="4c")], None, id="another revision"),
    pytest.param(
        [measured_roll(INEFFECTIVE, -HOUR, **STATEFUL)], 5 * HOUR, id="no revision in the record, the same image"
    ),
    pytest.param(
        [measured_roll(INEFFECTIVE, -HOUR, **STATEFUL, trigger={"image": "leaky:0"})], None, id="another image"
    ),
    pytest.param(
        [measured_roll(INEFFECTIVE, -HOUR, **STATEFUL, trigger={"image": ""})], 5 * HOUR, id="no image in the record"
    ),
    pytest.param([measured_roll(INEFFECTIVE, -HOUR, trigger={"container": "proxy"})], None, id="another container"),
    pytest.param(
        [measured_roll(INEFFECTIVE, -HOUR, workload=WORKLOAD_REF | {"name": "other"})], None, id="another workload"
    ),
]


@pytest.mark.parametrize(("rolls", "left_s"), CASES)
def test_a_workload_is_blocked_after_ineffective_rolls(rolls, left_s):
    message = check_effectiveness(NEXT, context(*rolls)).message
    if left_s is None:
        assert message == ""
    else:
        assert message.startswith(f"blocked until {stamp(left_s)} or a new revision: ")
        assert message.endswith("ineffective (freed 2.0 MiB of 110.0 MiB)")
        assert len(message) <= 256


def test_a_pod_without_a_workload_is_not_blocked():
    assert check_effectiveness(candidate(workload=None), context(measured_roll(INEFFECTIVE, -HOUR))).message == ""


def test_the_pause_doubles_up_to_a_week():
    hours = [pause_after(n) / timedelta(hours=1) for n in (1, 2, 3, 4, 5, 6, 1000)]
    assert hours == [6, 12, 24, 48, 96, 168, 168]
