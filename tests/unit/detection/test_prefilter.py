"""Prefilter: drops no container that the checks would find, and is cheap for the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.exhaustion import MIN_USAGE_RATIO_LONG_LEAD
from memroll.detection.prefilter import (
    PREFILTER_WINDOWS,
    candidate_mask,
    is_candidate,
    prefilter_verdict,
    prefilter_windows_s,
    window_slopes,
)
from memroll.detection.reasons import VerdictReason
from memroll.detection.samples import PrefilterRow
from memroll.detection.verdict import MAX_SAMPLE_AGE_WINDOWS, verdict_for
from tests.bench.detect import singles
from tests.unit.detection.days import HOUR_S, LIMIT_MIB, MIB, NOW_S, PARAMETERS, flat, leak, lived, parameters, ramp

LIMIT = LIMIT_MIB * MIB
THRESHOLD = PARAMETERS.threshold_bytes_per_s
FAR, NEAR = 0.5 * MIN_USAGE_RATIO_LONG_LEAD * LIMIT, 1.01 * MIN_USAGE_RATIO_LONG_LEAD * LIMIT
EVALUATED_EACH_S = 1.5 * HOUR_S


def slopes(which, times):
    return [times * w.min_slope_ratio * THRESHOLD if i == which else 0.0 for i, w in enumerate(PREFILTER_WINDOWS)]


@pytest.mark.parametrize("which", range(len(PREFILTER_WINDOWS)))
def test_each_window_makes_a_candidate_above_its_ratio_of_the_threshold(which):
    assert is_candidate(PARAMETERS, LIMIT, NEAR, slopes(which, 1.01))
    assert not is_candidate(PARAMETERS, LIMIT, NEAR, slopes(which, 0.99))
    assert is_candidate(PARAMETERS, LIMIT, FAR, slopes(which, 1.01)) is not PREFILTER_WINDOWS[which].near_limit_only


def test_without_a_limit_the_short_windows_do_not_count():
    found = [is_candidate(PARAMETERS, None, NEAR, slopes(i, 9.0)) for i in range(len(PREFILTER_WINDOWS))]
    assert found == [not window.near_limit_only for window in PREFILTER_WINDOWS]


@pytest.mark.parametrize(
    ("changes", "known"),
    [({"threshold_bytes_per_s": None}, [0.0] * 4), ({}, [None] * 4), ({"usage_threshold": 0.4}, [0.0] * 4)],
    ids=["no threshold", "no slopes", "above the usage threshold"],
)
def test_a_container_without_the_data_to_drop_it_is_a_candidate(changes, known):
    assert is_candidate(parameters(**changes), LIMIT, 0.5 * LIMIT, known)
    assert not is_candidate(PARAMETERS, LIMIT, 0.5 * LIMIT, [0.0, None, 0.0, None])


def row(*found, usage=FAR, behind_s=30.0):
    return PrefilterRow(
        "pod", "app", "id", found or (0.0,) * len(PREFILTER_WINDOWS), 360, usage, usage, NOW_S - behind_s
    )


def test_a_dropped_container_is_healthy_and_its_message_has_the_steepest_slope():
    found = prefilter_verdict(row(0.0, -1.0, 20 * MIB / HOUR_S / 100, None), PARAMETERS, LIMIT, 0.0, NOW_S)
    assert found.is_healthy
    assert (found.reason, found.usage_bytes) == (VerdictReason.NOT_GROWING, FAR)
    assert found.message == "slope +0.2 MiB per hour at most"


def test_a_young_container_that_does_not_grow_is_warming_up():
    found = prefilter_verdict(row(), PARAMETERS, LIMIT, NOW_S - HOUR_S, NOW_S)
    assert found.is_inconclusive
    assert found.reason is VerdictReason.WARMING_UP


@pytest.mark.parametrize(
    "statistics",
    [
        row(usage=None),
        row(behind_s=1.01 * MAX_SAMPLE_AGE_WINDOWS * PARAMETERS.window_s),
        row(2 * THRESHOLD, 0.0, 0.0, 0.0),
    ],
    ids=["usage unknown", "stale", "grows"],
)
def test_a_candidate_has_no_verdict_yet(statistics):
    assert prefilter_verdict(statistics, PARAMETERS, LIMIT, 0.0, NOW_S) is None
    assert prefilter_verdict(
        replace(statistics, working_set_bytes=FAR, last_s=NOW_S, slopes_bytes_per_s=(0.0,) * 4),
        PARAMETERS,
        LIMIT,
        0,
        NOW_S,
    )


def test_a_container_without_an_rss_is_not_read():
    statistics = replace(row(None, None, None, None, usage=NEAR), samples=0, rss_bytes=None, last_s=-np.inf)
    found = prefilter_verdict(statistics, PARAMETERS, LIMIT, 0.0, NOW_S)
    assert found.is_inconclusive
    assert (found.reason, found.usage_bytes) == (VerdictReason.NO_RSS, NEAR)
    assert "container_memory_rss" in found.message
    silent = replace(statistics, samples=360)  # an RSS earlier in the window: its age is reported
    assert prefilter_verdict(silent, PARAMETERS, LIMIT, 0.0, NOW_S) is None


def test_with_too_few_samples_since_a_gap_a_container_is_a_candidate():
    windows_s = prefilter_windows_s(PARAMETERS)
    whole = lived(flat(300)).rss
    gap_s = NOW_S - 2 * HOUR_S
    kept = (whole.times_s < gap_s) | (whole.times_s > NOW_S - 90)
    series = type(whole)(whole.times_s[kept], whole.values[kept])
    assert np.isnan(window_slopes(series, windows_s, np.array([NOW_S]))).all()
    assert not np.isnan(window_slopes(whole, windows_s, np.array([NOW_S]))).any()


def test_the_windows_are_ratios_of_the_policy_s():
    assert prefilter_windows_s(PARAMETERS) == tuple(w.ratio * PARAMETERS.window_s for w in PREFILTER_WINDOWS)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(lived(flat(300)), id="flat"),
        pytest.param(lived(flat(1000)), id="flat near the limit"),
        pytest.param(lived(leak(-5, base_mib=900)), id="falls"),
        pytest.param(lived(ramp(300, 2, 3)), id="rose long ago"),
    ],
)
def test_a_container_that_does_not_change_is_no_candidate(history):
    assert not candidate_mask(history, PARAMETERS, np.array([NOW_S])).any()


@pytest.mark.parametrize("onset_h", [30.0, 0.5])
@pytest.mark.parametrize("kind", [*singles.CORE_LEAKS, *singles.HARD_LEAKS])
def test_the_prefilter_drops_nothing_that_the_checks_find(kind, onset_h):
    trace = singles.single(kind, np.random.default_rng([3, len(kind)]), onset_h)
    memory, used = (type(lived(flat(1)).rss)(trace.t_s, values) for values in (trace.rss, trace.working_set))
    history = replace(lived(flat(1)), rss=memory, working_set=used, limit_bytes=trace.limit_bytes)
    times_s = np.arange(trace.t_s[-1], EVALUATED_EACH_S, -EVALUATED_EACH_S)
    candidates = candidate_mask(history, PARAMETERS, times_s)
    found = np.array([verdict_for(history, PARAMETERS, float(t)).is_at_risk for t in times_s])
    assert not (found & ~candidates).any()
    if onset_h == 30.0 and kind != "small-noisy":
        assert found.any()
