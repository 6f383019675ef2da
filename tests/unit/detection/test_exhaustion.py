"""When a container must be rolled: how long before its limit, and what speaks against it until then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection import exhaustion as deadlines
from memroll.detection.container_history import LeadRule
from memroll.detection.exhaustion import deadline, lead_of, peak_bytes
from memroll.detection.growth_phase import Climb, climb
from memroll.detection.verdict import Breach, judge
from memroll.detection.window import Code
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, LIMIT_MIB, NOW_H, NOW_S, RULE, flat, leak, lived, look, ramp, rule

WINDOW_S = RULE.window_s
FULL_H = (LIMIT_MIB - 200) / 40
"""How long a leak of 40 MiB/h takes from 200 MiB to the limit."""


def doomed(left_h, **changes):
    """Build a leak of 40 MiB/h that meets its limit so many hours from now."""
    return lived(leak(40, since_h=NOW_H - FULL_H + left_h), **changes)


def ask(subject, *peers, **rules):
    return deadline(subject, rule(**rules), NOW_S, peers)


def two_days(h):
    """A day that peaked half an hour after this one's now, and one a little steeper."""
    return np.interp(h, [0, 10, 16.5, 22, 34, 41], [310, 310, 830, 310, 310, 940])


def test_a_leak_within_its_lead_is_due_with_the_time_that_is_left():
    found = ask(doomed(1.5))
    assert found.due
    assert found.time_to_limit_s == pytest.approx(1.5 * HOUR_S, rel=0.1)
    assert found.lead_s is not None
    assert found.time_to_limit_s <= found.lead_s
    assert found.trend is not None


@pytest.mark.parametrize("late_s", [0.0, 60.0, 240.0])
def test_the_time_that_is_left_counts_from_now_not_from_the_newest_sample(late_s):
    subject = doomed(1.5)
    late = ask(replace(subject, working_set=subject.working_set.until(NOW_S - late_s)))
    on_time = ask(subject)
    assert late.time_to_limit_s == pytest.approx(on_time.time_to_limit_s, abs=0.2 * late_s + 1)


AGAINST = [
    pytest.param(Code.NO_MEMORY_LIMIT, [doomed(1, limit_bytes=None)], id="no limit"),
    pytest.param(Code.NOT_GROWING, [doomed(8)], id="usage well below the limit"),
    pytest.param(Code.GROWING, [doomed(3)], id="more time left than the lead"),
    pytest.param(Code.NOT_GROWING, [lived(flat(1000))], id="stands near the limit"),
    pytest.param(Code.ONE_STEP, [lived(ramp(800, NOW_H - 0.55, 0.6))], id="climbs for half an hour"),
    pytest.param(
        Code.NO_NEW_HIGH,
        [lived(lambda h: np.where((h > 14) & (h < 23), 985, 600) + 58 * (h - 33.5).clip(0))],
        id="stood there before",
    ),
    pytest.param(Code.AS_YESTERDAY, [lived(two_days)], id="climbs as the day before"),
    pytest.param(Code.FOLLOWS_LOAD, [lived(ramp(790, 30, 11), load=ramp(6, 30, 11, 1))], id="load rises"),
    pytest.param(
        Code.SURVIVED,
        [lived(ramp(790, 30, 11)), lived(lambda h: np.minimum(200 + 40 * h, 995), seed=2)],
        id="a sibling stopped there",
    ),
]


@pytest.mark.parametrize(("code", "seen"), AGAINST)
def test_what_explains_a_climb_keeps_it_from_being_due(code, seen):
    found = ask(*seen)
    assert found.code is code, found
    assert found.message
    assert not found.due


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param([lived(ramp(790, 30, 11))], id="load is not known"),
        pytest.param([lived(ramp(790, 30, 11), load=lambda h: 2 + np.sin(3 * h))], id="load varies without trend"),
        pytest.param([lived(ramp(790, 30, 11)), lived(leak(40, since_h=25), seed=2)], id="the sibling climbs, too"),
        pytest.param(
            [lived(ramp(790, 30, 11)), lived(leak(40), until_h=FULL_H, seed=2)], id="the sibling went to its limit"
        ),
        pytest.param([lived(lambda h: np.where((h > 14) & (h < 23), 900, 600) + 58 * (h - 33.5).clip(0))], id="higher"),
    ],
)
def test_without_the_witness_the_same_climb_is_due(seen):
    assert ask(*seen).due


