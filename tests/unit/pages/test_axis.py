"""Ticks of the axes of a plot: round, few, and within it."""

from __future__ import annotations

import pytest

from memroll.pages.axis import byte_ticks, short_age, short_bytes, time_ticks
from memroll.pages.times import PageClock

HOUR, DAY, MIB, GIB = 3600, 86_400, 2**20, 2**30
EPOCH_S = 1_772_323_200.0  # 2026-03-01T00:00:00Z


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (600, ["0m", "2m", "4m", "6m", "8m", "10m"]),
        (36 * HOUR, ["0h", "6h", "12h", "18h", "24h", "30h", "36h"]),
        (4 * DAY, ["0d", "1d", "2d", "3d", "4d"]),
        (14 * DAY, ["0d", "3d", "6d", "9d", "12d"]),
    ],
)
def test_ages_are_round(duration_s, expected):
    assert [tick.age for tick in time_ticks(0.0, duration_s, 0.0, PageClock())] == expected


@pytest.mark.parametrize("duration_s", [1.0, 59.0, 3 * 10**5, 10**8, 10**11])
def test_ticks_are_few_and_within_the_plot(duration_s):
    ticks = list(time_ticks(0.0, duration_s, 0.0, PageClock()))
    assert 1 <= len(ticks) <= 8
    assert all(0 <= tick.left <= 100 for tick in ticks)


def test_ages_are_counted_from_the_origin():
    ticks = list(time_ticks(EPOCH_S, 6 * HOUR, EPOCH_S - 90 * 60, PageClock()))
    assert [(t.age, t.lines) for t in ticks][:2] == [("2h", ("1 Mar", "00:30")), ("3h", ("1 Mar", "01:30"))]
    assert ticks[0].left == pytest.approx(100 / 12, abs=0.01)


def test_every_second_tick_is_optional():
    assert [t.is_optional for t in time_ticks(0.0, 4 * DAY, 0.0, PageClock())] == [False, True, False, True, False]


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (1.08 * GIB, ["0", "256 MiB", "512 MiB", "768 MiB", "1 GiB"]),
        (3 * GIB, ["0", "1 GiB", "2 GiB", "3 GiB"]),
        (100 * MIB, ["0", "32 MiB", "64 MiB", "96 MiB"]),
        (1.0, ["0", "1 B"]),
    ],
)
def test_bytes_are_round(top, expected):
    ticks = list(byte_ticks(top))
    assert [tick.text for tick in ticks] == expected
    assert ticks[0].top == 100
    assert all(tick.top >= 0 for tick in ticks)


def test_numbers_have_no_needless_digits():
    assert [short_bytes(n) for n in (0, 1, 1536, 1.5 * GIB, 2**70)] == [
        "0",
        "1 B",
        "1.5 KiB",
        "1.5 GiB",
        "1.04858e+06 PiB",
    ]
    assert short_age(7 * DAY, DAY) == "7d"
