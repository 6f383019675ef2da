"""A straight rise that stops just below the limit is reported: `memory.high` may throttle a leak."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.reasons import VerdictReason
from memroll.detection.stopped_growth import describe
from memroll.detection.verdict import Verdict, verdict_for
from tests.unit.detection.days import LIMIT_MIB, NOW_H, NOW_S, PARAMETERS, lived


def stopped(at_ratio, flat_h, *, mib_per_h=30.0, creep=0.0):
    """Build a leak that stopped at this ratio of the limit, hours ago, and creeps on."""
    level = at_ratio * LIMIT_MIB

    def curve(h):
        left_h = NOW_H - flat_h - h
        return level - mib_per_h * np.clip(left_h, 0, None).clip(max=24) + creep * np.clip(-left_h, 0, None)

    return lived(curve)


@pytest.mark.parametrize("at_ratio", [0.905, 0.95, 0.98])
@pytest.mark.parametrize("flat_h", [2, 5, 12])
@pytest.mark.parametrize("creep", [0.0, 0.5])
def test_a_leak_that_is_throttled_below_its_limit_is_reported_and_not_rolled(at_ratio, flat_h, creep):
    found = verdict_for(stopped(at_ratio, flat_h, creep=creep), PARAMETERS, NOW_S)
    assert found.verdict in (Verdict.SUSPECTED, Verdict.LEAKING), found
    assert not found.due


def test_the_message_names_memory_high():
    found = verdict_for(stopped(0.95, 7), PARAMETERS, NOW_S)
    assert found.reason is VerdictReason.STOPPED_BELOW_LIMIT
    assert "memory.high" in found.message
    assert "(95%)" in found.message
    assert "container_memory_events_high_total" in found.message


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(stopped(0.85, 7), id="below any memory.high"),
        pytest.param(stopped(0.95, 0.5), id="just now"),
        pytest.param(stopped(0.95, 7, mib_per_h=2), id="slower than growth.perHour"),
        pytest.param(lived(lambda h: 970 - 500 * np.exp(-h / 6)), id="a curve that settles"),
        pytest.param(lived(lambda h: np.where(h < 30, 400, 970)), id="a step"),
        pytest.param(lived(lambda h: 970 + 0 * h), id="flat throughout"),
    ],
)
def test_other_flat_lines_are_not_reported(history):
    assert describe(history, PARAMETERS, NOW_S) == ""
