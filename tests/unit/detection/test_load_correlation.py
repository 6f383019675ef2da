"""Part of a slope that load explains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.load_correlation import (
    MIN_UNEXPLAINED_RATIO,
    unexplained_slope_bytes_per_s,
    unexplained_slope_ratio,
)
from memroll.detection.series import EMPTY, Series
from tests.unit.detection.days import HOUR_S, NOW_S, PARAMETERS, leak, lived, ramp, trend_window


def unexplained_ratio(history):
    return unexplained_slope_ratio(trend_window(history))


RISE = ramp(300, 32, 8)


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(ramp(3, 32, 8, 1), id="rises like the memory"),
        pytest.param(lambda h: ramp(3, 32, 8, 1)(h - 0.1), id="runs a few minutes ahead"),
        pytest.param(lambda h: 100 * ramp(3, 32, 8, 1)(h), id="in requests instead of cores"),
    ],
)
def test_growth_that_follows_load_is_explained(load):
    assert unexplained_ratio(lived(RISE, load=load)) < MIN_UNEXPLAINED_RATIO / 2


def varying(h):
    return 2 + np.sin(2 * np.pi * h / 3)


@pytest.mark.parametrize(
    ("memory", "load"),
    [
        pytest.param(leak(20, since_h=25), varying, id="load varies, memory does not follow"),
        pytest.param(lambda h: leak(20, since_h=25)(h) + 30 * varying(h), varying, id="memory follows load and leaks"),
        pytest.param(leak(20, since_h=25), lambda h: 2 + 0 * h, id="constant load"),
        pytest.param(leak(20, since_h=25), lambda h: 3 - h / 40, id="load falls"),
    ],
)
def test_a_leak_besides_load_is_not_explained(memory, load):
    assert unexplained_ratio(lived(memory, load=load)) > 0.85


def test_a_load_that_hardly_changed_explains_no_doubling():
    assert unexplained_ratio(lived(RISE, load=ramp(0.01, 32, 8, 1))) > 0.9


def unexplained_by_cpu(memory, cpu):
    return unexplained_slope_ratio(trend_window(lived(memory, load=cpu), load_is_cpu=True))


@pytest.mark.parametrize(
    "memory",
    [
        pytest.param(RISE, id="line"),
        pytest.param(lambda h: 200 + 300 * ((h - 28).clip(0) / 12) ** 2, id="quadratic"),
        pytest.param(lambda h: 200 + 300 * np.expm1((h - 28).clip(0) / 3) / np.expm1(4), id="exponential"),
        pytest.param(lambda h: 200 + 300 * np.floor((h - 28).clip(0)) / 12, id="stairs"),
    ],
)
def test_cpu_that_memory_may_cause_explains_nothing(memory):
    found = unexplained_by_cpu(memory, lambda h: 0.2 + memory(h) / 400)
    assert found == pytest.approx(1.0)


def test_cpu_explains_memory_that_has_followed_it_down_as_well():
    def busy(h):
        return 1 + 3 * ((h - 32) / 8).clip(0) + 2 * ((h > 20) & (h < 24))

    assert unexplained_by_cpu(lambda h: 200 + 100 * busy(h), busy) < MIN_UNEXPLAINED_RATIO


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(EMPTY, id="unknown"),
        pytest.param(Series(np.arange(0, NOW_S, 7200.0), np.arange(0, NOW_S, 7200.0)), id="few samples"),
        pytest.param(Series(np.arange(0, NOW_S / 4, 60.0), np.arange(0, NOW_S / 4, 60.0)), id="only old samples"),
        pytest.param(Series(np.arange(60, NOW_S, 60.0), -np.arange(60, NOW_S, 60.0)), id="below zero"),
    ],
)
def test_an_unknown_load_explains_nothing(load):
    history = replace(lived(RISE), load=load)
    assert unexplained_ratio(history) == pytest.approx(1.0, abs=0.02)


def test_a_lifetime_of_a_few_bins_is_too_short():
    born_h = 39.5 - PARAMETERS.warm_up_s / HOUR_S
    newborn = lived(RISE, born_h=born_h, load=ramp(3, 32, 8, 1))
    window = trend_window(newborn, window_h=0.4)
    assert window.at_s - window.valid_from_s < 6 * PARAMETERS.window_s / 72 + HOUR_S
    assert np.isfinite(unexplained_slope_bytes_per_s(window))
