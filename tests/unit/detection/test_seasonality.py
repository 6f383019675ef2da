"""Comparison of a window with the container's own past."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.seasonality import (
    peak_of_scaled_day_bytes,
    peak_of_similar_day_bytes,
    rise_above_past_day_bytes,
    rise_above_previous_day_bytes,
)
from memroll.detection.shape_checks import usable_limit_bytes
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, NOW_H, flat, leak, lived, trend_window

INF = float("inf")


def day(h, peak_h):
    return 0.5 + 0.5 * np.cos(2 * np.pi / 24 * (h - peak_h))


def test_the_previous_day_is_compared_at_the_same_time():
    same = trend_window(lived(lambda h: 300 + 300 * day(h, NOW_H + 5)))
    assert rise_above_previous_day_bytes(same) < 0
    grown = trend_window(lived(leak(10)))
    assert rise_above_previous_day_bytes(grown) == pytest.approx(240 * MIB, rel=0.1)


def test_a_pod_younger_than_a_day_is_above_its_previous_day():
    young = trend_window(lived(leak(10), born_h=NOW_H - 20))
    assert rise_above_previous_day_bytes(young) == INF
    newborn = trend_window(lived(leak(10), born_h=NOW_H - 5.9))
    assert rise_above_past_day_bytes(newborn) == INF


@pytest.mark.parametrize(("peak_mib", "above"), [(800, False), (300, True)])
def test_highs_of_the_past_day_count_but_not_its_bursts(peak_mib, above):
    high = trend_window(lived(lambda h: np.where((h > 25) & (h < 29), peak_mib, 200) + 20 * (h - 30).clip(0)))
    assert (rise_above_past_day_bytes(high) > 0) is above
    calm, burst = (
        trend_window(lived(lambda h, m=m: 200 + 20 * (h - 30).clip(0) + m * (np.abs(h - 27) < 0.3))) for m in (0, 700)
    )
    assert rise_above_past_day_bytes(burst) == pytest.approx(rise_above_past_day_bytes(calm), rel=0.1)


def test_a_day_like_the_previous_one_is_projected_to_gain_as_much():
    """The previous day gained 40 MiB more from this hour on, at eight ninths of this slope."""

    def days(h):
        return np.interp(h, [0, 10, 16.5, 22, 34, 41], [310, 310, 830, 310, 310, 940])

    window = trend_window(lived(days))
    peak = peak_of_similar_day_bytes(window, 850.0 * MIB, 1.9 * HOUR_S)
    assert (850 + 40 * 90 / 80) * MIB <= peak < usable_limit_bytes(window)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(lived(leak(30, since_h=30)), id="flat the day before"),
        pytest.param(lived(leak(30), born_h=NOW_H - 12), id="no day before"),
        pytest.param(lived(leak(30, since_h=25), born_h=NOW_H - 26), id="only a part of the day before"),
    ],
)
def test_growth_unlike_the_previous_day_is_not_projected(history):
    assert peak_of_similar_day_bytes(trend_window(history), 850.0 * MIB, HOUR_S) == INF


def monday(times):
    return lived(lambda h: 200 + np.where(h < 30, 100, 100 * times) * day(h, NOW_H + 3.5))


@pytest.mark.parametrize(("times", "alike"), [(2, True), (3, True), (1, False), (20, False)])
def test_a_day_is_the_previous_one_at_a_higher_load_if_both_grow(times, alike):
    peak = peak_of_scaled_day_bytes(trend_window(monday(times)))
    if alike:
        top = (200 + 100 * times) * MIB
        assert peak == pytest.approx(top, rel=0.1)
        assert peak < usable_limit_bytes(trend_window(monday(times)))
    else:
        assert peak == INF


def test_long_windows_and_insignificant_days_are_not_scaled():
    assert peak_of_scaled_day_bytes(trend_window(monday(2), window_h=24)) == INF
    assert peak_of_scaled_day_bytes(trend_window(lived(flat(300)))) == INF
    noisy = lived(lambda h: 200 + np.where(h < 24, 100, 200) * day(h, NOW_H + 3.5), noise_mib=80)
    assert peak_of_scaled_day_bytes(trend_window(noisy)) == INF
    young = lived(lambda h: 200 + np.where(h < 24, 100, 200) * day(h, NOW_H + 3.5), born_h=NOW_H - 28)
    assert peak_of_scaled_day_bytes(trend_window(young)) == INF
