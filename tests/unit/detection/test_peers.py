"""Comparison with peers: plateaus at the same level, and whether growth depends on age or on time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection import peers
from memroll.detection.peers import (
    age_dependence,
    common_growth,
    ended_at_limit,
    follows_to_limit,
    longest_plateau_s,
    recent_peers,
)
from memroll.detection.series import EMPTY
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, LIMIT_MIB, NOW_H, NOW_S, PARAMETERS, flat, leak, lived, ramp, trend_window

BORN_H = (1, 5, 9, 13, 17, 21)


def leaking_fleet(mib_per_h=15):
    return [lived(leak(mib_per_h, since_h=b), born_h=b, seed=b) for b in BORN_H]


def loaded_fleet():
    return [lived(ramp(300, 32, 9), born_h=b, seed=b) for b in BORN_H]


@pytest.mark.parametrize("mib_per_h", [8, 15, 30])
def test_the_level_of_a_leak_depends_on_age(mib_per_h):
    one, *others = leaking_fleet(mib_per_h)
    assert age_dependence(trend_window(one), tuple(others)) == pytest.approx(1.0, abs=0.1)


def test_the_level_of_a_load_does_not_depend_on_age():
    one, *others = loaded_fleet()
    assert age_dependence(trend_window(one), tuple(others)) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([], id="no peers"),
        pytest.param(
            [lived(leak(15, since_h=1), born_h=1 + 0.9 * peers.MIN_AGE_DIFFERENCE_WINDOWS * 6)], id="of the same age"
        ),
        pytest.param([lived(flat(300), born_h=20)], id="does not grow"),
        pytest.param([lived(leak(15), born_h=20, until_h=39)], id="no longer running"),
        pytest.param([lived(leak(15), born_h=38)], id="started recently"),
    ],
)
def test_age_and_time_cannot_be_separated_without_a_growing_pod_of_another_age(others):
    assert age_dependence(trend_window(lived(leak(15, since_h=1), born_h=1)), tuple(others)) == float("inf")


def test_the_age_dependence_is_the_median_over_the_peers():
    one, *others = leaking_fleet()
    odd = lived(ramp(300, 32, 9), born_h=20)
    assert age_dependence(trend_window(one), (*others, odd)) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(
    ("others", "ratio"),
    [([], 0.0), (leaking_fleet()[1:], 1.0), ([lived(flat(300), seed=s) for s in (1, 2)], 0.0)],
    ids=["no peers", "all grow", "no other grows"],
)
def test_common_growth_is_the_median_over_the_peers(others, ratio):
    assert common_growth(trend_window(leaking_fleet()[0]), tuple(others)) == pytest.approx(ratio, abs=0.05)


GROWS = lived(leak(20, since_h=20))
"""Leak that is at 600 MiB now."""
PLATEAUS = [
    pytest.param(lived(lambda h: np.minimum(200 + 40 * h, 620), seed=2), True, id="a plateau above"),
    pytest.param(lived(lambda h: np.minimum(200 + 40 * h, 620), until_h=30, seed=2), True, id="a plateau of the past"),
    pytest.param(lived(lambda h: np.minimum(200 + 40 * h, 520), seed=2), False, id="a plateau below"),
    pytest.param(lived(leak(20, since_h=15), seed=2), False, id="still grows"),
    pytest.param(lived(leak(20), seed=2), False, id="grows as fast, and began earlier"),
    pytest.param(lived(lambda h: np.minimum(200 + 40 * h, LIMIT_MIB - 2), seed=2), False, id="ended at its limit"),
    pytest.param(
        lived(lambda h: np.minimum(200 + 40 * h, 620), until_h=30, seed=2, oom_kills_s=(29 * HOUR_S,)),
        False,
        id="was killed",
    ),
    pytest.param(lived(flat(620), born_h=NOW_H - 1, seed=2), False, id="too young"),
]


@pytest.mark.parametrize(("peer", "counts"), PLATEAUS)
def test_a_peer_plateaued_if_it_stayed_at_the_level_without_growing_on(peer, counts):
    plateau_s = longest_plateau_s(trend_window(GROWS), (peer,))
    assert plateau_s >= 10 * HOUR_S if counts else plateau_s == 0.0


def test_the_longest_plateau_counts():
    short, long = (lived(lambda h, b=b: np.minimum(200 + 40 * h, 620), until_h=b, seed=2) for b in (20, 35))
    window = trend_window(GROWS)
    assert (
        longest_plateau_s(window, (short, long))
        == longest_plateau_s(window, (long, short))
        == longest_plateau_s(window, (long,))
    )
    assert longest_plateau_s(window, (short,)) < longest_plateau_s(window, (long,))


def test_a_peer_whose_worker_was_recycled_at_that_level_did_not_plateau():
    recycled = lived(lambda h: 200 + 900 * ((h + 2) % 9 / 9), seed=2)
    assert longest_plateau_s(trend_window(GROWS), recent_peers((recycled,), PARAMETERS, NOW_S)) == 0.0


@pytest.mark.parametrize(
    ("usage", "limit", "oom_kills_s", "ended"),
    [
        (990, LIMIT_MIB * MIB, (), False),
        (1023, LIMIT_MIB * MIB, (), True),
        (300, LIMIT_MIB * MIB, (1.0,), True),
        (1023, None, (), False),
        (1023, None, (1.0,), True),
    ],
)
def test_a_peer_ended_at_its_limit_if_it_was_there_or_was_killed(usage, limit, oom_kills_s, ended):
    peer = lived(flat(usage), limit_bytes=limit, oom_kills_s=oom_kills_s, noise_mib=0)
    assert ended_at_limit(peer, NOW_S) is ended


KILLED = lived(leak(80, since_h=10), until_h=20.3, seed=2)
HEALTHY = lived(flat(300), seed=3)


@pytest.mark.parametrize(
    ("own", "others", "follows"),
    [
        (lived(leak(45, since_h=10)), (KILLED, HEALTHY, HEALTHY), True),
        (lived(leak(35, since_h=10)), (KILLED, HEALTHY, HEALTHY), False),
        (lived(ramp(700, 30, 10)), (KILLED, HEALTHY, HEALTHY), False),
        (lived(ramp(700, 30, 10)), (KILLED, HEALTHY), False),
        (lived(ramp(700, 30, 10)), (KILLED, KILLED, HEALTHY), True),
        (lived(leak(45, since_h=25), born_h=25), (KILLED, HEALTHY), False),
        (lived(leak(45, since_h=25), born_h=25), (KILLED,), True),
        (lived(leak(45, since_h=15)), (HEALTHY,), False),
        (lived(leak(45, since_h=15)), (), False),
    ],
    ids=[
        "grew with it",
        "grew by less than half as much",
        "was flat then",
        "half of the peers",
        "most of the peers",
        "started later",
        "started later, and has no other peer",
        "no peer reached its limit",
        "no peers",
    ],
)
def test_a_container_follows_peers_to_the_limit_if_it_grew_with_one_or_most_of_them_did(own, others, follows):
    assert follows_to_limit(own, others, PARAMETERS.window_s, NOW_S) is follows


def test_of_many_peers_those_with_the_newest_samples_are_kept():
    many = [lived(flat(300), until_h=20 + i / 2) for i in range(peers.MAX_PEERS + 5)]
    kept = recent_peers(many, PARAMETERS, NOW_S)
    assert [p.rss.last_s for p in kept] == [p.rss.last_s for p in many[:4:-1]]


def test_the_selection_of_peers_does_not_depend_on_their_order():
    many = [lived(flat(300 + i), noise_mib=0) for i in range(peers.MAX_PEERS + 5)]
    kept, reversed_ = (
        {float(p.rss.values[0]) for p in recent_peers(some, PARAMETERS, NOW_S)} for some in (many, many[::-1])
    )
    assert kept == reversed_


def test_peers_that_started_later_or_have_no_samples_are_left_out():
    known = lived(flat(300))
    later = lived(flat(300), born_h=NOW_H + 1, until_h=NOW_H + 2)
    empty = replace(known, rss=EMPTY)
    ancient = lived(flat(300), until_h=NOW_H - PARAMETERS.lookback_s / HOUR_S - 1)
    kept = recent_peers([later, empty, ancient, known], PARAMETERS, NOW_S)
    assert [p.started_at_s for p in kept] == [known.started_at_s]
    assert len(kept) == 1


def test_samples_of_a_peer_after_now_are_left_out():
    (kept,) = recent_peers([lived(leak(10), until_h=NOW_H + 5)], PARAMETERS, NOW_S)
    assert kept.rss.last_s == NOW_S


def test_a_peer_is_running_for_a_part_of_the_window_after_its_last_sample():
    window = trend_window(leaking_fleet()[0])
    width_h = peers.MAX_SILENT_WINDOWS * PARAMETERS.window_s / HOUR_S
    running, ended = (lived(leak(15), until_h=NOW_H - ratio * width_h) for ratio in (0.9, 1.1))
    assert peers._concurrent_growth(window, running) is not None
    assert peers._concurrent_growth(window, ended) is None
