"""The verdict on the shapes of the demo: short windows, samples each 5 s, limit 128 MiB."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.parameters import LeadTimeRule
from memroll.detection.reasons import VerdictReason
from memroll.detection.series import EMPTY, Series
from memroll.detection.verdict import Verdict, verdict_for
from tests.builders import MIB, NOW, history, line, parameters, series

NOW_S = NOW.timestamp()
AGES = np.arange(0, 181, 5, dtype=float)
A_ROLL = {"lead_time": LeadTimeRule(None, 40.0), "interval_s": 5.0}
"""A roll takes some ten seconds: 36 s before the limit is near."""
RNG_SEEDS = range(8)


def verdict(samples, **changes):
    return verdict_for(history(samples), parameters(**changes), NOW_S)


@pytest.mark.parametrize("seed", RNG_SEEDS)
def test_a_leak_is_due_with_its_time_to_the_limit(seed):
    noise = np.random.default_rng(seed).normal(0, 0.4, AGES.size)
    found = verdict(series(AGES, 20 + 0.5 * AGES + noise), **A_ROLL)
    assert (found.verdict, found.reason) == (Verdict.LEAKING, VerdictReason.LEAKING)
    assert found.due
    assert found.time_to_limit_s == pytest.approx((128 - 110) / 0.5, abs=5)


HARMLESS = {
    "flat": 60 + 0 * AGES,
    "a high-water mark: one jump inside the window": np.where(AGES < 145, 30, 109),
    "a high-water mark: a quick ramp, then a plateau": 30 + 79 * np.clip((AGES - 130) / 15, 0, 1),
    "a cache that fills along a saturating curve": 25 + 60 * (1 - np.exp(-AGES / 25)),
    "growth below the threshold": 60 + 0.01 * AGES,
    "shrinking": 110 - 0.2 * AGES,
    "a sawtooth of collections around a constant level": 60 + (AGES % 20),
}


@pytest.mark.parametrize("seed", RNG_SEEDS)
@pytest.mark.parametrize("shape", HARMLESS)
def test_a_harmless_pod_is_not_at_risk(shape, seed):
    noise = np.random.default_rng(seed).normal(0, 0.4, AGES.size)
    found = verdict(series(AGES, HARMLESS[shape] + noise))
    assert not found.is_at_risk, found
    assert not found.is_inconclusive, found


def test_a_leak_under_collections_is_found_by_its_lower_envelope():
    found = verdict(series(AGES, 20 + 0.5 * AGES + (AGES % 15) * 0.8), **A_ROLL)
    assert found.is_at_risk


def test_a_leak_that_has_just_begun_must_persist_first():
    found = verdict(series(AGES, 40 + 0.6 * np.clip(AGES - 138, 0, None)))
    assert found.verdict in (Verdict.HEALTHY, Verdict.SUSPECTED)


NOT_ASSESSABLE = [
    pytest.param({"rss": EMPTY, "working_set": EMPTY}, {}, VerdictReason.NO_DATA, "no samples", id="no samples at all"),
    pytest.param({"rss": EMPTY}, {}, VerdictReason.NO_RSS, "/metrics/cadvisor", id="a working set alone"),
    pytest.param({"working_set": EMPTY}, {}, VerdictReason.NO_DATA, "memory_working_set_bytes", id="an RSS alone"),
    pytest.param(
        {"started_at_s": NOW_S - 30}, {}, VerdictReason.WARMING_UP, "young", id="younger than warm-up and window"
    ),
    pytest.param(
        {}, {"threshold_bytes_per_s": None}, VerdictReason.NO_MEMORY_LIMIT, "set one", id="a percentage of no limit"
    ),
]


@pytest.mark.parametrize(("changes", "more", "reason", "part"), NOT_ASSESSABLE)
def test_missing_data_are_inconclusive_with_a_remedy(changes, more, reason, part):
    found = verdict_for(history(line(0.5), **changes), parameters(**more), NOW_S)
    assert found.is_inconclusive
    assert found.reason is reason
    assert part in found.message


def test_late_data_is_inconclusive():
    samples = line(0.5)
    found = verdict_for(history(samples), parameters(), NOW_S + 20)
    assert found.is_inconclusive
    assert found.reason is VerdictReason.STALE_DATA
    assert found.message == "the newest sample is 20 s old"


def test_six_missed_scrapes_are_stale_however_long_the_window():
    hours = series(np.arange(0, 8 * 3600, 30.0), 100 + np.arange(0, 8 * 3600, 30.0) / 3600)
    long = parameters(window_s=6 * 3600, warm_up_s=1800, for_s=1800)
    assert not verdict_for(history(hours), long, NOW_S + 170).is_inconclusive
    late = verdict_for(history(hours), long, NOW_S + 190)
    assert late.is_inconclusive
    assert late.reason is VerdictReason.STALE_DATA


def test_too_few_samples_are_inconclusive():
    whole = line(0.5)
    thin = Series(whole.times_s[::4], whole.values[::4])
    found = verdict(thin)
    assert found.is_inconclusive
    assert found.reason is VerdictReason.TOO_FEW_SAMPLES


def test_a_gap_over_most_of_the_window_is_inconclusive():
    whole = line(0.5, step_s=1)
    recent = whole.times_s > NOW_S - 20
    found = verdict_for(
        history(Series(whole.times_s[recent], whole.values[recent]), started_at_s=NOW_S - 180), parameters(), NOW_S
    )
    assert found.is_inconclusive
    assert found.reason is VerdictReason.TOO_FEW_SAMPLES


def test_the_usage_threshold_needs_no_trend_but_must_persist():
    flat = series(AGES, 125 + 0 * AGES)
    found = verdict(flat, usage_threshold=0.95)
    assert (found.verdict, found.reason) == (Verdict.HEALTHY, VerdictReason.ABOVE_THRESHOLD)
    assert found.is_at_risk
    assert found.due
    spike = series(AGES, np.where(AGES > 172, 125, 60))
    assert not verdict(spike, usage_threshold=0.95).is_at_risk


def test_a_leak_without_a_limit_is_reported_but_has_no_deadline():
    found = verdict_for(history(line(0.1, age_s=600), limit_bytes=None), parameters(), NOW_S)
    assert found.is_at_risk
    assert found.time_to_limit_s is None
    assert not found.due


@pytest.mark.parametrize("scale", [1, 60, 360])
def test_nothing_assumes_hours_or_seconds(scale):
    """The same shape, stretched in time with its parameters, gets the same verdict."""
    samples = series(AGES * scale, 20 + 0.5 * AGES)
    stretched = parameters(
        threshold_bytes_per_s=64 * MIB / 3600 / scale,
        window_s=60 * scale,
        warm_up_s=20 * scale,
        for_s=10 * scale,
        lead_time=LeadTimeRule(None, 40.0 * scale),
        interval_s=5.0 * scale,
    )
    found = verdict_for(history(samples), stretched, NOW_S)
    assert found.is_at_risk
    assert found.due
    assert found.time_to_limit_s == pytest.approx(36 * scale, rel=0.05)
