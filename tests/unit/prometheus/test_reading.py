from __future__ import annotations

import pytest

from memroll.analysis.reading import Reading, SeriesRow
from memroll.analysis.series import EMPTY, Series


def row(container_id: str, *times: float, pod: str = "p", container: str = "c") -> SeriesRow:
    samples = Series.of((t, 1.0) for t in times)
    return SeriesRow(pod, container, container_id, samples, samples)


def times(found: SeriesRow | None) -> list[float] | None:
    return None if found is None else found.rss.times_s.tolist()


LOOKUPS = [
    pytest.param([row("old", 1, 2), row("new", 3)], "old", 0, [1, 2], id="the ID decides"),
    pytest.param([row("old", 1, 2), row("new", 3)], "other", 0, None, id="an unknown ID among known ones is no match"),
    pytest.param([row("", 1, 2), row("", 3, 4)], "any", 0, [3, 4], id="without IDs the newest row counts"),
    pytest.param([row("", 1, 2, 3)], "any", 2, [3], id="and only since the start"),
    pytest.param([row("", 1, 2)], "any", 2, None, id="nothing since the start is nothing"),
    pytest.param([row("", 9), row("old", 1)], "new", 0, None, id="one known ID forbids the fallback"),
    pytest.param([row("id", 1, pod="q")], "id", 0, None, id="another pod"),
    pytest.param([row("id", 1, container="side")], "id", 0, None, id="another container"),
    pytest.param([row("", 1, pod="q"), row("", 2, container="side")], "id", 0, None, id="another's fallback"),
    pytest.param([row("", 1)], "", 0, [1], id="no ID on either side"),
    pytest.param([row("id", 1)], "", 0, None, id="a container without ID takes no one's row"),
    pytest.param([SeriesRow("p", "c", "", EMPTY, EMPTY)], "id", 0, None, id="an empty row"),
    pytest.param([], "id", 0, None, id="an empty reading"),
]


@pytest.mark.parametrize(("rows", "container_id", "started_at_s", "expected"), LOOKUPS)
def test_row_for(rows: list[SeriesRow], container_id: str, started_at_s: float, expected: list[float] | None) -> None:
    assert times(Reading(tuple(rows), 10.0).row_for("p", "c", container_id, started_at_s)) == expected


def test_the_newest_sample_of_either_metric_counts() -> None:
    one = SeriesRow("p", "c", "", Series.of([(1, 1)]), Series.of([(9, 1)]))
    other = SeriesRow("p", "c", "", Series.of([(5, 1)]), EMPTY)
    found = Reading((other, one), 10.0).row_for("p", "c", "id", 0.0)
    assert found is not None
    assert found.working_set.last_s == 9
