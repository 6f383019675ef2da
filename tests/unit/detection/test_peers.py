"""What siblings say: who stood as high and stopped, and whether a climb goes by age or by the clock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection import peers
from memroll.detection.peers import (
    AGE_GAP_WINDOWS,
    ALIVE_SHARE,
    PEERS_MOST,
    by_age,
    ended_at_limit,
    newest,
    shared,
    survived,
)
from memroll.detection.series import EMPTY
from tests.builders import MIB
from tests.unit.detection.days import HOUR_S, LIMIT_MIB, NOW_H, NOW_S, RULE, flat, leak, lived, look, ramp

BORN_H = (1, 5, 9, 13, 17, 21)


def leaking_fleet(mib_per_h=15):
    return [lived(leak(mib_per_h, since_h=b), born_h=b, seed=b) for b in BORN_H]


def loaded_fleet():
    return [lived(ramp(300, 32, 9), born_h=b, seed=b) for b in BORN_H]


@pytest.mark.parametrize("mib_per_h", [8, 15, 30])
def test_a_leak_s_level_goes_by_age(mib_per_h):
    one, *others = leaking_fleet(mib_per_h)
    assert by_age(look(one), tuple(others)) == pytest.approx(1.0, abs=0.1)


def test_a_load_s_level_goes_by_the_clock():
    one, *others = loaded_fleet()
    assert by_age(look(one), tuple(others)) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize(
    "peers",
    [
        pytest.param([], id="nobody"),
        pytest.param([lived(leak(15, since_h=1), born_h=1 + 0.9 * AGE_GAP_WINDOWS * 6)], id="of the same age"),
        pytest.param([lived(flat(300), born_h=20)], id="does not climb"),
        pytest.param([lived(leak(15), born_h=20, until_h=39)], id="gone"),
        pytest.param([lived(leak(15), born_h=38)], id="born of late"),
    ],
)
def test_age_and_clock_can_t_be_told_apart_without_a_climbing_pod_of_another_age(peers):
    assert by_age(look(lived(leak(15, since_h=1), born_h=1)), tuple(peers)) == float("inf")


def test_most_of_the_fleet_decides_how_much_goes_by_age():
    one, *others = leaking_fleet()
    odd = lived(ramp(300, 32, 9), born_h=20)
    assert by_age(look(one), (*others, odd)) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(
    ("peers", "share"),
    [([], 0.0), (leaking_fleet()[1:], 1.0), ([lived(flat(300), seed=s) for s in (1, 2)], 0.0)],
    ids=["nobody", "all climb", "nobody else climbs"],
)
def test_the_siblings_share_of_the_slope_is_their_median(peers, share):
    assert shared(look(leaking_fleet()[0]), tuple(peers)) == pytest.approx(share, abs=0.05)


CLIMBS = lived(leak(20, since_h=20))
"""At 600 MiB now."""
SIBLINGS = [
    pytest.param(lived(lambda h: np.minimum(200 + 40 * h, 620), seed=2), True, id="a plateau above"),
    pytest.param(lived(lambda h: np.minimum(200 + 40 * h, 620), until_h=30, seed=2), True, id="a plateau of the past"),
    pytest.param(lived(lambda h: np.minimum(200 + 40 * h, 520), seed=2), False, id="a plateau below"),
    pytest.param(lived(leak(20, since_h=15), seed=2), False, id="still grows"),
    pytest.param(lived(leak(20), seed=2), False, id="grows as fast, and began earlier"),
    pytest.param(lived(lambda h: np.minimum(200 + 40 * h, LIMIT_MIB - 2), seed=2), False, id="ended at its limit"),
    pytest.param(
        lived(lambda h: np.minimum(200 + 40 * h, 620), until_h=30, seed=2, ooms_s=(29 * HOUR_S,)),
        False,
        id="was killed",
    ),
    pytest.param(lived(flat(620), born_h=NOW_H - 1, seed=2), False, id="too young to say"),
]


@pytest.mark.parametrize(("peer", "counts"), SIBLINGS)
def test_a_sibling_survived_if_it_stood_as_high_without_growing_on(peer, counts):
    stood_s = survived(look(CLIMBS), (peer,))
    assert stood_s >= 10 * HOUR_S if counts else stood_s == 0.0


def test_the_longest_stand_counts():
    short, long = (lived(lambda h, b=b: np.minimum(200 + 40 * h, 620), until_h=b, seed=2) for b in (20, 35))
    seen = look(CLIMBS)
    assert survived(seen, (short, long)) == survived(seen, (long, short)) == survived(seen, (long,))
    assert survived(seen, (short,)) < survived(seen, (long,))


def test_a_sibling_whose_worker_was_recycled_at_that_height_did_not_stop_there():
    recycled = lived(lambda h: 200 + 900 * ((h + 2) % 9 / 9), seed=2)
    assert survived(look(CLIMBS), newest((recycled,), RULE, NOW_S)) == 0.0


@pytest.mark.parametrize(
    ("usage", "limit", "ooms_s", "ended"),
    [
        (990, LIMIT_MIB * MIB, (), False),
        (1023, LIMIT_MIB * MIB, (), True),
        (300, LIMIT_MIB * MIB, (1.0,), True),
        (1023, None, (), False),
        (1023, None, (1.0,), True),
    ],
)
def test_a_peer_ended_at_its_limit_when_it_stood_there_or_was_killed(usage, limit, ooms_s, ended):
    peer = lived(flat(usage), limit_bytes=limit, ooms_s=ooms_s, noise_mib=0)
    assert ended_at_limit(peer, NOW_S) is ended


def test_of_many_peers_those_with_the_newest_samples_are_kept():
    many = [lived(flat(300), until_h=20 + i / 2) for i in range(PEERS_MOST + 5)]
    kept = newest(many, RULE, NOW_S)
    assert [p.rss.last_s for p in kept] == [p.rss.last_s for p in many[:4:-1]]


def test_which_of_too_many_peers_are_kept_does_not_go_by_their_order():
    many = [lived(flat(300 + i), noise_mib=0) for i in range(PEERS_MOST + 5)]
    kept, reversed_ = ({float(p.rss.values[0]) for p in newest(some, RULE, NOW_S)} for some in (many, many[::-1]))
    assert kept == reversed_


def test_peers_that_began_later_or_have_no_samples_are_left_out():
    known = lived(flat(300))
    later = lived(flat(300), born_h=NOW_H + 1, until_h=NOW_H + 2)
    empty = replace(known, rss=EMPTY)
    ancient = lived(flat(300), until_h=NOW_H - RULE.lookback_s / HOUR_S - 1)
    kept = newest([later, empty, ancient, known], RULE, NOW_S)
    assert [p.started_at_s for p in kept] == [known.started_at_s]
    assert len(kept) == 1


def test_a_peer_is_known_up_to_now():
    (kept,) = newest([lived(leak(10), until_h=NOW_H + 5)], RULE, NOW_S)
    assert kept.rss.last_s == NOW_S


def test_a_peer_is_alive_for_a_share_of_the_window_after_its_last_sample():
    seen = look(leaking_fleet()[0])
    width_h = ALIVE_SHARE * RULE.window_s / HOUR_S
    alive, gone = (lived(leak(15), until_h=NOW_H - share * width_h) for share in (0.9, 1.1))
    assert peers._beside(seen, alive) is not None
    assert peers._beside(seen, gone) is None
