"""What comes out of a judgement in hours: each code, what is said of it, and what it takes into account."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.container_history import WINDOWS_A_DAY, LeadRule
from memroll.detection.series import EMPTY
from memroll.detection.verdict import (
    STALE_SAMPLES,
    Breach,
    Healthy,
    Inconclusive,
    Told,
    above_ceiling,
    judge,
    seconds_left,
    told,
)
from memroll.detection.window import Code
from tests.unit.detection.days import HOUR_S, LIMIT_MIB, NOW_H, NOW_S, RULE, flat, leak, lived, ramp, rule

BOUND = lived(leak(40, since_h=20.5))
"""An hour from its limit."""

CASES = [
    pytest.param(Code.GROWING, Told.CONFIRMED, lived(leak(15)), {}, id="leaks, far from its limit"),
    pytest.param(Code.GROWING, Told.CONFIRMED, BOUND, {}, id="leaks into its limit"),
    pytest.param(Code.EXHAUSTING, Told.SUSPECTED, lived(leak(200, since_h=36.2)), {}, id="a steep climb of hours"),
    pytest.param(
        Code.CEILING, Told.SUSPECTED, lived(flat(0.95 * LIMIT_MIB)), {"ceiling_share": 0.9}, id="above its ceiling"
    ),
    pytest.param(Code.SUSPECTED, Told.SUSPECTED, lived(leak(60, since_h=36.5)), {}, id="climbs since a few hours"),
    pytest.param(Code.SUSPECTED, Told.SUSPECTED, lived(leak(20, since_h=30), born_h=30), {}, id="leaks, but is young"),
    pytest.param(Code.NOT_GROWING, Told.NOTHING, lived(flat(300)), {}, id="flat"),
    pytest.param(
        Code.SETTLING, Told.NOTHING, lived(lambda h: 600 - 400 * np.exp(-(h - 34).clip(0) / 1.2)), {}, id="settles"
    ),
    pytest.param(Code.WARMING_UP, Told.NOTHING, lived(leak(20), born_h=36), {}, id="born of late"),
    pytest.param(Code.NO_DATA, Told.NOTHING, replace(BOUND, rss=EMPTY), {}, id="no trend"),
    pytest.param(Code.NO_DATA, Told.NOTHING, replace(BOUND, working_set=EMPTY), {}, id="no usage"),
    pytest.param(Code.STALE_DATA, Told.NOTHING, BOUND.seen(NOW_S - HOUR_S), {}, id="an hour behind"),
    pytest.param(Code.NO_MEMORY_LIMIT, Told.NOTHING, BOUND, {"threshold_bytes_per_s": None}, id="a share of no limit"),
    pytest.param(
        Code.TOO_FEW_SAMPLES,
        Told.NOTHING,
        replace(BOUND, rss=BOUND.rss.between(NOW_S - 600, NOW_S), working_set=BOUND.rss.between(NOW_S - 600, NOW_S)),
        {},
        id="known for minutes only",
    ),
]


@pytest.mark.parametrize(("code", "said", "subject", "rules"), CASES)
def test_every_verdict_has_a_code_words_and_what_is_said_of_it(code, said, subject, rules):
    found = judge(subject, rule(**rules), NOW_S)
    assert found.code is code, found.message
    assert found.message
    assert told(found) is said


@pytest.mark.parametrize(("left_h", "due"), [(1.0, True), (8.0, False)])
def test_a_leak_is_told_when_it_is_known_and_due_when_its_limit_is_near(left_h, due):
    found = judge(lived(leak(40, since_h=19.5 + left_h)), RULE, NOW_S)
    assert isinstance(found, Breach)
    assert (found.code, found.due) == (Code.GROWING, due)
    assert seconds_left(found) == pytest.approx(left_h * HOUR_S, rel=0.15)
    assert found.lead_s is not None
    assert (seconds_left(found) <= found.lead_s) is due


@pytest.mark.parametrize("found", [Healthy(Code.NOT_GROWING, "", None, 0.0), Inconclusive(Code.NO_DATA, ""), None])
def test_what_does_not_leak_has_all_the_time(found):
    assert seconds_left(found or judge(lived(leak(15), limit_bytes=None), RULE, NOW_S)) == float("inf")


def test_a_container_without_a_limit_leaks_by_a_threshold_in_bytes():
    found = judge(lived(leak(15), limit_bytes=None), RULE, NOW_S)
    assert isinstance(found, Breach)
    assert (found.code, found.time_to_limit_s, found.lead_s, found.due) == (Code.GROWING, None, None, False)


@pytest.mark.parametrize(
    ("curve", "above"),
    [
        pytest.param(flat(950), True, id="throughout"),
        pytest.param(flat(900), False, id="below"),
        pytest.param(lambda h: np.where(np.abs(h - NOW_H + 0.3) < 0.02, 800, 950), False, id="with a dip"),
        pytest.param(lambda h: np.where(h > NOW_H - 0.4, 950, 300), False, id="of late"),
        pytest.param(lambda h: np.where(h > NOW_H - 0.6, 950, 300), True, id="for longer than persist"),
    ],
)
def test_the_ceiling_is_kept_above_for_all_of_persist(curve, above):
    subject = lived(curve, noise_mib=0)
    assert above_ceiling(subject, rule(ceiling_share=0.92), NOW_S) is above
    assert not above_ceiling(subject, RULE, NOW_S)
    assert not above_ceiling(replace(subject, limit_bytes=None), rule(ceiling_share=0.92), NOW_S)
    newborn = lived(flat(950), born_h=NOW_H - 0.3)
    assert not above_ceiling(newborn, rule(ceiling_share=0.92), NOW_S)


@pytest.mark.parametrize("metric", ["rss", "working_set"])
def test_either_metric_may_be_too_old(metric):
    limit_s = STALE_SAMPLES * BOUND.rss.spacing_s
    for behind_s, stale in ((limit_s, False), (limit_s + 60, True)):
        late = replace(BOUND, **{metric: BOUND.rss.until(NOW_S - behind_s)})
        assert (judge(late, RULE, NOW_S).code is Code.STALE_DATA) is stale


def test_a_usage_that_is_known_since_minutes_only_breaks_nothing():
    subject = lived(leak(20))
    assert told(judge(replace(subject, working_set=subject.rss.between(NOW_S - 600, NOW_S)), RULE, NOW_S)) is not None


def test_working_set_alone_is_no_leak():
    """Page cache that fills up to the limit: the kernel gives it back."""
    cache = lived(lambda h: np.minimum(300 + 40 * h, LIMIT_MIB - 5))
    found = judge(replace(cache, rss=lived(flat(300)).rss), RULE, NOW_S)
    assert isinstance(found, Healthy)
    assert found.code is Code.NOT_GROWING


def test_samples_after_now_are_nobody_s_business():
    ahead = lived(lambda h: np.where(h > NOW_H, 20, leak(15)(h)), until_h=NOW_H + 5)
    assert judge(ahead, RULE, NOW_S) == judge(ahead.seen(NOW_S), RULE, NOW_S)
    assert isinstance(judge(ahead, RULE, NOW_S), Breach)


SIBLING = lived(lambda h: np.minimum(200 + 60 * h, 990), seed=2)


def test_peers_are_heard_before_a_pod_is_rolled():
    climbs = lived(ramp(790, 30, 11))
    alone, beside = judge(climbs, RULE, NOW_S), judge(climbs, RULE, NOW_S, (SIBLING,))
    assert isinstance(alone, Breach)
    assert alone.due
    assert not (isinstance(beside, Breach) and beside.due)


SHAPES = {
    "leak": leak(15),
    "doomed": leak(40, since_h=20.5),
    "day": lambda h: 400 + 200 * np.sin(2 * np.pi * h / 24),
    "settles": lambda h: 600 - 400 * np.exp(-(h - 34).clip(0) / 1.2),
    "saw": lambda h: 300 + 200 * (h % 1),
}


@pytest.mark.parametrize("scale", [1 / 8, 1 / 24, 1 / 360])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_shape_in_shorter_windows_gets_the_same_verdict(shape, scale):
    """Of windows shorter than an hour the day before is four windows ago: as of the default's six hours."""
    assert RULE.day_s == WINDOWS_A_DAY * RULE.window_s
    subject = lived(SHAPES[shape])
    stretched = replace(
        subject,
        rss=replace(subject.rss, times_s=subject.rss.times_s * scale),
        working_set=replace(subject.rss, times_s=subject.rss.times_s * scale),
    )
    rules = rule(
        threshold_bytes_per_s=RULE.threshold_bytes_per_s / scale,
        window_s=RULE.window_s * scale,
        warm_up_s=RULE.warm_up_s * scale,
        persist_s=RULE.persist_s * scale,
        lead=LeadRule(None, RULE.lead.least_s * scale),
        interval_s=RULE.interval_s * scale,
    )
    here, there = judge(subject, RULE, NOW_S), judge(stretched, rules, NOW_S * scale)
    assert (type(there), there.code) == (type(here), here.code)
    assert seconds_left(there) == pytest.approx(seconds_left(here) * scale, rel=0.01)
    assert getattr(there, "due", None) == getattr(here, "due", None)
