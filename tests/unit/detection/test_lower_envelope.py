"""Lower envelope of a window, and the number of its bins."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.detection.lower_envelope import (
    COLLECTIONS_PER_BIN,
    MAX_BINS,
    MIN_BINS,
    MIN_COLLECTIONS,
    SAMPLES_PER_BIN,
    bin_count,
    count_collections,
    lower_envelope,
)
from memroll.detection.series import EMPTY, Series


def of(values) -> Series:
    return Series(np.arange(1, len(values) + 1, dtype=float), np.asarray(values, dtype=float))


def saw(samples, period, height=10.0):
    return height * (np.arange(samples) % period) / period


def test_each_bin_has_its_minimum_at_its_centre():
    envelope = lower_envelope(of([5, 1, 7, 3, 9, 2]), 0.0, 6.0, bins=3)
    assert envelope.values_bytes.tolist() == [1, 3, 2]
    assert envelope.times_s.tolist() == [1, 3, 5]


def test_a_sample_on_an_edge_belongs_to_the_bin_that_it_ends():
    envelope = lower_envelope(of([4, 3, 2, 1]), 0.0, 4.0, bins=2)
    assert envelope.values_bytes.tolist() == [3, 1]
    assert lower_envelope(of([4, 3, 2, 1]), 1.0, 3.0, bins=1).values_bytes.tolist() == [2]


def test_empty_bins_are_omitted():
    gap = Series(np.array([1.0, 9.0]), np.array([3.0, 4.0]))
    envelope = lower_envelope(gap, 0.0, 10.0, bins=5)
    assert (envelope.times_s.tolist(), envelope.values_bytes.tolist()) == ([1, 9], [3, 4])
    assert len(lower_envelope(gap, 3.0, 8.0)) == len(lower_envelope(EMPTY, 0.0, 10.0)) == 0


@pytest.mark.parametrize("samples", [0, 11, 30, 47, 48, 1000])
def test_bins_have_two_samples_or_more_within_their_limits(samples):
    found = bin_count(samples)
    assert MIN_BINS <= found <= MAX_BINS
    assert found in (MIN_BINS, MAX_BINS) or found == samples // SAMPLES_PER_BIN


@pytest.mark.parametrize("collections", [MIN_COLLECTIONS, 12, 20, 1000])
def test_with_collections_each_bin_contains_one(collections):
    found = bin_count(1000, collections)
    assert found in (MIN_BINS, MAX_BINS) or collections / found >= COLLECTIONS_PER_BIN
    assert bin_count(1000, MIN_COLLECTIONS - 1) == MAX_BINS


@pytest.mark.parametrize("period", [10, 30, 60])
def test_the_collections_of_a_sawtooth_are_counted(period):
    assert count_collections(saw(360, period)) == 360 // period - 1
    assert count_collections(saw(360, period) + np.arange(360) / 60) == 360 // period - 1


@pytest.mark.parametrize(
    "values",
    [np.full(360, 5.0), np.arange(360.0), saw(360, 60, 1) + np.arange(360), saw(MIN_BINS, 3)],
    ids=["constant", "line", "a sawtooth that is small compared with the rise", "too few samples"],
)
def test_small_falls_are_no_collections(values):
    assert count_collections(values) == 0


@pytest.mark.parametrize("period", [25, 40, 70])
def test_a_sawtooth_is_not_visible_in_the_lower_envelope(period):
    envelope = lower_envelope(of(saw(360, period)), 0.0, 360.0)
    assert len(envelope) < MAX_BINS
    assert np.ptp(envelope.values_bytes) <= 2 * 10 / period
