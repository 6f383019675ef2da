"""How long a climb has lasted, and whether it has come to a halt."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.container_history import Subject
from memroll.detection.growth_phase import BINS_PER_WINDOW, LATE_SHARE, LOW_SHARE, LOWER_SHARE, climb
from memroll.detection.series import Series
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, NOW_H, NOW_S, RULE, flat, leak, lived, ramp


def climbed(curve, **changes):
    found = climb(lived(curve, **changes), RULE, NOW_S)
    assert found is not None
    return found


@pytest.mark.parametrize("samples", [0, 1])
def test_one_sample_is_no_climb(samples):
    series = Series(np.full(samples, NOW_S), np.full(samples, 1.0))
    assert climb(Subject(series, series, 0.0, None), RULE, NOW_S) is None


def test_its_level_is_the_floor_of_now():
    assert climbed(leak(10)).level_bytes == pytest.approx(600 * MIB, abs=6 * MIB)
    assert climbed(lambda h: 300 + 200 * (np.abs(h - NOW_H) < 0.05)).level_bytes == pytest.approx(300 * MIB, rel=0.01)


@pytest.mark.parametrize("hours", [1, 2, 3.5])
def test_a_late_climb_has_lasted_since_it_left_its_lowest_quarter(hours):
    found = climbed(ramp(300, NOW_H - hours, hours))
    assert found.lasted_s == pytest.approx((1 - LOW_SHARE) * hours * HOUR_S, abs=600)
    assert found.began_s == pytest.approx((1 - LOWER_SHARE) * hours * HOUR_S, abs=600)


@pytest.mark.parametrize("hours", [10, 20])
def test_a_climb_that_fills_the_window_is_followed_back_through_the_day(hours):
    assert (1 - LOW_SHARE) * RULE.window_s > LATE_SHARE * RULE.window_s
    found = climbed(ramp(300, NOW_H - hours, hours))
    assert found.lasted_s == pytest.approx((1 - LOW_SHARE) * hours * HOUR_S, abs=900)
    assert found.began_s > found.lasted_s


def test_a_burst_on_top_of_an_old_rise_has_lasted_as_long_as_the_burst():
    old_rise = ramp(100, 20, 8)
    found = climbed(lambda h: old_rise(h) + 300 * np.clip((h - 39) / 1, 0, 1))
    assert found.lasted_s < HOUR_S


@pytest.mark.parametrize(("at_h", "known"), [(25.0, True), (30.0, False)])
def test_past_highs_are_those_from_before_two_windows(at_h, known):
    """A plateau of two hours with a burst in its midst."""

    def burst(h):
        return 200 + 400 * (np.abs(h - at_h) < 1) + 100 * (np.abs(h - at_h) < 0.03)

    found = climbed(burst)
    level, peak = (600, 700) if known else (200, 200)
    assert found.past_high_bytes == pytest.approx(level * MIB, rel=0.02)
    assert found.past_peak_bytes == pytest.approx(peak * MIB, rel=0.02)


def test_a_pod_younger_than_two_windows_has_no_past():
    found = climbed(leak(20, since_h=30), born_h=30)
    assert (found.past_high_bytes, found.past_peak_bytes) == (0.0, 0.0)


@pytest.mark.parametrize("noise_mib", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("halted_h", [0.5, 1.0, 3.0])
def test_a_climb_stalls_since_its_last_new_high_and_noise_makes_none(halted_h, noise_mib):
    found = climbed(ramp(300, 30, 10 - halted_h), noise_mib=noise_mib)
    assert found.stall_s == pytest.approx(halted_h * HOUR_S, abs=600)


def test_a_steady_climb_never_pauses_and_stairs_pause_on_each_step():
    steady = climbed(leak(20), noise_mib=0)
    assert max(steady.stall_s, steady.stall_most_s) <= 2 * RULE.window_s / BINS_PER_WINDOW
    stairs = climbed(lambda h: 200 + 20 * np.floor(h / 1.5), noise_mib=0)
    assert stairs.stall_most_s == pytest.approx(1.5 * HOUR_S, abs=600)


def test_the_calm_before_a_climb_is_no_pause_of_it():
    found = climbed(ramp(300, NOW_H - 1.5, 1), noise_mib=0.5)
    assert found.stall_most_s <= 2 * RULE.window_s / BINS_PER_WINDOW
    assert found.stall_s == pytest.approx(0.5 * HOUR_S, abs=600)


def test_what_does_not_climb_stalls_throughout_the_window():
    assert climbed(flat(300), noise_mib=0).stall_s == pytest.approx(RULE.window_s, rel=0.02)
