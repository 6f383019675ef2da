"""The lives inside one container: what is a cliff, and what a verdict makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.container_history import Subject
from memroll.detection.process_restarts import KEPT_SHARE, cliffs_s, lives
from memroll.detection.series import EMPTY, Series
from memroll.detection.verdict import Breach, Code, Healthy, Inconclusive, judge
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, LIMIT_MIB, NOW_H, NOW_S, RULE, flat, leak, lived

BIG = 2048 * MIB


def killed(after_h, *, before=2024, left=293, **changes):
    """A worker that leaks up to `before` MiB and is killed; the container and its master live on with `left`."""
    return lived(
        lambda h: np.where(h <= after_h, before - 60 * (after_h - h), left + 60 * (h - after_h)),
        limit_bytes=BIG,
        **changes,
    )


CLIFFS = [
    pytest.param(lambda h: np.where(h <= 30, 2024, 293), [30], id="a killed worker"),
    pytest.param(lambda h: np.where(h <= 20, 2000, np.where(h <= 30, 1000, 300)), [20, 30], id="two of three workers"),
    pytest.param(lambda h: np.where(h <= 30, 2024, 293 + 50 * (h - 30)), [30], id="one that leaks again"),
    pytest.param(lambda h: 1000 + 600 * (h / 0.5 % 1), [], id="a sawtooth of collections"),
    pytest.param(lambda h: 300 + 1700 * (h / 0.25 % 1), [], id="large collections each quarter of an hour"),
    pytest.param(lambda h: 293 + 1700 * (h % 1), [], id="an hourly recycled worker"),
    pytest.param(lambda h: 2000 - 1700 * np.clip((h - 30) / 3, 0, 1), [], id="a slow fall"),
    pytest.param(lambda h: np.where(h <= 30, 1000, 1.05 * KEPT_SHARE * 1000), [], id="a fall that keeps most"),
    pytest.param(lambda h: np.where(np.abs(h - 30) < 0.02, 2000, 300), [], id="a burst"),
    pytest.param(lambda h: np.where(h <= 0.04, 900, 300), [], id="a spike of the start"),
    pytest.param(flat(300), [], id="no fall at all"),
]


@pytest.mark.parametrize(("curve", "at_h"), CLIFFS)
@pytest.mark.parametrize("noise_mib", [0.0, 5.0])
def test_a_cliff_is_a_fall_below_the_level_and_not_a_collection(curve, at_h, noise_mib):
    found = cliffs_s(lived(curve, noise_mib=noise_mib), RULE)
    assert [t / HOUR_S for t in found] == pytest.approx(at_h, abs=0.02)


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_a_few_samples_are_one_life(samples):
    series = Series(60.0 * np.arange(samples), np.full(samples, 300.0 * MIB))
    subject = Subject(series, series, 0.0, BIG)
    assert lives(subject, RULE) == (subject,)


def test_each_life_has_its_own_samples_and_starts_where_the_one_before_ended():
    subject = replace(killed(30), load=Series(np.arange(0, NOW_S, 60.0), np.ones(int(NOW_S / 60))))
    first, second = lives(subject, RULE)
    assert (first.started_at_s, second.started_at_s) == (0.0, first.rss.last_s)
    assert first.rss.values[-1] > 1900 * MIB > 400 * MIB > second.rss.values[0]
    for one, other, whole in (
        (first.rss, second.rss, subject.rss),
        (first.working_set, second.working_set, subject.working_set),
        (first.load, second.load, subject.load),
    ):
        assert np.concatenate((one.times_s, other.times_s)).tolist() == whole.times_s.tolist()


def test_after_the_cliff_the_verdict_is_about_the_new_life():
    doomed = lived(leak(20, base_mib=1100), until_h=NOW_H, limit_bytes=BIG)
    assert isinstance(judge(doomed, RULE, NOW_S), Breach)
    recycled = lived(lambda h: np.where(h <= 39, 1100 + 20 * h, 300), limit_bytes=BIG)
    young = judge(recycled, RULE, NOW_S)
    assert isinstance(young, Inconclusive)
    assert young.code is Code.WARMING_UP
    settled = judge(lived(lambda h: np.where(h <= 31, 1100 + 20 * h, 300), limit_bytes=BIG), RULE, NOW_S)
    assert isinstance(settled, Healthy)
    assert settled.code is Code.NOT_GROWING


def test_a_new_life_has_a_warm_up_of_its_own():
    """It fills for half an hour, which in the midst of a life would be a climb."""

    def refilled(h):
        return np.where(h <= 33, 1900, 293 + 900 * np.clip((h - 33) / 0.4, 0, 1))

    found = judge(lived(refilled, limit_bytes=BIG), RULE, NOW_S)
    assert isinstance(found, Healthy)
    assert found.trend is not None
    assert abs(found.trend.rise_bytes) < 2 * MIB


def test_the_life_before_speaks_for_the_new_one_as_a_sibling_does():
    """The worker before stood at 700 MiB for a day and stopped there: the new one is on its way to the same level."""

    def again(h):
        return np.where(h <= 25, 700, 300 + 25 * (h - 25))

    found = judge(lived(again, limit_bytes=LIMIT_MIB * MIB), RULE, NOW_S)
    assert isinstance(found, Healthy)
    assert "another pod of this workload stood as high" in found.message
    alone = lived(lambda h: 300 + 25 * (h - 25), born_h=25)
    assert "stood as high" not in judge(alone, RULE, NOW_S).message


def test_a_life_that_was_killed_at_the_limit_does_not_speak_for_the_next():
    def again(h):
        return np.where(h <= 25, np.minimum(300 + 70 * h, LIMIT_MIB - 1), 300 + 25 * (h - 25))

    found = judge(lived(again), RULE, NOW_S)
    assert "stood as high" not in found.message


def test_the_kill_belongs_to_the_life_that_it_ended():
    first, second = lives(replace(killed(30), ooms_s=(30 * HOUR_S + 30,)), RULE)
    assert (len(first.ooms_s), len(second.ooms_s)) == (1, 0)


def test_a_cliff_that_only_the_trend_s_metric_has_seen_breaks_nothing():
    cut = killed(NOW_H - 1 / 60)
    cut = replace(cut, working_set=cut.working_set.until(NOW_S - 60))
    assert isinstance(judge(cut, RULE, NOW_S), Inconclusive | Healthy)


def test_without_load_every_life_has_none():
    assert all(life.load is EMPTY or not len(life.load) for life in lives(killed(30), RULE))
