"""Each look-alike fails the check that is meant for it, and a leak fails none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.growth_phase import START_RATIO
from memroll.detection.leak_checks import (
    CONTEXT_CHECKS,
    HISTORY_CHECKS,
    MIN_GROWTH_WINDOWS,
    check_persistence,
    check_window,
    check_windows,
    is_near_limit,
)
from memroll.detection.reasons import VerdictReason
from memroll.detection.series import Series
from memroll.detection.shape_checks import SHAPE_CHECKS
from memroll.detection.window import MIN_COVERED_RATIO
from tests.builders import MIB
from tests.unit.detection.days import (
    HOUR_S,
    LIMIT_MIB,
    NOW_H,
    NOW_S,
    PARAMETERS,
    flat,
    leak,
    lived,
    parameters,
    ramp,
    trend_window,
)

DAY = 2 * np.pi / 24


def day(h, peak_h):
    return 0.5 + 0.5 * np.cos(DAY * (h - peak_h))


def monday(h):
    return 200 + np.where(h < 30, 100, 200) * day(h, NOW_H + 3.5)


def peers_with(curve, count=3, **changes):
    return tuple(lived(curve, seed=10 + i, **changes) for i in range(count))


# Left the lowest part of its rise just long enough ago.
LONG_ENOUGH_H = NOW_H - 6 * MIN_GROWTH_WINDOWS / (1 - START_RATIO) - 0.2
STOPPED = lived(lambda h: np.minimum(200 + 20 * h, 500), seed=2)
LAST_WEEK = Series(
    (NOW_H - np.arange(200.0, 0, -1)) * HOUR_S, np.where(np.arange(200) < 45, 600.0, 200.0) * MIB
)  # a batch that ended four hours after the same time of the week before

SHAPES = [
    pytest.param(VerdictReason.NOT_GROWING, trend_window(lived(flat(300))), id="flat"),
    pytest.param(VerdictReason.NOT_GROWING, trend_window(lived(leak(-20, base_mib=900))), id="shrinking"),
    pytest.param(
        VerdictReason.NOT_GROWING, trend_window(lived(leak(0.9 * 0.005 * LIMIT_MIB))), id="slower than the threshold"
    ),
    pytest.param(
        VerdictReason.NOT_SIGNIFICANT, trend_window(lived(leak(9, since_h=30), noise_mib=60)), id="lost in noise"
    ),
    pytest.param(
        VerdictReason.RISE_TOO_SMALL,
        trend_window(lived(leak(6), limit_bytes=8 * 1024 * MIB)),
        id="lost in the limit's size",
    ),
    pytest.param(
        VerdictReason.STEP_CHANGE,
        trend_window(lived(lambda h: 300 + 200 * (h > 37) + 6 * (h - 34).clip(0))),
        id="a step on a slow line",
    ),
    pytest.param(
        VerdictReason.GROWTH_SLOWING,
        trend_window(lived(lambda h: 600 - 400 * np.exp(-(h - 34).clip(0) / 1.2))),
        id="settles in hours",
    ),
    pytest.param(
        VerdictReason.APPROACHING_PLATEAU,
        trend_window(lived(lambda h: 500 - 300 * np.exp(-(h - 24).clip(0) / 8))),
        id="settles within a day",
    ),
    pytest.param(
        VerdictReason.NOT_SIGNIFICANT, trend_window(lived(leak(10)), window_h=2), id="a short window far from the limit"
    ),
]
CONTEXTS = [
    pytest.param(
        VerdictReason.DAILY_PATTERN,
        trend_window(lived(lambda h: 300 + 300 * day(h, NOW_H + 5))),
        id="a day like the last",
    ),
    pytest.param(
        VerdictReason.WITHIN_PREVIOUS_RANGE,
        trend_window(lived(lambda h: np.where((h > 20) & (h < 26), 500, 200) + 25 * (h - 33).clip(0))),
        id="below an earlier peak",
    ),
    pytest.param(VerdictReason.SCALED_DAILY_PATTERN, trend_window(lived(monday)), id="a busier day after a quiet one"),
    pytest.param(
        VerdictReason.WEEKLY_PATTERN,
        trend_window(lived(leak(20, since_h=30), minima=LAST_WEEK, started_at_s=-7 * 24 * HOUR_S)),
        id="a batch of each week",
    ),
    pytest.param(
        VerdictReason.EXPLAINED_BY_LOAD,
        trend_window(lived(ramp(300, 33, 8), load=ramp(3, 33, 8, 1))),
        id="load that rises",
    ),
    pytest.param(
        VerdictReason.PEER_PLATEAUED, trend_window(lived(leak(20, since_h=30)), STOPPED), id="a peer stopped above it"
    ),
    pytest.param(
        VerdictReason.COMMON_GROWTH,
        trend_window(
            lived(ramp(200, 33, 8), born_h=5), *(lived(ramp(200, 33, 8), born_h=b, seed=b) for b in (1, 9, 13, 17))
        ),
        id="pods of all ages grow",
    ),
    pytest.param(
        VerdictReason.INSUFFICIENT_HISTORY, trend_window(lived(leak(20, since_h=30), born_h=30)), id="half a day old"
    ),
    pytest.param(
        VerdictReason.GROWTH_TOO_RECENT,
        trend_window(lived(leak(60, since_h=NOW_H - 0.8 * MIN_GROWTH_WINDOWS * 6))),
        id="began a few hours ago",
    ),
    pytest.param(
        VerdictReason.SAME_AGE_GROWTH,
        trend_window(lived(ramp(200, 33, 8)), *peers_with(ramp(200, 33, 8))),
        id="pods of one age grow",
    ),
]


@pytest.mark.parametrize(("reason", "window"), SHAPES)
def test_a_harmless_shape_fails_its_check_and_has_no_leak_shape(reason, window):
    found = check_window(window)
    assert found.reason is reason, found.message
    assert found.message
    assert not found.has_leak_shape


@pytest.mark.parametrize(("reason", "window"), CONTEXTS)
def test_growth_that_only_the_past_or_the_peers_explain_has_a_leak_shape(reason, window):
    found = check_window(window)
    assert found.reason is reason, found.message
    assert found.message
    assert found.has_leak_shape


def test_every_check_has_a_case():
    cases = {case.values[0] for case in (*SHAPES, *CONTEXTS)}
    assert cases == {check.reason for check in (*SHAPE_CHECKS, *CONTEXT_CHECKS, *HISTORY_CHECKS)}


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(trend_window(lived(leak(10))), id="slow"),
        pytest.param(trend_window(lived(leak(25, since_h=25))), id="fast"),
        pytest.param(trend_window(lived(leak(15, since_h=20), noise_mib=8)), id="noisy"),
        pytest.param(trend_window(lived(lambda h: 200 + 10 * np.floor(h / 0.75))), id="in stairs"),
        pytest.param(trend_window(lived(lambda h: leak(15)(h) + 60 * (h / 0.4 % 1))), id="under collections"),
        pytest.param(
            trend_window(lived(leak(20, since_h=20), load=lambda h: 2 + np.sin(3 * h))), id="with a varying load"
        ),
        pytest.param(
            trend_window(
                lived(leak(15, since_h=5), born_h=5),
                *(lived(leak(15, since_h=b), born_h=b, seed=b) for b in (1, 9, 13, 17)),
            ),
            id="in every pod since its start",
        ),
        pytest.param(trend_window(lived(leak(20, since_h=25)), *peers_with(flat(200))), id="in one of four pods"),
    ],
)
def test_a_leak_passes_every_check(window):
    found = check_window(window)
    assert found.reason is None, found.message


@pytest.mark.parametrize(
    "reason", [VerdictReason.INSUFFICIENT_HISTORY, VerdictReason.GROWTH_TOO_RECENT, VerdictReason.SAME_AGE_GROWTH]
)
def test_near_the_limit_the_history_checks_are_skipped(reason):
    window = next(case.values[1] for case in CONTEXTS if case.values[0] is reason)
    assert check_window(window, assume_near_limit=True).reason is None
    nearer = replace(window.history, limit_bytes=int(1.01 * window.history.rss.values.max()))
    assert is_near_limit(replace(window, history=nearer))
    assert check_window(replace(window, history=nearer)).reason is None


def test_for_a_slow_roll_the_limit_is_near_earlier():
    window = trend_window(lived(leak(100, since_h=35)))
    assert not is_near_limit(window)
    assert is_near_limit(
        replace(window, parameters=parameters(lead_time=replace(PARAMETERS.lead_time, min_s=5 * HOUR_S)))
    )


def test_a_short_window_can_show_a_leak_but_not_rule_one_out():
    flat_recently = lived(ramp(300, 20, 18))
    assert check_window(trend_window(flat_recently, window_h=2)).reason is VerdictReason.NOT_GROWING
    strongest, _ = check_persistence(flat_recently, PARAMETERS, NOW_S, ())
    assert strongest is not None
    assert strongest.window.window_s >= PARAMETERS.window_s
    fast = lived(leak(300, since_h=NOW_H - 2.6))
    strongest, _ = check_persistence(fast, PARAMETERS, NOW_S, ())
    assert strongest is not None
    assert (strongest.reason, strongest.window.window_s) == (None, PARAMETERS.window_s / 3)


def test_a_window_without_enough_samples_is_not_checked():
    young = lived(leak(20), born_h=NOW_H - PARAMETERS.warm_up_s / HOUR_S - 1.1 * MIN_COVERED_RATIO * 6)
    assert {f.window.window_s for f in check_windows(young, PARAMETERS, NOW_S, ())} == {
        PARAMETERS.window_s,
        PARAMETERS.window_s / 3,
    }
    newborn = lived(leak(20), born_h=NOW_H - 1)
    assert check_persistence(newborn, PARAMETERS, NOW_S, ()) == (None, False)


@pytest.mark.parametrize(("since_h", "persistent"), [(25, True), (LONG_ENOUGH_H, False)])
def test_a_leak_persists_if_it_was_found_half_of_for_and_all_of_it_ago(since_h, persistent):
    strongest, persists = check_persistence(lived(leak(25, since_h=since_h)), PARAMETERS, NOW_S, ())
    assert strongest is not None
    assert (strongest.reason, persists) == (None, persistent)


def test_the_long_window_finds_a_slow_leak_under_a_wave_far_from_the_limit():
    history = lived(lambda h: 150 + 7 * h + 25 * np.sin(2 * np.pi * h / 4.3), until_h=80)
    window = trend_window(history.as_of(80 * HOUR_S, PARAMETERS.lookback_s), at_h=80, window_h=24)
    assert check_window(window, assume_near_limit=True).reason is None
    assert check_window(window).reason is None


@pytest.mark.parametrize(("since_h", "reason"), [(NOW_H - 30, None), (NOW_H - 12, VerdictReason.SAME_AGE_GROWTH)])
def test_a_leak_of_pods_that_were_started_together_is_confirmed_after_a_day(since_h, reason):
    """One day of growth is measured without its lowest part: a whole day would never be reached."""
    found = check_window(trend_window(lived(leak(12, since_h=since_h)), *peers_with(leak(12, since_h=since_h))))
    assert found.reason is reason, found.message
