from __future__ import annotations

import pytest

from memroll.detection.extremes import NO_EXTREMES, Extremes, ExtremesRequest, ExtremesRow, last_step_end_s
from memroll.detection.series import Series

STEP_S = 3600.0


def row(id_: str, *ends_h: float, container: str = "app") -> ExtremesRow:
    steps = Series.of([(h * STEP_S, h) for h in ends_h])
    return ExtremesRow("web-0", container, id_, steps, steps)


def hours(found: ExtremesRow | None) -> list[float] | None:
    return None if found is None else [t / STEP_S for t in found.minima.times_s.tolist()]


ROWS = [
    pytest.param([row("old", 1, 2), row("new", 2, 3)], "new", 1.5, [2, 3], id="the ID decides"),
    pytest.param([row("old", 1, 2)], "new", 1.5, None, id="of a predecessor only"),
    pytest.param([row("", 1, 2, 3, 4)], "new", 1.5, [3, 4], id="without an ID: no step that began before the start"),
    pytest.param([row("", 1, 2, 3, 4)], "new", 2.0, [3, 4], id="a step that begins at the start"),
    pytest.param([row("", 1, 2)], "new", 5.0, None, id="ended before the start"),
    pytest.param([row("new", 1, container="proxy")], "new", 0.0, None, id="another container"),
]


@pytest.mark.parametrize(("rows", "container_id", "started_h", "expected"), ROWS)
def test_the_steps_of_one_instance(rows, container_id, started_h, expected):
    found = Extremes(tuple(rows), STEP_S).row_for("web-0", "app", container_id, started_h * STEP_S)
    assert hours(found) == expected


def test_without_any_there_is_none():
    assert NO_EXTREMES.row_for("web-0", "app", "id", 0.0) is None


@pytest.mark.parametrize(
    ("at_s", "step_s", "end_s"),
    [
        (7199.999, 3600.0, 3600.0),
        (7200.0, 3600.0, 7200.0),
        (0.75, 0.1, 0.7),
        (1_700_000_000.123, 60.0, 1_699_999_980.0),
    ],
)
def test_the_newest_complete_step_ends_at_a_multiple_of_the_step(at_s, step_s, end_s):
    assert last_step_end_s(at_s, step_s) == end_s
    assert ExtremesRequest("ai", ["p"], step_s, 60.0, at_s).end_s == end_s
