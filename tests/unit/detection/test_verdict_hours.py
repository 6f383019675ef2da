"""Verdicts on histories of hours: each verdict and reason, and what they take into account."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.parameters import WINDOWS_PER_DAY, LeadTimeRule
from memroll.detection.reasons import VerdictReason
from memroll.detection.series import EMPTY
from memroll.detection.verdict import MAX_SAMPLE_AGE_SPACINGS, Verdict, is_above_threshold, verdict_for
from tests.builders import (
    above_threshold_verdict,
    exhausting_verdict,
    healthy_verdict,
    inconclusive_verdict,
    leak_verdict,
    suspected_verdict,
)
from tests.unit.detection.days import HOUR_S, LIMIT_MIB, NOW_H, NOW_S, PARAMETERS, flat, leak, lived, parameters, ramp

DOOMED = lived(leak(40, since_h=20.5))
"""Leak that is an hour from its limit."""

CASES = [
    pytest.param(Verdict.LEAKING, VerdictReason.LEAKING, lived(leak(15)), {}, id="leaks, far from its limit"),
    pytest.param(Verdict.LEAKING, VerdictReason.LEAKING, DOOMED, {}, id="leaks into its limit"),
    pytest.param(
        Verdict.EXHAUSTING, VerdictReason.EXHAUSTING, lived(leak(200, since_h=36.2)), {}, id="grows steeply for hours"
    ),
    pytest.param(
        Verdict.HEALTHY,
        VerdictReason.ABOVE_THRESHOLD,
        lived(flat(0.95 * LIMIT_MIB)),
        {"usage_threshold": 0.9},
        id="above its usage threshold",
    ),
    pytest.param(
        Verdict.SUSPECTED, VerdictReason.SUSPECTED, lived(leak(60, since_h=36.5)), {}, id="has grown for a few hours"
    ),
    pytest.param(
        Verdict.SUSPECTED, VerdictReason.SUSPECTED, lived(leak(20, since_h=30), born_h=30), {}, id="leaks, but is young"
    ),
    pytest.param(Verdict.HEALTHY, VerdictReason.NOT_GROWING, lived(flat(300)), {}, id="flat"),
    pytest.param(
        Verdict.HEALTHY,
        VerdictReason.GROWTH_SLOWING,
        lived(lambda h: 600 - 400 * np.exp(-(h - 34).clip(0) / 1.2)),
        {},
        id="settles",
    ),
    pytest.param(Verdict.INCONCLUSIVE, VerdictReason.WARMING_UP, lived(leak(20), born_h=36), {}, id="started recently"),
    pytest.param(Verdict.INCONCLUSIVE, VerdictReason.NO_RSS, replace(DOOMED, rss=EMPTY), {}, id="no RSS"),
    pytest.param(
        Verdict.INCONCLUSIVE, VerdictReason.NO_DATA, replace(DOOMED, working_set=EMPTY), {}, id="no working set"
    ),
    pytest.param(Verdict.INCONCLUSIVE, VerdictReason.STALE_DATA, DOOMED.as_of(NOW_S - HOUR_S), {}, id="an hour behind"),
    pytest.param(
        Verdict.INCONCLUSIVE,
        VerdictReason.NO_MEMORY_LIMIT,
        DOOMED,
        {"threshold_bytes_per_s": None},
        id="a percentage of no limit",
    ),
    pytest.param(
        Verdict.INCONCLUSIVE,
        VerdictReason.TOO_FEW_SAMPLES,
        replace(DOOMED, rss=DOOMED.rss.between(NOW_S - 600, NOW_S), working_set=DOOMED.rss.between(NOW_S - 600, NOW_S)),
        {},
        id="a history of minutes",
    ),
]


@pytest.mark.parametrize(("verdict", "reason", "history", "changes"), CASES)
def test_every_verdict_has_a_reason_and_a_message(verdict, reason, history, changes):
    found = verdict_for(history, parameters(**changes), NOW_S)
    assert (found.verdict, found.reason) == (verdict, reason), found.message
    assert found.message


NAMED = {
    "is_confirmed_leak": [leak_verdict()],
    "is_suspected": [suspected_verdict()],
    "is_healthy": [healthy_verdict()],
    "is_inconclusive": [inconclusive_verdict()],
    "is_above_threshold": [
        replace(found, reason=VerdictReason.ABOVE_THRESHOLD)
        for found in (leak_verdict(), suspected_verdict(), healthy_verdict(), inconclusive_verdict())
    ],
    "is_at_risk": [leak_verdict(), exhausting_verdict(60.0), above_threshold_verdict()],
}


@pytest.mark.parametrize("name", NAMED)
def test_a_container_above_the_usage_threshold_is_at_risk_whatever_its_verdict(name):
    assert all(getattr(found, name) for found in NAMED[name])
    above = NAMED["is_above_threshold"]
    assert all(getattr(found, name) is (name in ("is_above_threshold", "is_at_risk")) for found in above)


@pytest.mark.parametrize(("left_h", "due"), [(1.0, True), (8.0, False)])
def test_a_leak_is_reported_when_it_is_confirmed_and_due_when_its_limit_is_near(left_h, due):
    found = verdict_for(lived(leak(40, since_h=19.5 + left_h)), PARAMETERS, NOW_S)
    assert found.is_at_risk
    assert (found.reason, found.due) == (VerdictReason.LEAKING, due)
    assert found.remaining_s == pytest.approx(left_h * HOUR_S, rel=0.15)
    assert found.lead_time_s is not None
    assert (found.remaining_s <= found.lead_time_s) is due


@pytest.mark.parametrize(
    "found",
    [healthy_verdict(), inconclusive_verdict(), verdict_for(lived(leak(15), limit_bytes=None), PARAMETERS, NOW_S)],
    ids=["healthy", "inconclusive", "without a limit"],
)
def test_without_a_leak_or_a_limit_the_remaining_time_is_infinite(found):
    assert found.remaining_s == float("inf")


def test_a_container_without_a_limit_leaks_by_a_threshold_in_bytes():
    found = verdict_for(lived(leak(15), limit_bytes=None), PARAMETERS, NOW_S)
    assert found.is_at_risk
    assert (found.reason, found.time_to_limit_s, found.lead_time_s, found.due) == (
        VerdictReason.LEAKING,
        None,
        None,
        False,
    )


@pytest.mark.parametrize(
    ("curve", "above"),
    [
        pytest.param(flat(950), True, id="throughout"),
        pytest.param(flat(900), False, id="below"),
        pytest.param(lambda h: np.where(np.abs(h - NOW_H + 0.3) < 0.02, 800, 950), False, id="with a dip"),
        pytest.param(lambda h: np.where(h > NOW_H - 0.4, 950, 300), False, id="recently"),
        pytest.param(lambda h: np.where(h > NOW_H - 0.6, 950, 300), True, id="for longer than growth.for"),
    ],
)
def test_the_usage_is_above_the_threshold_for_all_of_growth_for(curve, above):
    history = lived(curve, noise_mib=0)
    assert is_above_threshold(history, parameters(usage_threshold=0.92), NOW_S) is above
    assert not is_above_threshold(history, PARAMETERS, NOW_S)
    assert not is_above_threshold(replace(history, limit_bytes=None), parameters(usage_threshold=0.92), NOW_S)
    newborn = lived(flat(950), born_h=NOW_H - 0.3)
    assert not is_above_threshold(newborn, parameters(usage_threshold=0.92), NOW_S)


@pytest.mark.parametrize("metric", ["rss", "working_set"])
def test_either_metric_may_be_too_old(metric):
    limit_s = MAX_SAMPLE_AGE_SPACINGS * DOOMED.rss.spacing_s
    for behind_s, stale in ((limit_s, False), (limit_s + 60, True)):
        late = replace(DOOMED, **{metric: DOOMED.rss.until(NOW_S - behind_s)})
        assert (verdict_for(late, PARAMETERS, NOW_S).reason is VerdictReason.STALE_DATA) is stale


def test_a_working_set_of_minutes_is_no_error():
    history = lived(leak(20))
    assert verdict_for(replace(history, working_set=history.rss.between(NOW_S - 600, NOW_S)), PARAMETERS, NOW_S).message


def test_working_set_alone_is_no_leak():
    """Page cache that fills up to the limit: the kernel reclaims it."""
    cache = lived(lambda h: np.minimum(300 + 40 * h, LIMIT_MIB - 5))
    found = verdict_for(replace(cache, rss=lived(flat(300)).rss), PARAMETERS, NOW_S)
    assert found.is_healthy
    assert found.reason is VerdictReason.NOT_GROWING


def test_a_short_window_confirms_only_what_is_due():
    def ended_ago(hours):
        return verdict_for(lived(ramp(550, NOW_H - 1.5 - hours, 1.5, base_mib=430)), PARAMETERS, NOW_S)

    assert (ended_ago(0.2).verdict, ended_ago(0.2).due) == (Verdict.LEAKING, True)
    assert ended_ago(0.35).verdict is Verdict.SUSPECTED, "most of the window grew, but the limit is hours away by now"
    assert "short window" in ended_ago(0.35).message


def test_samples_after_now_are_ignored():
    ahead = lived(lambda h: np.where(h > NOW_H, 20, leak(15)(h)), until_h=NOW_H + 5)
    assert verdict_for(ahead, PARAMETERS, NOW_S) == verdict_for(ahead.as_of(NOW_S), PARAMETERS, NOW_S)
    assert verdict_for(ahead, PARAMETERS, NOW_S).is_at_risk


PEER = lived(lambda h: np.minimum(200 + 60 * h, 990), seed=2)


def test_peers_are_compared_before_a_pod_is_due():
    grows = lived(ramp(790, 30, 11))
    alone, with_peer = verdict_for(grows, PARAMETERS, NOW_S), verdict_for(grows, PARAMETERS, NOW_S, (PEER,))
    assert alone.due
    assert not with_peer.due


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
    """With windows shorter than an hour a day is four windows: the same ratio as for the default of six hours."""
    assert PARAMETERS.day_s == WINDOWS_PER_DAY * PARAMETERS.window_s
    history = lived(SHAPES[shape])
    stretched = replace(
        history,
        rss=replace(history.rss, times_s=history.rss.times_s * scale),
        working_set=replace(history.rss, times_s=history.rss.times_s * scale),
    )
    scaled = parameters(
        threshold_bytes_per_s=PARAMETERS.threshold_bytes_per_s / scale,
        window_s=PARAMETERS.window_s * scale,
        warm_up_s=PARAMETERS.warm_up_s * scale,
        for_s=PARAMETERS.for_s * scale,
        lead_time=LeadTimeRule(None, PARAMETERS.lead_time.min_s * scale),
        interval_s=PARAMETERS.interval_s * scale,
    )
    here, there = verdict_for(history, PARAMETERS, NOW_S), verdict_for(stretched, scaled, NOW_S * scale)
    assert (there.verdict, there.reason) == (here.verdict, here.reason)
    assert there.remaining_s == pytest.approx(here.remaining_s * scale, rel=0.01)
    assert there.due is here.due
