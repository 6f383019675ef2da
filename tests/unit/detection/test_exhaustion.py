"""When a container is due: its lead time, and the checks that keep it from being due."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection import lead_time as lead_times
from memroll.detection.exhaustion import check_exhaustion
from memroll.detection.growth_phase import GrowthPhase, measure_growth_phase
from memroll.detection.lead_time import lead_time_s
from memroll.detection.parameters import LeadTimeRule
from memroll.detection.reasons import VerdictReason
from memroll.detection.series import Series
from memroll.detection.time_to_limit import max_peak_bytes
from memroll.detection.verdict import verdict_for
from memroll.detection.window import TrendWindow
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

WINDOW_S = PARAMETERS.window_s
FULL_H = (LIMIT_MIB - 200) / 40
"""Hours that a leak of 40 MiB/h takes from 200 MiB to the limit."""


def doomed(left_h, **changes):
    """Build a leak of 40 MiB/h that reaches its limit this many hours from now."""
    return lived(leak(40, since_h=NOW_H - FULL_H + left_h), **changes)


def check(history, *peers, **changes):
    return check_exhaustion(history, parameters(**changes), NOW_S, peers)


def two_days(h):
    """Return a day that peaked half an hour after the present time of day, and one a little steeper."""
    return np.interp(h, [0, 10, 16.5, 22, 34, 41], [310, 310, 830, 310, 310, 940])


def test_a_leak_within_its_lead_time_is_due():
    found = check(doomed(1.5))
    assert found.due
    assert found.time_to_limit_s == pytest.approx(1.5 * HOUR_S, rel=0.1)
    assert found.lead_time_s is not None
    assert found.time_to_limit_s <= found.lead_time_s
    assert found.trend is not None


@pytest.mark.parametrize("late_s", [0.0, 60.0, 240.0])
def test_the_time_to_the_limit_counts_from_now_not_from_the_newest_sample(late_s):
    history = doomed(1.5)
    late = check(replace(history, working_set=history.working_set.until(NOW_S - late_s)))
    on_time = check(history)
    assert late.time_to_limit_s == pytest.approx(on_time.time_to_limit_s, abs=0.2 * late_s + 1)


NOT_DUE = [
    pytest.param(VerdictReason.NO_MEMORY_LIMIT, [doomed(1, limit_bytes=None)], id="no limit"),
    pytest.param(VerdictReason.NOT_GROWING, [doomed(8)], id="usage well below the limit"),
    pytest.param(VerdictReason.LEAKING, [doomed(3)], id="more time than the lead time"),
    pytest.param(VerdictReason.NOT_GROWING, [lived(flat(1000))], id="constant near the limit"),
    pytest.param(VerdictReason.STEP_CHANGE, [lived(ramp(800, NOW_H - 0.55, 0.6))], id="grows for half an hour"),
    pytest.param(
        VerdictReason.WITHIN_PREVIOUS_RANGE,
        [lived(lambda h: np.where((h > 14) & (h < 23), 985, 600) + 58 * (h - 33.5).clip(0))],
        id="was there before",
    ),
    pytest.param(VerdictReason.DAILY_PATTERN, [lived(two_days)], id="grows like the day before"),
    pytest.param(VerdictReason.EXPLAINED_BY_LOAD, [lived(ramp(790, 30, 11), load=ramp(6, 30, 11, 1))], id="load rises"),
    pytest.param(
        VerdictReason.PEER_PLATEAUED,
        [lived(ramp(790, 30, 11)), lived(lambda h: np.minimum(200 + 40 * h, 995), seed=2)],
        id="a peer stopped there",
    ),
]


@pytest.mark.parametrize(("reason", "histories"), NOT_DUE)
def test_growth_that_something_explains_is_not_due(reason, histories):
    found = check(*histories)
    assert found.reason is reason, found
    assert found.message
    assert not found.due


@pytest.mark.parametrize(
    "histories",
    [
        pytest.param([lived(ramp(790, 30, 11))], id="load is unknown"),
        pytest.param([lived(ramp(790, 30, 11), load=lambda h: 2 + np.sin(3 * h))], id="load varies without trend"),
        pytest.param([lived(ramp(790, 30, 11)), lived(leak(40, since_h=25), seed=2)], id="the peer grows as well"),
        pytest.param(
            [lived(ramp(790, 30, 11)), lived(leak(40), until_h=FULL_H, seed=2)], id="the peer went up to its limit"
        ),
    ],
)
def test_growth_that_nothing_explains_is_due(histories):
    assert check(*histories).due


@pytest.mark.parametrize(("per_hour", "due"), [(58, False), (64, True)])
def test_growth_no_larger_than_an_earlier_fall_is_due_shortly_before_the_limit(per_hour, due):
    busy_before = lived(lambda h: np.where((h > 14) & (h < 23), 900, 600) + per_hour * (h - 33.5).clip(0))
    found = check(busy_before)
    assert found.time_to_limit_s < HOUR_S
    assert found.due is due
    assert found.reason is (None if due else VerdictReason.FLUCTUATING)
    steady, fell = lived(ramp(790, 30, 11)), lived(lambda h: 800 - 600 * (h > 30), seed=2)
    assert check(steady).due
    assert check(steady, fell).reason is VerdictReason.FLUCTUATING, "a peer fell as far"


def test_a_steep_rise_on_top_of_a_start_up_has_lasted_for_as_long_as_that_rise():
    born_h = NOW_H - 3.2
    start_up, rise = ramp(100, born_h, 0.1), ramp(450, NOW_H - 0.6, 0.6)
    found = check(lived(lambda h: 350 + start_up(h) + rise(h), born_h=born_h))
    assert found.reason is VerdictReason.STEP_CHANGE
    assert "grows for only 2" in found.message


def test_a_history_too_short_for_the_windows_is_not_checked():
    assert check(lived(flat(900), until_h=0.0, born_h=0.0)).reason is VerdictReason.TOO_FEW_SAMPLES
    newborn = lived(leak(4000), born_h=NOW_H - 0.2)
    assert check(newborn).reason is VerdictReason.TOO_FEW_SAMPLES


@pytest.mark.parametrize("minutes", [90, 45])
def test_a_fast_leak_of_a_young_pod_is_found_in_a_short_window(minutes):
    born_h = NOW_H - minutes / 60 - 0.5
    assert check(lived(lambda h: 200 + 760 * (h - born_h) / (NOW_H - born_h), born_h=born_h)).due


def test_growth_that_has_stopped_is_not_due():
    stopped = ramp(770, 24, 15)
    assert check(lived(stopped), lead_time=LeadTimeRule(2 * HOUR_S, 510.0)).reason is VerdictReason.LEAKING
    assert check(lived(lambda h: stopped(h) + 51 * (h - 39).clip(0)), lead_time=LeadTimeRule(2 * HOUR_S, 510.0)).due


def test_growth_in_stairs_is_due_on_each_step():
    def stairs(h):
        return 210 + 30 * np.floor(h / 1.2)

    times_s = np.arange(NOW_H - 9, NOW_H - 7.5, 0.1) * HOUR_S
    history = lived(stairs)
    slow_roll = parameters(lead_time=LeadTimeRule(5 * HOUR_S, 510.0))
    assert all(check_exhaustion(history.as_of(t), slow_roll, t, ()).due for t in times_s)


def test_the_usage_is_its_highest_recent_peak():
    history = lived(lambda h: 500 + 300 * (np.abs(h - NOW_H + 0.5) < 0.02), noise_mib=0)
    assert max_peak_bytes(history, NOW_S, HOUR_S) == 800 * MIB
    assert max_peak_bytes(history, NOW_S, 0.2 * HOUR_S) == 500 * MIB
    assert max_peak_bytes(history, NOW_S + 5 * HOUR_S, HOUR_S) == 500 * MIB


def test_a_burst_that_may_recur_shortens_the_time_to_the_limit():
    plain = doomed(3)
    burst = 160 * MIB * (np.abs(plain.rss.times_s - NOW_S + 2 * HOUR_S) < 200)
    bursty = replace(plain, working_set=replace(plain.working_set, values=plain.working_set.values + burst))
    assert check(bursty).time_to_limit_s < check(plain).time_to_limit_s - HOUR_S


LEAK = trend_window(doomed(3))
PHASE = measure_growth_phase(LEAK.history, PARAMETERS, NOW_S)


def lead(rule=None, duration_s=0.0, start_age_s=0.0, left_s=HOUR_S, window=LEAK):
    assert isinstance(PHASE, GrowthPhase)
    phase = replace(PHASE, duration_s=duration_s, start_age_s=start_age_s)
    changed = replace(window.parameters, lead_time=rule or PARAMETERS.lead_time)
    return lead_time_s(replace(window, parameters=changed), phase, left_s)


WITH_PEER = trend_window(doomed(3), lived(flat(200)))


def test_auto_is_a_ratio_of_the_duration_of_the_growth():
    max_s = lead_times.MAX_LEAD_WINDOWS * WINDOW_S
    for ratio in (0.4, 0.8):
        duration_s = ratio * max_s / lead_times.LEAD_RATIO_OF_DURATION
        assert lead(duration_s=duration_s, window=WITH_PEER) == pytest.approx(ratio * max_s)
        start_age_s = ratio * max_s / lead_times.LEAD_RATIO_OF_START_AGE
        assert lead(start_age_s=start_age_s, window=WITH_PEER) == pytest.approx(ratio * max_s)


def test_auto_is_at_most_a_third_of_the_window_and_less_in_a_pod_s_first_day():
    assert lead(duration_s=100 * HOUR_S, window=WITH_PEER) == lead_times.MAX_LEAD_WINDOWS * WINDOW_S == WINDOW_S / 3
    young = trend_window(lived(leak(40, since_h=25), born_h=25), lived(flat(200)))
    assert lead(duration_s=100 * HOUR_S, window=young) == lead_times.MAX_YOUNG_LEAD_WINDOWS * WINDOW_S


def test_growth_that_accelerates_has_a_longer_lead_time():
    def lead_of_rise_that_takes(hours):
        assert PHASE is not None
        rise = hours * HOUR_S * WITH_PEER.trend.slope_bytes_per_s
        phase = replace(PHASE, duration_s=4 * HOUR_S, start_age_s=4.5 * HOUR_S, rise_bytes=rise)
        return lead_time_s(WITH_PEER, phase, HOUR_S)

    assert lead_of_rise_that_takes(6) == lead_times.LONG_GROWTH_LEAD_WINDOWS * WINDOW_S
    assert lead_of_rise_that_takes(4.2) == lead_times.ACCELERATING_LEAD_WINDOWS * WINDOW_S > HOUR_S


def test_a_slow_leak_has_a_longer_lead_time_because_of_bursts():
    slow = trend_window(lived(leak(8)), lived(flat(200)))
    burst_s = lead_times.BURST_LIMIT_RATIO * LIMIT_MIB / 8 * HOUR_S
    assert burst_s > WINDOW_S / 3
    assert lead(duration_s=100 * HOUR_S, window=slow) == pytest.approx(burst_s, rel=0.01)


def test_a_pod_without_peers_has_a_ratio_of_its_predicted_lifetime():
    alone = lead(left_s=HOUR_S, duration_s=HOUR_S, window=trend_window(lived(leak(80), born_h=34)))
    assert alone == pytest.approx(lead_times.LEAD_RATIO_OF_LIFETIME * 7 * HOUR_S)
    assert lead(duration_s=HOUR_S, window=WITH_PEER) < alone


def test_a_pod_with_a_peer_that_went_up_to_the_limit_has_it_as_well():
    def with_peer(limit_mib):
        peer = lived(leak(23), until_h=NOW_H - 4, limit_bytes=limit_mib * MIB)
        return lead(duration_s=HOUR_S, window=trend_window(lived(leak(80), born_h=34), peer))

    assert with_peer(LIMIT_MIB) == pytest.approx(lead_times.LEAD_RATIO_OF_LIFETIME * 7 * HOUR_S)
    assert with_peer(2 * LIMIT_MIB) < with_peer(LIMIT_MIB)


def test_a_young_pod_that_follows_its_peers_to_the_limit_is_due_two_hours_before_at_any_usage_above_60_percent():
    killed = lived(leak(200, since_h=8), until_h=12.1, seed=2)
    healthy = [lived(flat(200), seed=n) for n in (3, 4)]
    rise = lived(leak(210, since_h=NOW_H - 2.4), born_h=NOW_H - 20)
    follows = check(rise, killed)
    assert follows.due
    assert follows.usage_bytes < 0.75 * LIMIT_MIB * MIB
    assert follows.time_to_limit_s > lead_times.MAX_YOUNG_LEAD_WINDOWS * WINDOW_S
    other = check(rise, killed, *healthy)
    assert (other.reason, other.due) == (VerdictReason.NOT_GROWING, False), "one sick pod of several"


@pytest.mark.parametrize("fixed_s", [None, 60.0])
@pytest.mark.parametrize("min_s", [0.0, 1000.0, 3 * HOUR_S])
def test_no_lead_time_is_shorter_than_a_roll_takes(fixed_s, min_s):
    found = lead(LeadTimeRule(fixed_s, min_s), window=WITH_PEER)
    assert found >= min_s
    if fixed_s is None:
        assert found == max(min_s, lead_times.MIN_LEAD_WINDOWS * WINDOW_S)
    else:
        assert found == max(min_s, fixed_s)


@pytest.mark.parametrize("fixed_h", [0.5, 5.0])
def test_a_fixed_lead_time_is_used_as_it_is(fixed_h):
    assert lead(LeadTimeRule(fixed_h * HOUR_S, 510.0), duration_s=100 * HOUR_S) == fixed_h * HOUR_S
    assert check(doomed(0.8 * fixed_h), lead_time=LeadTimeRule(fixed_h * HOUR_S, 510.0)).due
    assert not check(doomed(1.5 * fixed_h), lead_time=LeadTimeRule(fixed_h * HOUR_S, 510.0)).due


def first_due_h(history, step_h, **changes):
    for at_h in np.arange(NOW_H - 3, NOW_H, step_h):
        found = verdict_for(history, parameters(**changes), at_h * HOUR_S)
        if found.due:
            return at_h
    return None


def test_it_is_due_only_at_two_reconciles_in_a_row():
    history, step_h = doomed(0.5), PARAMETERS.interval_s / HOUR_S
    hours = np.arange(NOW_H - 3, NOW_H, step_h)
    alone = next(h for h in hours if check_exhaustion(history.as_of(h * HOUR_S), PARAMETERS, h * HOUR_S, ()).due)
    assert first_due_h(history, step_h) == pytest.approx(alone + step_h)


def test_one_reconcile_is_enough_without_time_for_another():
    history = doomed(1.5)
    before = parameters(interval_s=2 * HOUR_S)
    assert not verdict_for(history, before, NOW_S).due
    assert verdict_for(history, replace(before, lead_time=LeadTimeRule(None, 1.7 * HOUR_S)), NOW_S).due


def test_a_reconcile_before_the_first_sample_is_not_due():
    history = lived(leak(900, since_h=NOW_H - 0.8, base_mib=100), born_h=NOW_H - 0.8)
    found = verdict_for(history, parameters(lead_time=LeadTimeRule(2 * HOUR_S, 600.0), interval_s=HOUR_S), NOW_S)
    assert not found.due


def test_a_ramp_that_ended_half_an_hour_ago_or_more_is_not_due():
    for over_h in (0.6, 2.5):
        history = lived(ramp(790, 38, over_h), until_h=44)
        for after_h in np.arange(0.5, 2.5, 0.25):
            found = verdict_for(history, PARAMETERS, (38 + over_h + after_h) * HOUR_S)
            assert not found.due, (over_h, after_h)


def test_growth_of_weeks_has_a_ratio_of_its_predicted_lifetime():
    """A burst that has not been seen before reaches the limit hours before the slope does."""

    def of_age(days):
        hours = np.arange(1, 24 * days + 1)
        minima = Series(NOW_S - (hours[-1] - hours) * HOUR_S, 900 * MIB * hours / hours[-1])
        history = replace(doomed(3), minima=minima, started_at_s=NOW_S - days * 24 * HOUR_S)
        return TrendWindow(history, PARAMETERS, 12 * WINDOW_S, NOW_S, WITH_PEER.peers)

    lifetime_s = 20 * 24 * HOUR_S + 10 * HOUR_S
    slow_s = lead(left_s=10 * HOUR_S, window=of_age(20))
    assert slow_s == pytest.approx(lead_times.SLOW_LEAD_RATIO_OF_LIFETIME * lifetime_s)
    assert slow_s > WINDOW_S > lead(left_s=10 * HOUR_S, window=of_age(5))


def of_days(history, days):
    return replace(history, started_at_s=NOW_S - days * 24 * HOUR_S)


JOB = ramp(740, NOW_H - 3, 3)
"""Monthly job: three hours up to 92 % of the limit, in all pods at once."""


def test_growth_that_old_pods_of_all_ages_share_is_not_due_until_the_last_minutes():
    peers = [of_days(lived(JOB, seed=n), days) for n, days in ((2, 5), (3, 12), (4, 20))]
    found = check(of_days(lived(JOB), 9), *peers)
    assert (found.reason, found.due) == (VerdictReason.COMMON_GROWTH, False)
    later = ramp(810, NOW_H - 3, 3)
    peers = [of_days(lived(later, seed=n), days) for n, days in ((2, 5), (3, 12), (4, 20))]
    assert check(of_days(lived(later), 9), *peers).due, "minutes are left: no pod is lost for it"


def test_shared_growth_is_due_in_a_young_workload_and_in_pods_of_one_age():
    """There a trigger may make all pods leak at once, or age can't be separated from time."""
    assert check(of_days(lived(JOB), 4), *[of_days(lived(JOB, seed=2), days) for days in (2, 6)]).due
    assert check(of_days(lived(JOB), 9), of_days(lived(JOB, seed=2), 9.05)).due


def test_growth_that_depends_on_age_is_due_in_old_pods():
    younger = lived(leak(40, since_h=NOW_H - FULL_H + 1.2 + 4), seed=2)
    assert check(of_days(doomed(1.2), 9), replace(younger, started_at_s=NOW_S - (9 * 24 - 4) * HOUR_S)).due