def test_a_stretch_too_short_for_the_windows_is_not_judged():
    assert ask(lived(flat(900), until_h=0.0, born_h=0.0)).code is Code.TOO_FEW_SAMPLES
    newborn = lived(leak(4000), born_h=NOW_H - 0.2)
    assert ask(newborn).code is Code.TOO_FEW_SAMPLES


@pytest.mark.parametrize("minutes", [90, 45])
def test_a_fast_leak_of_a_young_pod_is_seen_in_a_short_window(minutes):
    born_h = NOW_H - minutes / 60 - 0.5
    assert ask(lived(lambda h: 200 + 760 * (h - born_h) / (NOW_H - born_h), born_h=born_h)).due


def test_a_climb_that_has_come_to_a_halt_is_not_due():
    halted = ramp(770, 24, 15)
    assert ask(lived(halted), lead=LeadRule(2 * HOUR_S, 510.0)).code is Code.GROWING
    assert ask(lived(lambda h: halted(h) + 51 * (h - 39).clip(0)), lead=LeadRule(2 * HOUR_S, 510.0)).due


def test_a_climb_in_stairs_is_not_acquitted_on_each_step():
    def stairs(h):
        return 210 + 30 * np.floor(h / 1.2)

    looks_s = np.arange(NOW_H - 9, NOW_H - 7.5, 0.1) * HOUR_S
    subject = lived(stairs)
    rules = rule(lead=LeadRule(5 * HOUR_S, 510.0))
    assert all(deadline(subject.seen(t), rules, t, ()).due for t in looks_s)


def test_usage_counts_by_its_highest_peak_of_late():
    subject = lived(lambda h: 500 + 300 * (np.abs(h - NOW_H + 0.5) < 0.02), noise_mib=0)
    assert peak_bytes(subject, NOW_S, HOUR_S) == 800 * MIB
    assert peak_bytes(subject, NOW_S, 0.2 * HOUR_S) == 500 * MIB
    assert peak_bytes(subject, NOW_S + 5 * HOUR_S, HOUR_S) == 500 * MIB


def test_a_burst_that_may_come_again_brings_the_deadline_forward():
    plain = doomed(3)
    burst = 160 * MIB * (np.abs(plain.rss.times_s - NOW_S + 2 * HOUR_S) < 200)
    bursty = replace(plain, working_set=replace(plain.working_set, values=plain.working_set.values + burst))
    assert ask(bursty).time_to_limit_s < ask(plain).time_to_limit_s - HOUR_S


LEAK = look(doomed(3))
CLIMB = climb(LEAK.subject, RULE, NOW_S)


def lead(rules=None, lasted_s=0.0, began_s=0.0, left_s=HOUR_S, seen=LEAK):
    assert isinstance(CLIMB, Climb)
    lasted = replace(CLIMB, lasted_s=lasted_s, began_s=began_s)
    return lead_of(replace(seen, rule=replace(seen.rule, lead=rules or RULE.lead)), lasted, left_s)


BESIDE = look(doomed(3), lived(flat(200)))


def test_auto_is_a_share_of_how_long_it_has_climbed():
    most_s = deadlines.LEAD_MAX_WINDOWS * WINDOW_S
    for share in (0.4, 0.8):
        lasted_s = share * most_s / deadlines.LEAD_SHARE_OF_CLIMB
        assert lead(lasted_s=lasted_s, seen=BESIDE) == pytest.approx(share * most_s)
        began_s = share * most_s / deadlines.LEAD_SHARE_OF_BEGAN
        assert lead(began_s=began_s, seen=BESIDE) == pytest.approx(share * most_s)


