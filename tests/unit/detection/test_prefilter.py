"""The screen: wider than the judgement, and cheap where nothing happens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.exhaustion import USAGE_SHARE_LEAST
from memroll.detection.prefilter import NEAR_ONLY, SHARES, SLOPE_SHARES, screened, suspect, suspects, windows_s
from memroll.detection.samples import ScreenRow
from memroll.detection.verdict import STALE_SHARE, Breach, Healthy, Inconclusive, judge
from memroll.detection.window import Code
from tests.bench.detect import singles
from tests.unit.detection.days import HOUR_S, LIMIT_MIB, MIB, NOW_S, RULE, flat, leak, lived, ramp, rule

LIMIT = LIMIT_MIB * MIB
THRESHOLD = RULE.threshold_bytes_per_s
FAR, NEAR = 0.5 * USAGE_SHARE_LEAST * LIMIT, 1.01 * USAGE_SHARE_LEAST * LIMIT
LOOK_EACH_S = 1.5 * HOUR_S


def slopes(which, times):
    return [times * SLOPE_SHARES[i] * THRESHOLD if i == which else 0.0 for i in range(len(SHARES))]


@pytest.mark.parametrize("which", range(len(SHARES)))
def test_each_window_rouses_suspicion_above_its_share_of_the_threshold(which):
    assert suspect(RULE, LIMIT, NEAR, slopes(which, 1.01))
    assert not suspect(RULE, LIMIT, NEAR, slopes(which, 0.99))
    assert suspect(RULE, LIMIT, FAR, slopes(which, 1.01)) is not NEAR_ONLY[which]


def test_without_a_limit_the_short_windows_do_not_count():
    assert [suspect(RULE, None, NEAR, slopes(i, 9.0)) for i in range(len(SHARES))] == [not near for near in NEAR_ONLY]


@pytest.mark.parametrize(
    ("rules", "known"),
    [({"threshold_bytes_per_s": None}, [0.0] * 4), ({}, [None] * 4), ({"ceiling_share": 0.4}, [0.0] * 4)],
    ids=["no threshold", "no slopes", "above the ceiling"],
)
def test_what_the_screen_can_t_answer_is_judged(rules, known):
    assert suspect(rule(**rules), LIMIT, 0.5 * LIMIT, known)
    assert not suspect(RULE, LIMIT, 0.5 * LIMIT, [0.0, None, 0.0, None])


def row(*found, usage=FAR, behind_s=30.0):
    return ScreenRow("pod", "app", "id", found or (0.0,) * len(SHARES), 360, usage, usage, NOW_S - behind_s)


def test_a_container_not_worth_a_look_is_healthy_and_says_its_steepest_slope():
    found = screened(row(0.0, -1.0, 20 * MIB / HOUR_S / 100, None), RULE, LIMIT, 0.0, NOW_S)
    assert isinstance(found, Healthy)
    assert (found.code, found.usage_bytes) == (Code.NOT_GROWING, FAR)
    assert found.message == "slope +0.2 MiB/h at the most"


def test_a_young_one_that_does_not_grow_is_warming_up():
    found = screened(row(), RULE, LIMIT, NOW_S - HOUR_S, NOW_S)
    assert isinstance(found, Inconclusive)
    assert found.code is Code.WARMING_UP


@pytest.mark.parametrize(
    "told",
    [row(usage=None), row(behind_s=1.01 * STALE_SHARE * RULE.window_s), row(2 * THRESHOLD, 0.0, 0.0, 0.0)],
    ids=["usage unknown", "stale", "grows"],
)
def test_what_must_be_judged_has_no_verdict_yet(told):
    assert screened(told, RULE, LIMIT, 0.0, NOW_S) is None
    assert screened(
        replace(told, working_set_bytes=FAR, last_s=NOW_S, slopes_bytes_per_s=(0.0,) * 4), RULE, LIMIT, 0, NOW_S
    )


def test_windows_follow_the_policy_s():
    assert windows_s(RULE) == tuple(share * RULE.window_s for share in SHARES)


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param(lived(flat(300)), id="flat"),
        pytest.param(lived(flat(1000)), id="flat near the limit"),
        pytest.param(lived(leak(-5, base_mib=900)), id="falls"),
        pytest.param(lived(ramp(300, 2, 3)), id="rose long ago"),
    ],
)
def test_what_stays_as_it_is_is_not_worth_a_look(subject):
    assert not suspects(subject, RULE, np.array([NOW_S])).any()


@pytest.mark.parametrize("onset_h", [30.0, 0.5])
@pytest.mark.parametrize("kind", [*singles.CORE_LEAKS, *singles.HARD_LEAKS])
def test_the_screen_hides_nothing_that_the_judgement_finds(kind, onset_h):
    trace = singles.single(kind, np.random.default_rng([3, len(kind)]), onset_h)
    memory, used = (type(lived(flat(1)).rss)(trace.t_s, values) for values in (trace.rss, trace.working_set))
    subject = replace(lived(flat(1)), rss=memory, working_set=used, limit_bytes=trace.limit_bytes)
    looks_s = np.arange(trace.t_s[-1], LOOK_EACH_S, -LOOK_EACH_S)
    worth = suspects(subject, RULE, looks_s)
    found = np.array([isinstance(judge(subject, RULE, float(t)), Breach) for t in looks_s])
    assert not (found & ~worth).any()
    if onset_h == 30.0 and kind != "small-noisy":
        assert found.any()
