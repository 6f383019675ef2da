"""What a container's own past says about a climb."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.seasonality import (
    above_past_bytes,
    above_yesterday_bytes,
    peak_as_yesterday_bytes,
    peak_of_scaled_day_bytes,
)
from memroll.detection.window import usable_limit
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, NOW_H, flat, leak, lived, look

INF = float("inf")


def day(h, peak_h):
    return 0.5 + 0.5 * np.cos(2 * np.pi / 24 * (h - peak_h))


def test_yesterday_is_the_same_hours_of_the_day_before():
    same = look(lived(lambda h: 300 + 300 * day(h, NOW_H + 5)))
    assert above_yesterday_bytes(same) < 0
    grown = look(lived(leak(10)))
    assert above_yesterday_bytes(grown) == pytest.approx(240 * MIB, rel=0.1)


def test_a_pod_without_a_yesterday_is_above_it():
    young = look(lived(leak(10), born_h=NOW_H - 20))
    assert above_yesterday_bytes(young) == INF
    newborn = look(lived(leak(10), born_h=NOW_H - 5.9))
    assert above_past_bytes(newborn) == INF


@pytest.mark.parametrize(("peak_mib", "above"), [(800, False), (300, True)])
def test_the_past_day_s_highs_count_but_not_its_bursts(peak_mib, above):
    high = look(lived(lambda h: np.where((h > 25) & (h < 29), peak_mib, 200) + 20 * (h - 30).clip(0)))
    assert (above_past_bytes(high) > 0) is above
    calm, burst = (
        look(lived(lambda h, m=m: 200 + 20 * (h - 30).clip(0) + m * (np.abs(h - 27) < 0.3))) for m in (0, 700)
    )
    assert above_past_bytes(burst) == pytest.approx(above_past_bytes(calm), rel=0.1)


def test_a_day_that_goes_on_as_the_one_before_gains_what_that_gained():
    """Yesterday it gained 40 MiB more from this hour on, at eight ninths of this slope."""

    def days(h):
        return np.interp(h, [0, 10, 16.5, 22, 34, 41], [310, 310, 830, 310, 310, 940])

    seen = look(lived(days))
    peak = peak_as_yesterday_bytes(seen, 850.0 * MIB, 1.9 * HOUR_S)
    assert (850 + 40 * 90 / 80) * MIB <= peak < usable_limit(seen)


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param(lived(leak(30, since_h=30)), id="flat the day before"),
        pytest.param(lived(leak(30), born_h=NOW_H - 12), id="no day before"),
        pytest.param(lived(leak(30, since_h=25), born_h=NOW_H - 26), id="the day before known in part"),
    ],
)
def test_a_climb_without_its_like_the_day_before_is_not_projected(subject):
    assert peak_as_yesterday_bytes(look(subject), 850.0 * MIB, HOUR_S) == INF


def monday(times):
    return lived(lambda h: 200 + np.where(h < 30, 100, 100 * times) * day(h, NOW_H + 3.5))


@pytest.mark.parametrize(("times", "like"), [(2, True), (3, True), (1, False), (20, False)])
def test_a_day_is_the_one_before_only_busier_when_both_climb(times, like):
    peak = peak_of_scaled_day_bytes(look(monday(times)))
    if like:
        top = (200 + 100 * times) * MIB
        assert peak == pytest.approx(top, rel=0.1)
        assert peak < usable_limit(look(monday(times)))
    else:
        assert peak == INF


def test_windows_longer_than_the_policy_s_and_doubtful_days_are_not_scaled():
    assert peak_of_scaled_day_bytes(look(monday(2), window_h=24)) == INF
    assert peak_of_scaled_day_bytes(look(lived(flat(300)))) == INF
    noisy = lived(lambda h: 200 + np.where(h < 24, 100, 200) * day(h, NOW_H + 3.5), noise_mib=80)
    assert peak_of_scaled_day_bytes(look(noisy)) == INF
    young = lived(lambda h: 200 + np.where(h < 24, 100, 200) * day(h, NOW_H + 3.5), born_h=NOW_H - 28)
    assert peak_of_scaled_day_bytes(look(young)) == INF
