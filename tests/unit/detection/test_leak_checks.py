"""Each look-alike meets the guard that was made for it, and the leak behind it none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.growth_phase import LOWER_SHARE
from memroll.detection.leak_checks import (
    CONTEXT_GUARDS,
    FAR_GUARDS,
    LASTED_WINDOWS_MIN,
    find,
    findings,
    is_near,
    look_back,
)
from memroll.detection.window import COVERED_SHARE, GUARDS, Code
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, LIMIT_MIB, NOW_H, NOW_S, RULE, flat, leak, lived, look, ramp, rule

DAY = 2 * np.pi / 24


def day(h, peak_h):
    return 0.5 + 0.5 * np.cos(DAY * (h - peak_h))


def monday(h):
    return 200 + np.where(h < 30, 100, 200) * day(h, NOW_H + 3.5)


def lived_alike(curve, count=3, **changes):
    return tuple(lived(curve, seed=10 + i, **changes) for i in range(count))


# Left the lowest part of its climb just long enough ago.
JUST_LASTED_H = NOW_H - 6 * LASTED_WINDOWS_MIN / (1 - LOWER_SHARE) - 0.2
STOPPED = lived(lambda h: np.minimum(200 + 20 * h, 500), seed=2)

SHAPES = [
    pytest.param(Code.NOT_GROWING, look(lived(flat(300))), id="flat"),
    pytest.param(Code.NOT_GROWING, look(lived(leak(-20, base_mib=900))), id="shrinking"),
    pytest.param(Code.NOT_GROWING, look(lived(leak(0.9 * 0.005 * LIMIT_MIB))), id="slower than the threshold"),
    pytest.param(Code.UNCERTAIN, look(lived(leak(9, since_h=30), noise_mib=60)), id="lost in noise"),
    pytest.param(Code.SMALL, look(lived(leak(6), limit_bytes=8 * 1024 * MIB)), id="lost in the limit's size"),
    pytest.param(
        Code.ONE_STEP, look(lived(lambda h: 300 + 200 * (h > 37) + 6 * (h - 34).clip(0))), id="a step on a slow line"
    ),
    pytest.param(
        Code.SETTLING, look(lived(lambda h: 600 - 400 * np.exp(-(h - 34).clip(0) / 1.2))), id="settles in hours"
    ),
    pytest.param(
        Code.PLATEAU, look(lived(lambda h: 500 - 300 * np.exp(-(h - 24).clip(0) / 8))), id="settles within a day"
    ),
    pytest.param(Code.UNCERTAIN, look(lived(leak(10)), window_h=2), id="a short window far from the limit"),
]
CONTEXTS = [
    pytest.param(Code.AS_YESTERDAY, look(lived(lambda h: 300 + 300 * day(h, NOW_H + 5))), id="a day like the last"),
    pytest.param(
        Code.NO_NEW_HIGH,
        look(lived(lambda h: np.where((h > 20) & (h < 26), 500, 200) + 25 * (h - 33).clip(0))),
        id="below an earlier peak",
    ),
    pytest.param(Code.BUSIER_DAY, look(lived(monday)), id="the day after a quiet one"),
    pytest.param(Code.FOLLOWS_LOAD, look(lived(ramp(300, 33, 8), load=ramp(3, 33, 8, 1))), id="load that rises"),
    pytest.param(Code.SURVIVED, look(lived(leak(20, since_h=30)), STOPPED), id="a sibling stopped above it"),
    pytest.param(
        Code.SHARED,
        look(lived(ramp(200, 33, 8), born_h=5), *(lived(ramp(200, 33, 8), born_h=b, seed=b) for b in (1, 9, 13, 17))),
        id="pods of all ages climb",
    ),
    pytest.param(Code.NO_HISTORY, look(lived(leak(20, since_h=30), born_h=30)), id="half a day old"),
    pytest.param(
        Code.RECENT, look(lived(leak(60, since_h=NOW_H - 0.8 * LASTED_WINDOWS_MIN * 6))), id="began a few hours ago"
    ),
    pytest.param(
        Code.TOGETHER, look(lived(ramp(200, 33, 8)), *lived_alike(ramp(200, 33, 8))), id="pods of one age climb"
    ),
]


@pytest.mark.parametrize(("code", "seen"), SHAPES)
def test_a_harmless_shape_meets_its_guard_and_rouses_no_suspicion(code, seen):
    found = find(seen)
    assert found.code is code, found.message
    assert found.message
    assert not found.suspicious


@pytest.mark.parametrize(("code", "seen"), CONTEXTS)
def test_what_only_its_past_or_its_peers_speak_for_is_suspicious(code, seen):
    found = find(seen)
    assert found.code is code, found.message
    assert found.message
    assert found.suspicious


def test_every_guard_has_a_case():
    cases = {case.values[0] for case in (*SHAPES, *CONTEXTS)}
    assert cases == {guard.code for guard in (*GUARDS, *CONTEXT_GUARDS, *FAR_GUARDS)}


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(look(lived(leak(10))), id="slow"),
        pytest.param(look(lived(leak(25, since_h=25))), id="fast"),
        pytest.param(look(lived(leak(15, since_h=20), noise_mib=8)), id="noisy"),
        pytest.param(look(lived(lambda h: 200 + 10 * np.floor(h / 0.75))), id="in stairs"),
        pytest.param(look(lived(lambda h: leak(15)(h) + 60 * (h / 0.4 % 1))), id="under collections"),
        pytest.param(look(lived(leak(20, since_h=20), load=lambda h: 2 + np.sin(3 * h))), id="beside a varying load"),
        pytest.param(
            look(
                lived(leak(15, since_h=5), born_h=5),
                *(lived(leak(15, since_h=b), born_h=b, seed=b) for b in (1, 9, 13, 17)),
            ),
            id="in every pod since its start",
        ),
        pytest.param(look(lived(leak(20, since_h=25)), *lived_alike(flat(200))), id="in one of four pods"),
    ],
)
def test_a_leak_passes_every_guard(seen):
    found = find(seen)
    assert found.code is None, found.message


@pytest.mark.parametrize("code", [Code.NO_HISTORY, Code.RECENT, Code.TOGETHER])
def test_there_is_no_time_to_learn_more_near_the_limit(code):
    seen = next(case.values[1] for case in CONTEXTS if case.values[0] is code)
    assert find(seen, hurried=True).code is None
    nearer = replace(seen.subject, limit_bytes=int(1.01 * seen.subject.rss.values.max()))
    assert is_near(replace(seen, subject=nearer))
    assert find(replace(seen, subject=nearer)).code is None


def test_a_roll_that_takes_long_brings_the_limit_near():
    seen = look(lived(leak(100, since_h=35)))
    assert not is_near(seen)
    assert is_near(replace(seen, rule=rule(lead=replace(RULE.lead, least_s=5 * HOUR_S))))


def test_a_short_window_speaks_against_a_container_but_not_for_it():
    flat_of_late = lived(ramp(300, 20, 18))
    assert find(look(flat_of_late, window_h=2)).code is Code.NOT_GROWING
    loudest, _ = look_back(flat_of_late, RULE, NOW_S, ())
    assert loudest is not None
    assert loudest.look.window_s >= RULE.window_s
    fast = lived(leak(300, since_h=NOW_H - 2.6))
    loudest, _ = look_back(fast, RULE, NOW_S, ())
    assert loudest is not None
    assert (loudest.code, loudest.look.window_s) == (None, RULE.window_s / 3)


def test_a_window_without_enough_samples_is_not_looked_at():
    young = lived(leak(20), born_h=NOW_H - RULE.warm_up_s / HOUR_S - 1.1 * COVERED_SHARE * 6)
    assert {f.look.window_s for f in findings(young, RULE, NOW_S, ())} == {RULE.window_s, RULE.window_s / 3}
    newborn = lived(leak(20), born_h=NOW_H - 1)
    assert look_back(newborn, RULE, NOW_S, ()) == (None, False)


@pytest.mark.parametrize(("since_h", "persistent"), [(25, True), (JUST_LASTED_H, False)])
def test_a_leak_counts_once_it_was_one_half_of_persist_and_all_of_it_ago(since_h, persistent):
    loudest, held = look_back(lived(leak(25, since_h=since_h)), RULE, NOW_S, ())
    assert loudest is not None
    assert (loudest.code, held) == (None, persistent)


def test_four_windows_find_a_slow_leak_under_a_wave_far_from_the_limit():
    subject = lived(lambda h: 150 + 7 * h + 25 * np.sin(2 * np.pi * h / 4.3), until_h=80)
    seen = look(subject.seen(80 * HOUR_S, RULE.lookback_s), at_h=80, window_h=24)
    assert find(seen, hurried=True).code is None
    assert find(seen).code is None


@pytest.mark.parametrize(("since_h", "code"), [(NOW_H - 30, None), (NOW_H - 12, Code.TOGETHER)])
def test_pods_that_were_started_together_are_told_after_a_day(since_h, code):
    """The look measures one day of a climb, and leaves the lowest of it out: a whole day could never be seen."""
    found = find(look(lived(leak(12, since_h=since_h)), *lived_alike(leak(12, since_h=since_h))))
    assert found.code is code, found.message
