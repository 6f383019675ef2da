"""Growth phase: its duration, its plateaus and the earlier levels."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.container_history import ContainerHistory
from memroll.detection.growth_phase import (
    BINS_PER_WINDOW,
    LONG_PHASE_RATIO,
    LOW_RATIO,
    MAX_GAP_WINDOWS,
    START_RATIO,
    measure_growth_phase,
)
from memroll.detection.series import Series
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, NOW_H, NOW_S, PARAMETERS, flat, leak, lived, ramp


def phase_of(curve, **changes):
    found = measure_growth_phase(lived(curve, **changes), PARAMETERS, NOW_S)
    assert found is not None
    return found


@pytest.mark.parametrize("samples", [0, 1])
def test_one_sample_is_no_growth_phase(samples):
    series = Series(np.full(samples, NOW_S), np.full(samples, 1.0))
    assert measure_growth_phase(ContainerHistory(series, series, 0.0, None), PARAMETERS, NOW_S) is None


def test_the_level_is_that_of_the_lower_envelope_now():
    assert phase_of(leak(10)).level_bytes == pytest.approx(600 * MIB, abs=6 * MIB)
    assert phase_of(lambda h: 300 + 200 * (np.abs(h - NOW_H) < 0.05)).level_bytes == pytest.approx(300 * MIB, rel=0.01)


@pytest.mark.parametrize("hours", [1, 2, 3.5])
def test_the_duration_counts_from_the_end_of_the_lowest_quarter(hours):
    found = phase_of(ramp(300, NOW_H - hours, hours))
    assert found.duration_s == pytest.approx((1 - LOW_RATIO) * hours * HOUR_S, abs=600)
    assert found.start_age_s == pytest.approx((1 - START_RATIO) * hours * HOUR_S, abs=600)


@pytest.mark.parametrize("hours", [10, 20])
def test_growth_that_fills_the_window_is_measured_over_the_day(hours):
    assert (1 - LOW_RATIO) * PARAMETERS.window_s > LONG_PHASE_RATIO * PARAMETERS.window_s
    found = phase_of(ramp(300, NOW_H - hours, hours))
    assert found.duration_s == pytest.approx((1 - LOW_RATIO) * hours * HOUR_S, abs=900)
    assert found.start_age_s > found.duration_s


def test_a_burst_on_top_of_an_old_rise_has_the_duration_of_the_burst():
    old_rise = ramp(100, 20, 8)
    found = phase_of(lambda h: old_rise(h) + 300 * np.clip((h - 39) / 1, 0, 1))
    assert found.duration_s < HOUR_S


@pytest.mark.parametrize(("at_h", "known"), [(25.0, True), (30.0, False)])
def test_earlier_levels_are_those_before_the_last_two_windows(at_h, known):
    """A plateau of two hours with a burst within it."""

    def burst(h):
        return 200 + 400 * (np.abs(h - at_h) < 1) + 100 * (np.abs(h - at_h) < 0.03)

    found = phase_of(burst)
    level, peak = (600, 700) if known else (200, 200)
    assert found.previous_max_level_bytes == pytest.approx(level * MIB, rel=0.02)
    assert found.previous_max_usage_bytes == pytest.approx(peak * MIB, rel=0.02)


def test_a_pod_younger_than_two_windows_has_no_earlier_levels():
    found = phase_of(leak(20, since_h=30), born_h=30)
    assert (found.previous_max_level_bytes, found.previous_max_usage_bytes) == (0.0, 0.0)


@pytest.mark.parametrize("noise_mib", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("plateau_h", [0.5, 1.0, 3.0])
def test_a_plateau_counts_from_the_last_new_high_and_noise_makes_none(plateau_h, noise_mib):
    found = phase_of(ramp(300, 30, 10 - plateau_h), noise_mib=noise_mib)
    assert found.plateau_s == pytest.approx(plateau_h * HOUR_S, abs=600)


def test_steady_growth_has_no_plateaus_and_stairs_have_one_on_each_step():
    steady = phase_of(leak(20), noise_mib=0)
    assert max(steady.plateau_s, steady.longest_plateau_s) <= 2 * PARAMETERS.window_s / BINS_PER_WINDOW
    stairs = phase_of(lambda h: 200 + 20 * np.floor(h / 1.5), noise_mib=0)
    assert stairs.longest_plateau_s == pytest.approx(1.5 * HOUR_S, abs=600)


def test_the_time_before_the_growth_is_no_plateau_of_it():
    found = phase_of(ramp(300, NOW_H - 1.5, 1), noise_mib=0.5)
    assert found.longest_plateau_s <= 2 * PARAMETERS.window_s / BINS_PER_WINDOW
    assert found.plateau_s == pytest.approx(0.5 * HOUR_S, abs=600)


def test_without_growth_the_whole_window_is_a_plateau():
    assert phase_of(flat(300), noise_mib=0).plateau_s == pytest.approx(PARAMETERS.window_s, rel=0.02)


def test_the_time_at_a_slope_is_that_of_the_whole_rise():
    found = phase_of(ramp(300, NOW_H - 5, 5))
    assert found.time_at_slope_s(60 * MIB / HOUR_S) == pytest.approx(5 * HOUR_S, rel=0.1)
    assert found.time_at_slope_s(600 * MIB / HOUR_S) == pytest.approx(0.5 * HOUR_S, rel=0.1)


def without_samples(history, start_h, end_h):
    times = history.rss.times_s / HOUR_S
    kept = (times <= start_h) | (times > end_h)
    rss = Series(history.rss.times_s[kept], history.rss.values[kept])
    return ContainerHistory(rss, rss, history.started_at_s, history.limit_bytes)


def test_a_gap_is_neither_growth_nor_a_pause():
    whole = lived(ramp(300, NOW_H - 5, 5))
    seen = measure_growth_phase(whole, PARAMETERS, NOW_S)
    gappy = measure_growth_phase(without_samples(whole, NOW_H - 3, NOW_H - 1), PARAMETERS, NOW_S)
    assert seen is not None
    assert gappy is not None
    assert gappy.duration_s == pytest.approx(seen.duration_s - 2 * HOUR_S, abs=600)
    assert gappy.longest_plateau_s < HOUR_S


def test_growth_before_a_long_gap_may_be_another_phase():
    gap_h = MAX_GAP_WINDOWS * PARAMETERS.window_s / HOUR_S + 0.5
    found = measure_growth_phase(
        without_samples(lived(ramp(300, NOW_H - 9, 9)), NOW_H - 1 - gap_h, NOW_H - 1), PARAMETERS, NOW_S
    )
    assert found is not None
    assert found.duration_s <= HOUR_S