def test_auto_is_at_most_a_third_of_the_window_and_less_in_a_pod_s_first_day():
    assert lead(lasted_s=100 * HOUR_S, seen=BESIDE) == deadlines.LEAD_MAX_WINDOWS * WINDOW_S == WINDOW_S / 3
    young = look(lived(leak(40, since_h=25), born_h=25), lived(flat(200)))
    assert lead(lasted_s=100 * HOUR_S, seen=young) == deadlines.LEAD_MAX_YOUNG_WINDOWS * WINDOW_S


def test_a_slow_leak_may_take_the_time_of_its_last_bursts():
    slow = look(lived(leak(8)), lived(flat(200)))
    took_s = deadlines.BURST_SHARE_OF_LIMIT * LIMIT_MIB / 8 * HOUR_S
    assert took_s > WINDOW_S / 3
    assert lead(lasted_s=100 * HOUR_S, seen=slow) == pytest.approx(took_s, rel=0.01)


def test_a_pod_without_siblings_takes_a_share_of_its_predicted_life():
    alone = lead(left_s=HOUR_S, lasted_s=HOUR_S, seen=look(lived(leak(80), born_h=34)))
    assert alone == pytest.approx(deadlines.LEAD_SHARE_OF_LIFE * 7 * HOUR_S)
    assert lead(lasted_s=HOUR_S, seen=BESIDE) < alone


@pytest.mark.parametrize("fixed_s", [None, 60.0])
@pytest.mark.parametrize("least_s", [0.0, 1000.0, 3 * HOUR_S])
def test_no_lead_is_shorter_than_what_a_roll_needs(fixed_s, least_s):
    found = lead(LeadRule(fixed_s, least_s), seen=BESIDE)
    assert found >= least_s
    if fixed_s is None:
        assert found == max(least_s, deadlines.LEAD_MIN_WINDOWS * WINDOW_S)
    else:
        assert found == max(least_s, fixed_s)


@pytest.mark.parametrize("fixed_h", [0.5, 5.0])
def test_a_fixed_lead_is_taken_as_it_is(fixed_h):
    assert lead(LeadRule(fixed_h * HOUR_S, 510.0), lasted_s=100 * HOUR_S) == fixed_h * HOUR_S
    assert ask(doomed(0.8 * fixed_h), lead=LeadRule(fixed_h * HOUR_S, 510.0)).due
    assert not ask(doomed(1.5 * fixed_h), lead=LeadRule(fixed_h * HOUR_S, 510.0)).due


def first_due_h(subject, step_h, **rules):
    for at_h in np.arange(NOW_H - 3, NOW_H, step_h):
        found = judge(subject, rule(**rules), at_h * HOUR_S)
        if isinstance(found, Breach) and found.due:
            return at_h
    return None


def test_it_is_due_only_at_two_looks_in_a_row():
    subject, step_h = doomed(0.5), RULE.interval_s / HOUR_S
    alone = next(
        h for h in np.arange(NOW_H - 3, NOW_H, step_h) if deadline(subject.seen(h * HOUR_S), RULE, h * HOUR_S, ()).due
    )
    assert first_due_h(subject, step_h) == pytest.approx(alone + step_h)


def test_one_look_is_enough_where_there_is_no_time_for_another():
    subject = doomed(1.5)
    before = rule(interval_s=2 * HOUR_S)
    assert not judge(subject, before, NOW_S).due
    assert judge(subject, replace(before, lead=LeadRule(None, 1.7 * HOUR_S)), NOW_S).due


def test_a_look_before_the_first_sample_is_not_due():
    subject = lived(leak(900, since_h=NOW_H - 0.8, base_mib=100), born_h=NOW_H - 0.8)
    found = judge(subject, rule(lead=LeadRule(2 * HOUR_S, 600.0), interval_s=HOUR_S), NOW_S)
    assert not (isinstance(found, Breach) and found.due)


def test_a_ramp_that_ended_half_an_hour_ago_or_more_is_not_due():
    for over_h in (0.6, 2.5):
        subject = lived(ramp(790, 38, over_h), until_h=44)
        for after_h in np.arange(0.5, 2.5, 0.25):
            found = judge(subject, RULE, (38 + over_h + after_h) * HOUR_S)
            assert not (isinstance(found, Breach) and found.due), (over_h, after_h)
