"""What load explains of a climb."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.load_correlation import UNEXPLAINED_SHARE_MIN, unexplained_slope
from memroll.detection.series import EMPTY, Series
from tests.unit.detection.days import HOUR_S, NOW_S, RULE, leak, lived, look, ramp


def share(subject):
    seen = look(subject)
    return unexplained_slope(seen) / seen.trend.slope_bytes_per_s


RISE = ramp(300, 32, 8)


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(ramp(3, 32, 8, 1), id="rises as the memory does"),
        pytest.param(lambda h: ramp(3, 32, 8, 1)(h - 0.1), id="runs a few minutes ahead"),
        pytest.param(lambda h: 100 * ramp(3, 32, 8, 1)(h), id="in requests instead of cores"),
    ],
)
def test_a_climb_that_follows_load_is_explained(load):
    assert share(lived(RISE, load=load)) < UNEXPLAINED_SHARE_MIN / 2


def varying(h):
    return 2 + np.sin(2 * np.pi * h / 3)


@pytest.mark.parametrize(
    ("memory", "load"),
    [
        pytest.param(leak(20, since_h=25), varying, id="load varies, memory does not care"),
        pytest.param(lambda h: leak(20, since_h=25)(h) + 30 * varying(h), varying, id="memory follows load and leaks"),
        pytest.param(leak(20, since_h=25), lambda h: 2 + 0 * h, id="constant load"),
        pytest.param(leak(20, since_h=25), lambda h: 3 - h / 40, id="load falls"),
    ],
)
def test_a_leak_beside_its_load_is_not_explained(memory, load):
    assert share(lived(memory, load=load)) > 0.85


def test_a_load_that_hardly_moved_explains_no_doubling():
    assert share(lived(RISE, load=ramp(0.01, 32, 8, 1))) > 0.9


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(EMPTY, id="unknown"),
        pytest.param(Series(np.arange(0, NOW_S, 7200.0), np.arange(0, NOW_S, 7200.0)), id="known now and then"),
        pytest.param(Series(np.arange(0, NOW_S / 4, 60.0), np.arange(0, NOW_S / 4, 60.0)), id="known in the past"),
        pytest.param(Series(np.arange(60, NOW_S, 60.0), -np.arange(60, NOW_S, 60.0)), id="below zero"),
    ],
)
def test_what_is_not_known_explains_nothing(load):
    subject = replace(lived(RISE), load=load)
    assert share(subject) == pytest.approx(1.0, abs=0.02)


def test_a_life_of_a_few_bins_is_too_short_to_learn_from():
    born_h = 39.5 - RULE.warm_up_s / HOUR_S
    newborn = lived(RISE, born_h=born_h, load=ramp(3, 32, 8, 1))
    seen = replace(look(newborn, window_h=0.4))
    assert seen.at_s - seen.judged_from_s < 6 * RULE.window_s / 72 + HOUR_S
    assert np.isfinite(unexplained_slope(seen))
