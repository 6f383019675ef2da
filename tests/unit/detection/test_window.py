"""One window: its samples, the plateau that it approaches, and the time to the limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.shape_checks import plateau_bytes
from memroll.detection.time_to_limit import recurring_peak_bytes, time_to_limit_at_recurring_peak_s
from memroll.detection.window import LEVEL_BINS
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, LIMIT_MIB, NOW_H, NOW_S, PARAMETERS, flat, leak, lived, ramp, trend_window


def settling(tau_h):
    return lived(lambda h: 700 - 500 * np.exp(-(h - 20).clip(0) / tau_h), noise_mib=0)


@pytest.mark.parametrize("tau_h", [8, 12, 16])
def test_the_plateau_of_an_exponential_is_projected_from_two_windows(tau_h):
    assert plateau_bytes(trend_window(settling(tau_h))) == pytest.approx(700 * MIB, rel=0.05)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(lived(leak(20)), id="a line"),
        pytest.param(lived(lambda h: 200 + 0.5 * h**2), id="growth that accelerates"),
        pytest.param(lived(ramp(300, 20, 14), noise_mib=0), id="growth that stopped"),
        pytest.param(lived(leak(-10, base_mib=900)), id="a fall"),
        pytest.param(lived(leak(20), born_h=NOW_H - 8), id="only one window of history"),
    ],
)
def test_growth_that_does_not_slow_down_approaches_no_plateau(history):
    assert plateau_bytes(trend_window(history)) == float("inf")


def test_warm_up_is_no_part_of_the_window():
    young = trend_window(lived(lambda h: np.where(h < 35.5, 900, 300), born_h=35))
    assert young.start_s == young.valid_from_s == 35 * HOUR_S + PARAMETERS.warm_up_s
    assert young.envelope.values_bytes.max() < 310 * MIB
    assert replace(young, warm_up_s=0.0).envelope.values_bytes.max() > 800 * MIB
    assert trend_window(lived(flat(300))).start_s == NOW_S - PARAMETERS.window_s


def test_the_level_is_the_median_of_the_newest_bins():
    window = trend_window(lived(leak(24), noise_mib=0))
    assert window.level_bytes == sorted(window.envelope.values_bytes[-LEVEL_BINS:])[LEVEL_BINS // 2]


@pytest.mark.parametrize(
    ("keep", "enough"),
    [
        pytest.param(lambda t: t >= 0, True, id="all"),
        pytest.param(lambda t: t % 1800 == 0, True, id="one each half hour"),
        pytest.param(lambda t: t % 3600 == 0, False, id="one an hour"),
        pytest.param(lambda t: t > NOW_S - 4 * HOUR_S, False, id="of the last hours"),
        pytest.param(lambda t: t < NOW_S - 2 * HOUR_S, False, id="of the first hours"),
        pytest.param(lambda t: np.abs(t - NOW_S + 3 * HOUR_S) > HOUR_S, True, id="with a gap in the middle"),
    ],
)
def test_a_window_needs_enough_samples_that_span_it(keep, enough):
    whole = lived(leak(20))
    kept = keep(whole.rss.times_s)
    thin = replace(whole.rss, times_s=whole.rss.times_s[kept], values=whole.rss.values[kept])
    assert (trend_window(replace(whole, rss=thin)).insufficient_data == "") is enough


@pytest.mark.parametrize("mib_per_h", [20, 100])
def test_the_time_to_the_limit_is_that_of_the_recurring_peak_not_of_the_lower_envelope(mib_per_h):
    base = LIMIT_MIB - 100 - mib_per_h * NOW_H
    plain = trend_window(lived(leak(mib_per_h, base_mib=base), noise_mib=0))
    assert time_to_limit_at_recurring_peak_s(plain) == pytest.approx(100 / mib_per_h * HOUR_S, rel=0.01)
    saw = trend_window(lived(lambda h: leak(mib_per_h, base_mib=base)(h) + 40 * (h * 6 % 1), noise_mib=0))
    assert time_to_limit_at_recurring_peak_s(saw) == pytest.approx(64 / mib_per_h * HOUR_S, rel=0.1)
    burst = trend_window(
        lived(lambda h: leak(mib_per_h, base_mib=base)(h) + 90 * (np.abs(h - 39.8) < 0.01), noise_mib=0)
    )
    assert time_to_limit_at_recurring_peak_s(burst) == pytest.approx(time_to_limit_at_recurring_peak_s(plain), rel=0.01)


def test_without_a_limit_or_growth_the_time_to_the_limit_is_infinite():
    assert time_to_limit_at_recurring_peak_s(trend_window(lived(leak(20), limit_bytes=None))) == float("inf")
    assert time_to_limit_at_recurring_peak_s(trend_window(lived(leak(-5, base_mib=900)))) == float("inf")
    assert time_to_limit_at_recurring_peak_s(trend_window(lived(leak(20, base_mib=LIMIT_MIB)))) == 0.0


def test_the_newest_usage_counts_if_none_is_recent():
    history = lived(flat(300), noise_mib=0)
    late = replace(history, working_set=history.working_set.until(NOW_S - 3 * HOUR_S))
    assert recurring_peak_bytes(trend_window(late)) == 300 * MIB
