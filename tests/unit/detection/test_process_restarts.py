"""Process restarts inside one container: level drops, and their effect on the verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.container_history import ContainerHistory
from memroll.detection.process_restarts import MAX_REMAINING_RATIO, process_lifetimes, restarts_s
from memroll.detection.reasons import VerdictReason
from memroll.detection.series import EMPTY, Series
from memroll.detection.verdict import verdict_for
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, LIMIT_MIB, NOW_H, NOW_S, PARAMETERS, flat, leak, lived

BIG = 2048 * MIB


def killed(after_h, *, before=2024, left=293, **changes):
    """Build a worker that leaks up to `before` MiB and is killed; the container continues with `left` MiB."""
    return lived(
        lambda h: np.where(h <= after_h, before - 60 * (after_h - h), left + 60 * (h - after_h)),
        limit_bytes=BIG,
        **changes,
    )


DROPS = [
    pytest.param(lambda h: np.where(h <= 30, 2024, 293), [30], id="a killed worker"),
    pytest.param(lambda h: np.where(h <= 20, 2000, np.where(h <= 30, 1000, 300)), [20, 30], id="two of three workers"),
    pytest.param(lambda h: np.where(h <= 30, 2024, 293 + 50 * (h - 30)), [30], id="a worker that leaks again"),
    pytest.param(lambda h: 1000 + 600 * (h / 0.5 % 1), [], id="a sawtooth of collections"),
    pytest.param(lambda h: 300 + 1700 * (h / 0.25 % 1), [], id="large collections each quarter of an hour"),
    pytest.param(lambda h: 293 + 1700 * (h % 1), [], id="an hourly recycled worker"),
    pytest.param(lambda h: 2000 - 1700 * np.clip((h - 30) / 3, 0, 1), [], id="a slow fall"),
    pytest.param(lambda h: np.where(h <= 30, 1000, 1.05 * MAX_REMAINING_RATIO * 1000), [], id="a fall that keeps most"),
    pytest.param(lambda h: np.where(np.abs(h - 30) < 0.02, 2000, 300), [], id="a burst"),
    pytest.param(lambda h: np.where(h <= 0.04, 900, 300), [], id="a spike at the start"),
    pytest.param(flat(300), [], id="no fall"),
]


@pytest.mark.parametrize(("curve", "at_h"), DROPS)
@pytest.mark.parametrize("noise_mib", [0.0, 5.0])
def test_a_restart_is_a_drop_below_the_level_and_not_a_collection(curve, at_h, noise_mib):
    found = restarts_s(lived(curve, noise_mib=noise_mib), PARAMETERS)
    assert [t / HOUR_S for t in found] == pytest.approx(at_h, abs=0.02)


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_a_few_samples_are_one_lifetime(samples):
    series = Series(60.0 * np.arange(samples), np.full(samples, 300.0 * MIB))
    history = ContainerHistory(series, series, 0.0, BIG)
    assert process_lifetimes(history, PARAMETERS) == (history,)


def test_each_lifetime_has_its_own_samples_and_starts_where_the_last_one_ended():
    history = replace(killed(30), load=Series(np.arange(0, NOW_S, 60.0), np.ones(int(NOW_S / 60))))
    first, second = process_lifetimes(history, PARAMETERS)
    assert (first.started_at_s, second.started_at_s) == (0.0, first.rss.last_s)
    assert first.rss.values[-1] > 1900 * MIB > 400 * MIB > second.rss.values[0]
    for one, other, whole in (
        (first.rss, second.rss, history.rss),
        (first.working_set, second.working_set, history.working_set),
        (first.load, second.load, history.load),
    ):
        assert np.concatenate((one.times_s, other.times_s)).tolist() == whole.times_s.tolist()


def test_after_a_restart_the_verdict_is_about_the_new_lifetime():
    doomed = lived(leak(20, base_mib=1100), until_h=NOW_H, limit_bytes=BIG)
    assert verdict_for(doomed, PARAMETERS, NOW_S).is_at_risk
    recycled = lived(lambda h: np.where(h <= 39, 1100 + 20 * h, 300), limit_bytes=BIG)
    young = verdict_for(recycled, PARAMETERS, NOW_S)
    assert young.is_inconclusive
    assert young.reason is VerdictReason.WARMING_UP
    settled = verdict_for(lived(lambda h: np.where(h <= 31, 1100 + 20 * h, 300), limit_bytes=BIG), PARAMETERS, NOW_S)
    assert settled.is_healthy
    assert settled.reason is VerdictReason.NOT_GROWING


def test_a_new_lifetime_has_its_own_warm_up():
    """It fills for half an hour, which within a lifetime would be growth."""

    def refilled(h):
        return np.where(h <= 33, 1900, 293 + 900 * np.clip((h - 33) / 0.4, 0, 1))

    found = verdict_for(lived(refilled, limit_bytes=BIG), PARAMETERS, NOW_S)
    assert found.is_healthy
    assert found.trend is not None
    assert abs(found.trend.rise_bytes) < 2 * MIB


def test_an_earlier_lifetime_is_compared_like_a_peer():
    """The earlier worker was at 700 MiB for a day and stopped there: the new one grows up to the same level."""

    def again(h):
        return np.where(h <= 25, 700, 300 + 25 * (h - 25))

    found = verdict_for(lived(again, limit_bytes=LIMIT_MIB * MIB), PARAMETERS, NOW_S)
    assert found.is_suspected
    assert "another pod of this workload was at the same level" in found.message
    alone = lived(lambda h: 300 + 25 * (h - 25), born_h=25)
    assert "was at the same level" not in verdict_for(alone, PARAMETERS, NOW_S).message


def test_a_lifetime_that_was_killed_at_the_limit_has_not_plateaued():
    def again(h):
        return np.where(h <= 25, np.minimum(300 + 70 * h, LIMIT_MIB - 1), 300 + 25 * (h - 25))

    found = verdict_for(lived(again), PARAMETERS, NOW_S)
    assert "was at the same level" not in found.message


def test_the_kill_belongs_to_the_lifetime_that_it_ended():
    first, second = process_lifetimes(replace(killed(30), oom_kills_s=(30 * HOUR_S + 30,)), PARAMETERS)
    assert (len(first.oom_kills_s), len(second.oom_kills_s)) == (1, 0)


def test_a_drop_that_only_the_rss_shows_is_no_error():
    cut = killed(NOW_H - 1 / 60)
    cut = replace(cut, working_set=cut.working_set.until(NOW_S - 60))
    assert not verdict_for(cut, PARAMETERS, NOW_S).is_at_risk


def test_without_load_every_lifetime_has_none():
    assert all(
        lifetime.load is EMPTY or not len(lifetime.load) for lifetime in process_lifetimes(killed(30), PARAMETERS)
    )
