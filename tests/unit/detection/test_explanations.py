"""Explanations of growth close to the limit: a rise of hours after days at one level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.exhaustion import check_exhaustion
from memroll.detection.reasons import VerdictReason
from memroll.detection.series import Series
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, NOW_H, NOW_S, PARAMETERS, flat, lived, ramp


def check(history, *peers):
    return check_exhaustion(history, PARAMETERS, NOW_S, peers)


def of_days(history, days):
    return replace(history, started_at_s=NOW_S - days * 24 * HOUR_S)


RISE = ramp(630, NOW_H - 3, 3)
"""Three hours up to 81 % of the limit: an hour is left."""


def held(curve, days=9, level_mib=200.0, **changes):
    """Return a container whose minima were at one level for days before this curve."""
    hours = np.arange(NOW_H - days * 24, NOW_H + 1)
    minima = Series(hours * HOUR_S, (np.full(hours.size, level_mib) + curve(hours) - curve(hours[:1])) * MIB)
    return replace(of_days(lived(curve, **changes), days), minima=minima)


def test_a_rise_of_hours_after_days_at_one_level_is_due_when_half_an_hour_is_left():
    found = check(held(RISE))
    assert (found.reason, found.due) == (VerdictReason.GROWTH_TOO_RECENT, False)
    assert "rolled when 30m are left" in found.message
    assert found.time_to_limit_s < found.lead_time_s, "only this holds it"
    assert check(held(ramp(760, NOW_H - 3, 3))).due, "a leak that begins as suddenly is not lost"


@pytest.mark.parametrize(
    "history",
    [
        held(RISE, days=2.5),
        held(ramp(720, NOW_H - 8, 8)),
        held(RISE, level_mib=0.0),
        of_days(lived(RISE), 9),
    ],
    ids=["young", "growing for longer than a window", "after an earlier rise", "without a long history"],
)
def test_any_other_rise_keeps_its_lead_time(history):
    assert check(history).due


def test_a_sudden_rise_is_due_if_a_peer_went_up_to_its_limit():
    peer = lived(ramp(824, 20, 3), until_h=23, seed=2)
    assert check(held(RISE), peer).due
    harmless = lived(flat(200), seed=2)
    assert check(held(ramp(720, NOW_H - 5, 5)), harmless).reason is VerdictReason.GROWTH_TOO_RECENT
