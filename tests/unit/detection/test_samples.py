from __future__ import annotations

import pytest

from memroll.detection.samples import PodPattern, Reading, Screening, ScreenRow, SeriesRow, Span
from memroll.detection.series import EMPTY, Series


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


def test_a_cut_row_is_cut_in_all_its_series() -> None:
    samples = Series.of([(1, 1), (2, 2), (3, 3)])
    found = Reading((SeriesRow("p", "c", "", samples, samples, samples, samples),), 10.0).row_for("p", "c", "id", 2.0)
    assert found is not None
    assert {tuple(s.times_s) for s in (found.rss, found.working_set, found.load, found.ooms)} == {(3.0,)}


def figures(container_id: str, last_s: float, *slopes: float | None) -> ScreenRow:
    return ScreenRow("p", "c", container_id, slopes, 40, 1e8, 2e8, last_s)


SCREENED = [
    pytest.param([figures("old", 9, 1, 2), figures("new", 9, 3, 4)], "new", 95, (3, 4), id="the ID decides"),
    pytest.param([figures("old", 9, 1, 2)], "new", 0, None, id="an unknown ID among known ones is no match"),
    pytest.param(
        [figures("", 8, 1, 2), figures("", 9, 3, 4)], "any", 0, (3, 4), id="without IDs the newest row counts"
    ),
    pytest.param([figures("", 99, 3, 4)], "any", 90, (3, None), id="and only windows that began since the start"),
    pytest.param([figures("", 99, 3, 4)], "any", 50, (3, 4), id="a window may begin with the instance"),
    pytest.param([figures("", 99, None, 4)], "any", 10, (None, 4), id="none stays none"),
    pytest.param([figures("", 9, 3, 4)], "any", 9, None, id="nothing since the start is nothing"),
    pytest.param([figures("", float("-inf"), 3, 4)], "any", 0, None, id="nothing current is nothing"),
]


@pytest.mark.parametrize(("rows", "container_id", "started_at_s", "slopes"), SCREENED)
def test_row_for_of_a_screening(
    rows: list[ScreenRow], container_id: str, started_at_s: float, slopes: tuple[float | None, ...] | None
) -> None:
    found = Screening(tuple(rows), (10.0, 50.0), 100.0).row_for("p", "c", container_id, started_at_s)
    assert (found and found.slopes_bytes_per_s) == slopes


PATTERNS = [
    pytest.param("chat", 2, "chat-7f9c6d8b54-x2v9z", True, id="of a Deployment"),
    pytest.param("chat", 1, "chat-x2v9z", True, id="of a DaemonSet"),
    pytest.param("chat", 2, "chat-7f9c6d8b545-x2v9z", False, id="a hash of eleven characters"),
    pytest.param("chat", 2, "chat-7f9c-x2v9", False, id="four random characters"),
    pytest.param("chat", 2, "chat-7f9c-x2v9zz", False, id="six random characters"),
    pytest.param("chat", 2, "chat-7f9c-x2v9a", False, id="a vowel"),
    pytest.param("chat", 2, "chat-x2v9z", False, id="a part too few"),
    pytest.param("chat", 1, "chat-7f9c-x2v9z", False, id="a part too many"),
    pytest.param("chat", 1, "chat-side-x2v9z", False, id="a workload with a longer name"),
    pytest.param("chat", 1, "echat-x2v9z", False, id="a workload that ends alike"),
    pytest.param("chat", 1, "-x2v9z", False, id="no prefix"),
    pytest.param("chat", 1, "chat-x2v9z\n", False, id="a newline"),
    pytest.param("a.b", 1, "axb-x2v9z", False, id="a dot is a dot"),
]


@pytest.mark.parametrize(("prefix", "parts", "pod", "expected"), PATTERNS)
def test_generated_names(prefix: str, parts: int, pod: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert PodPattern(prefix, parts).matches(pod) is expected


@pytest.mark.parametrize(("prefix", "parts"), [("", 1), ("chat", 0), ("chat", -1)])
def test_patterns_that_are_none(prefix: str, parts: int) -> None:
    with pytest.raises(ValueError, match="not a pattern"):
        PodPattern(prefix, parts)


@pytest.mark.parametrize("seconds", [0.0, -60.0, 0.0004, float("nan"), float("inf")])
def test_spans_that_are_none(seconds: float) -> None:
    for lookback_s, step_s in ((seconds, None), (60.0, seconds)):
        with pytest.raises(ValueError, match="not a duration"):
            Span(lookback_s, step_s)
