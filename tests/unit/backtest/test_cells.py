"""Cells of files with samples, as tools write them."""

from __future__ import annotations

import math

import pytest

from memroll.backtest.cells import is_missing, parse_memory_bytes, parse_time_s

MIB = 2**20


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1772366400", 1772366400),
        (" 5.5 ", 5.5),
        ("2026-03-01T12:00:00Z", 1772366400),
        ("2026-03-01T13:00:00+01:00", 1772366400),
        ("2026-03-01 12:00:00", 1772366400),
        ("2026-03-01 12:00:00.250", 1772366400.25),
    ],
)
def test_times_are_numbers_or_iso_8601_in_utc(text, seconds):
    assert parse_time_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1048576", MIB),
        ("1e6", 1e6),
        ("512Mi", 512 * MIB),
        ("1.5Gi", 1.5 * 1024 * MIB),
        ("500M", 5e8),
        ("512 MiB", 512 * MIB),
        ("1.07 GB", 1.07e9),
        ("104 kB", 104e3),
        ("3 B", 3),
        ("12 bytes", 12),
    ],
)
def test_memory_is_a_number_a_quantity_or_a_value_of_grafana(text, count):
    assert parse_memory_bytes(text) == pytest.approx(count)


@pytest.mark.parametrize("text", ["soon", "", "12 parsecs", "1.2.3 MiB", "MiB", "12:00"])
def test_other_texts_are_no_numbers(text):
    assert math.isnan(parse_memory_bytes(text))
    assert math.isnan(parse_time_s(text))


@pytest.mark.parametrize("text", ["", " ", "null", "NaN", "undefined", "-"])
def test_a_cell_can_have_no_value(text):
    assert is_missing(text)
    assert not is_missing("0")
