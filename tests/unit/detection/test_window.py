"""One window: what it holds, where its climb ends, and how far it is to the limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.time_to_limit import recurring_peak_bytes, time_to_limit_s
from memroll.detection.window import RECENT_BINS, plateau_bytes
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, LIMIT_MIB, NOW_H, NOW_S, RULE, flat, leak, lived, look, ramp


def settling(tau_h):
    return lived(lambda h: 700 - 500 * np.exp(-(h - 20).clip(0) / tau_h), noise_mib=0)


@pytest.mark.parametrize("tau_h", [8, 12, 16])
def test_the_end_of_an_exponential_is_seen_from_two_windows(tau_h):
    assert plateau_bytes(look(settling(tau_h))) == pytest.approx(700 * MIB, rel=0.05)


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param(lived(leak(20)), id="a line"),
        pytest.param(lived(lambda h: 200 + 0.5 * h**2), id="a climb that grows steeper"),
        pytest.param(lived(ramp(300, 20, 14), noise_mib=0), id="one that came to a halt"),
        pytest.param(lived(leak(-10, base_mib=900)), id="a fall"),
        pytest.param(lived(leak(20), born_h=NOW_H - 8), id="one known for a window only"),
    ],
)
def test_what_does_not_slow_down_has_no_plateau_ahead(subject):
    assert plateau_bytes(look(subject)) == float("inf")


def test_warm_up_is_no_part_of_the_window():
    young = look(lived(lambda h: np.where(h < 35.5, 900, 300), born_h=35))
    assert young.start_s == young.judged_from_s == 35 * HOUR_S + RULE.warm_up_s
    assert young.points.values_bytes.max() < 310 * MIB
    assert replace(young, warm_up_s=0.0).points.values_bytes.max() > 800 * MIB
    assert look(lived(flat(300))).start_s == NOW_S - RULE.window_s


def test_the_level_is_that_of_the_last_bins():
    seen = look(lived(leak(24), noise_mib=0))
    assert seen.level_bytes == sorted(seen.points.values_bytes[-RECENT_BINS:])[RECENT_BINS // 2]


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
def test_a_window_is_looked_at_when_its_samples_suffice_and_span_it(keep, enough):
    whole = lived(leak(20))
    kept = keep(whole.rss.times_s)
    thin = replace(whole.rss, times_s=whole.rss.times_s[kept], values=whole.rss.values[kept])
    assert (look(replace(whole, rss=thin)).shortage == "") is enough


@pytest.mark.parametrize("mib_per_h", [20, 100])
def test_the_limit_is_met_by_the_peaks_that_recur_not_by_the_floor(mib_per_h):
    base = LIMIT_MIB - 100 - mib_per_h * NOW_H
    plain = look(lived(leak(mib_per_h, base_mib=base), noise_mib=0))
    assert time_to_limit_s(plain) == pytest.approx(100 / mib_per_h * HOUR_S, rel=0.01)
    saw = look(lived(lambda h: leak(mib_per_h, base_mib=base)(h) + 40 * (h * 6 % 1), noise_mib=0))
    assert time_to_limit_s(saw) == pytest.approx(64 / mib_per_h * HOUR_S, rel=0.1)
    burst = look(lived(lambda h: leak(mib_per_h, base_mib=base)(h) + 90 * (np.abs(h - 39.8) < 0.01), noise_mib=0))
    assert time_to_limit_s(burst) == pytest.approx(time_to_limit_s(plain), rel=0.01)


def test_without_a_limit_or_a_climb_it_is_never_met():
    assert time_to_limit_s(look(lived(leak(20), limit_bytes=None))) == float("inf")
    assert time_to_limit_s(look(lived(leak(-5, base_mib=900)))) == float("inf")
    assert time_to_limit_s(look(lived(leak(20, base_mib=LIMIT_MIB)))) == 0.0


def test_the_last_known_usage_counts_where_none_is_recent():
    subject = lived(flat(300), noise_mib=0)
    late = replace(subject, working_set=subject.working_set.until(NOW_S - 3 * HOUR_S))
    assert recurring_peak_bytes(look(late)) == 300 * MIB
