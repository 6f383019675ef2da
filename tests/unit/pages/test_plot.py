"""Plots: curves within their canvas, and names that do not overlap."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from memroll.pages.plot import NAME_WIDTH, Canvas, Curve
from memroll.pages.times import PageClock

CANVAS = Canvas(0.0, 1000.0, 100.0, PageClock())


def moments(*at_s):
    return CANVAS.moments([(f"kind-{n}", f"name-{n}", at) for n, at in enumerate(at_s)])


def test_more_memory_is_higher_up_and_later_is_further_right():
    path = CANVAS.line([0.0, 500.0, 1000.0], [0.0, 50.0, 100.0])
    pairs = [tuple(map(float, pair.split(","))) for pair in path.removeprefix("M").split("L")]
    assert all(0 <= x <= 1000 and 0 <= y <= 1000 for x, y in pairs)
    assert pairs == sorted(pairs)
    assert [y for _, y in pairs] == sorted((y for _, y in pairs), reverse=True)


def test_an_area_is_closed_and_dots_are_points():
    assert re.fullmatch(r"M[\d.,L]+Z", CANVAS.area([0.0, 1.0], [2.0, 3.0], [1.0, 1.0]))
    assert CANVAS.dots([0.0, 1000.0], [100.0, 100.0]).count("h0") == 2


@pytest.mark.parametrize(
    "at_s", [(930, 950, 960, 1000), (10, 20, 30), (480, 500, 520), (0, 1000), (100, 700, 980, 1000), (500, 500, 500)]
)
def test_no_two_names_overlap_and_moments_are_ordered_by_time(at_s):
    placed = moments(*reversed(at_s))
    assert [m.left for m in placed] == sorted(m.left for m in placed)
    spans = [
        (m.row, m.left - NAME_WIDTH, m.left) if m.is_right_half else (m.row, m.left, m.left + NAME_WIDTH)
        for m in placed
    ]
    for one, other in combinations(spans, 2):
        assert one[0] != other[0] or one[2] <= other[1] or other[2] <= one[1]


def test_names_that_are_far_apart_share_a_row():
    assert {m.row for m in moments(0, 1000)} == {0}


def test_later_names_are_further_up_at_the_right_half_so_that_no_line_crosses_them():
    assert [m.row for m in moments(930, 950, 1000)] == [2, 1, 0]
    assert [m.row for m in moments(10, 20, 30)] == [0, 1, 2]


def test_a_mark_at_the_end_is_not_cut():
    (at_end,) = moments(1000)
    assert at_end.left < 98
    assert CANVAS.limit(100.0).top > 5


def test_the_name_of_the_limit_covers_no_tick():
    drawn = Canvas(0.0, 1000.0, 2.0**30, PageClock()).plot("", [Curve("rss", "", "M0,0")], "age", limit_bytes=2**30)
    assert drawn.limit.text == "1 GiB"
    assert [t.text for t in drawn.shown_y_ticks] == ["0", "256 MiB", "512 MiB", "768 MiB"]
    assert drawn.legend == ()


def test_an_empty_canvas_has_coordinates():
    nothing = Canvas(5.0, 5.0, 0.0, PageClock())
    assert nothing.left(5.0) == 0
    assert nothing.line([5.0], [0.0]) == "M0.0,1000.0"
