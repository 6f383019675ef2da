"""The verdict on the shapes of the demo: short windows, samples each 5 s, limit 128 MiB."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.container_history import LeadRule
from memroll.detection.series import EMPTY, Series
from memroll.detection.verdict import Breach, Code, Healthy, Inconclusive, judge
from tests.builders import MIB, NOW, line, rule, series, subject

NOW_S = NOW.timestamp()
AGES = np.arange(0, 181, 5, dtype=float)
A_ROLL = {"lead": LeadRule(None, 40.0), "interval_s": 5.0}
"""A roll takes some ten seconds: 36 s before the limit there is no time left to learn more."""
RNG_SEEDS = range(8)


def verdict(samples, **changes):
    return judge(subject(samples), rule(**changes), NOW_S)


@pytest.mark.parametrize("seed", RNG_SEEDS)
def test_a_leak_is_a_breach_with_its_time_to_the_limit(seed):
    noise = np.random.default_rng(seed).normal(0, 0.4, AGES.size)
    found = verdict(series(AGES, 20 + 0.5 * AGES + noise), **A_ROLL)
    assert isinstance(found, Breach)
    assert found.code is Code.GROWING
    assert found.due
    assert found.time_to_limit_s == pytest.approx((128 - 110) / 0.5, abs=5)


HARMLESS = {
    "flat": 60 + 0 * AGES,
    "a high-water mark: one jump inside the window": np.where(AGES < 145, 30, 109),
    "a high-water mark: a quick ramp, then a plateau": 30 + 79 * np.clip((AGES - 130) / 15, 0, 1),
    "a cache that fills along a saturating curve": 25 + 60 * (1 - np.exp(-AGES / 25)),
    "growth below the threshold": 60 + 0.01 * AGES,
    "shrinking": 110 - 0.2 * AGES,
    "a saw of collections around a constant level": 60 + (AGES % 20),
}


@pytest.mark.parametrize("seed", RNG_SEEDS)
@pytest.mark.parametrize("shape", HARMLESS)
def test_an_innocent_pod_is_healthy(shape, seed):
    noise = np.random.default_rng(seed).normal(0, 0.4, AGES.size)
    found = verdict(series(AGES, HARMLESS[shape] + noise))
    assert isinstance(found, Healthy), found


def test_a_leak_under_collections_is_seen_by_its_floor():
    found = verdict(series(AGES, 20 + 0.5 * AGES + (AGES % 15) * 0.8), **A_ROLL)
    assert isinstance(found, Breach)


def test_a_leak_that_has_just_begun_must_persist_first():
    found = verdict(series(AGES, 40 + 0.6 * np.clip(AGES - 138, 0, None)))
    assert isinstance(found, Healthy)


DOUBTS = [
    pytest.param({"rss": EMPTY}, {}, Code.NO_DATA, "no samples", id="no samples at all"),
    pytest.param({"started_at_s": NOW_S - 30}, {}, Code.WARMING_UP, "young", id="younger than warm-up and window"),
    pytest.param(
        {}, {"threshold_bytes_per_s": None}, Code.NO_MEMORY_LIMIT, "set one", id="a share of a limit that is not there"
    ),
]


@pytest.mark.parametrize(("changes", "rules", "code", "words"), DOUBTS)
def test_doubt_is_inconclusive_and_says_what_to_do(changes, rules, code, words):
    found = judge(subject(line(0.5), **changes), rule(**rules), NOW_S)
    assert isinstance(found, Inconclusive)
    assert found.code is code
    assert words in found.message


def test_late_data_is_inconclusive():
    samples = line(0.5)
    found = judge(subject(samples), rule(), NOW_S + 20)
    assert isinstance(found, Inconclusive)
    assert found.code is Code.STALE_DATA
    assert found.message == "the newest sample is 20 s old"


def test_six_missed_scrapes_are_too_late_however_long_the_window():
    hours = series(np.arange(0, 8 * 3600, 30.0), 100 + np.arange(0, 8 * 3600, 30.0) / 3600)
    long = rule(window_s=6 * 3600, warm_up_s=1800, persist_s=1800)
    assert not isinstance(judge(subject(hours), long, NOW_S + 170), Inconclusive)
    late = judge(subject(hours), long, NOW_S + 190)
    assert isinstance(late, Inconclusive)
    assert late.code is Code.STALE_DATA


def test_too_few_samples_are_inconclusive():
    whole = line(0.5)
    thin = Series(whole.times_s[::4], whole.values[::4])
    found = verdict(thin)
    assert isinstance(found, Inconclusive)
    assert found.code is Code.TOO_FEW_SAMPLES


def test_a_gap_over_most_of_the_window_is_inconclusive():
    whole = line(0.5, step_s=1)
    recent = whole.times_s > NOW_S - 20
    found = judge(subject(Series(whole.times_s[recent], whole.values[recent]), started_at_s=NOW_S - 180), rule(), NOW_S)
    assert isinstance(found, Inconclusive)
    assert found.code is Code.TOO_FEW_SAMPLES


def test_the_ceiling_needs_no_trend_but_persistence():
    flat = series(AGES, 125 + 0 * AGES)
    found = verdict(flat, ceiling_share=0.95)
    assert isinstance(found, Breach)
    assert found.code is Code.CEILING
    spike = series(AGES, np.where(AGES > 172, 125, 60))
    assert isinstance(verdict(spike, ceiling_share=0.95), Healthy)


def test_a_leak_without_a_limit_is_told_but_has_no_deadline():
    found = judge(subject(line(0.1, age_s=600), limit_bytes=None), rule(), NOW_S)
    assert isinstance(found, Breach)
    assert found.time_to_limit_s is None
    assert not found.due


@pytest.mark.parametrize("scale", [1, 60, 360])
def test_nothing_assumes_hours_or_seconds(scale):
    """The same shape, stretched in time with its rule, gets the same verdict."""
    samples = series(AGES * scale, 20 + 0.5 * AGES)
    stretched = rule(
        threshold_bytes_per_s=64 * MIB / 3600 / scale,
        window_s=60 * scale,
        warm_up_s=20 * scale,
        persist_s=10 * scale,
        lead=LeadRule(None, 40.0 * scale),
        interval_s=5.0 * scale,
    )
    found = judge(subject(samples), stretched, NOW_S)
    assert isinstance(found, Breach)
    assert found.due
    assert found.time_to_limit_s == pytest.approx(36 * scale, rel=0.05)
