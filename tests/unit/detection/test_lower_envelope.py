"""The floor of a window, and how many bins it is cut into."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.lower_envelope import (
    BINS_MAX,
    BINS_MIN,
    FALLS_MIN,
    FALLS_PER_BIN,
    SAMPLES_PER_BIN,
    bins_for,
    collections,
    floor,
)
from memroll.detection.series import EMPTY, Series


def of(values) -> Series:
    return Series(np.arange(1, len(values) + 1, dtype=float), np.asarray(values, dtype=float))


def saw(samples, period, height=10.0):
    return height * (np.arange(samples) % period) / period


def test_each_bin_holds_its_least_value_at_its_centre():
    points = floor(of([5, 1, 7, 3, 9, 2]), 0.0, 6.0, bins=3)
    assert points.values_bytes.tolist() == [1, 3, 2]
    assert points.times_s.tolist() == [1, 3, 5]


def test_a_sample_on_an_edge_belongs_to_the_bin_that_it_ends():
    points = floor(of([4, 3, 2, 1]), 0.0, 4.0, bins=2)
    assert points.values_bytes.tolist() == [3, 1]
    assert floor(of([4, 3, 2, 1]), 1.0, 3.0, bins=1).values_bytes.tolist() == [2]


def test_empty_bins_are_left_out():
    gap = Series(np.array([1.0, 9.0]), np.array([3.0, 4.0]))
    points = floor(gap, 0.0, 10.0, bins=5)
    assert (points.times_s.tolist(), points.values_bytes.tolist()) == ([1, 9], [3, 4])
    assert len(floor(gap, 3.0, 8.0)) == len(floor(EMPTY, 0.0, 10.0)) == 0


@pytest.mark.parametrize("samples", [0, 11, 30, 47, 48, 1000])
def test_bins_have_two_samples_or_more_within_their_limits(samples):
    found = bins_for(samples)
    assert BINS_MIN <= found <= BINS_MAX
    assert found in (BINS_MIN, BINS_MAX) or found == samples // SAMPLES_PER_BIN


@pytest.mark.parametrize("falls", [FALLS_MIN, 12, 20, 1000])
def test_where_it_collects_a_bin_holds_a_collection(falls):
    found = bins_for(1000, falls)
    assert found in (BINS_MIN, BINS_MAX) or falls / found >= FALLS_PER_BIN
    assert bins_for(1000, FALLS_MIN - 1) == BINS_MAX


@pytest.mark.parametrize("period", [10, 30, 60])
def test_the_falls_of_a_saw_are_counted(period):
    assert collections(saw(360, period)) == 360 // period - 1
    assert collections(saw(360, period) + np.arange(360) / 60) == 360 // period - 1


@pytest.mark.parametrize(
    "values",
    [np.full(360, 5.0), np.arange(360.0), saw(360, 60, 1) + np.arange(360), saw(BINS_MIN, 3)],
    ids=["constant", "line", "a saw that is small beside the climb", "too few samples"],
)
def test_what_does_not_fall_far_does_not_collect(values):
    assert collections(values) == 0


@pytest.mark.parametrize("period", [25, 40, 70])
def test_a_saw_leaves_no_trace_in_its_floor(period):
    points = floor(of(saw(360, period)), 0.0, 360.0)
    assert len(points) < BINS_MAX
    assert np.ptp(points.values_bytes) <= 2 * 10 / period
