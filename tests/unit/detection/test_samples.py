from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.detection.samples import (
    PrefilterResult,
    PrefilterRow,
    QueryResult,
    SampleRange,
    SeriesRow,
    SlowBins,
    counted_windows_s,
)
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
    pytest.param([], "id", 0, None, id="an empty result"),
]


@pytest.mark.parametrize(("rows", "container_id", "started_at_s", "expected"), LOOKUPS)
def test_row_for(rows: list[SeriesRow], container_id: str, started_at_s: float, expected: list[float] | None) -> None:
    assert times(QueryResult(tuple(rows), 10.0).row_for("p", "c", container_id, started_at_s)) == expected


def test_the_newest_sample_of_either_metric_counts() -> None:
    one = SeriesRow("p", "c", "", Series.of([(1, 1)]), Series.of([(9, 1)]))
    other = SeriesRow("p", "c", "", Series.of([(5, 1)]), EMPTY)
    found = QueryResult((other, one), 10.0).row_for("p", "c", "id", 0.0)
    assert found is not None
    assert found.working_set.last_s == 9


def test_of_two_scrapers_without_ids_the_one_with_both_metrics_counts():
    whole, half = row("", 1, 2), SeriesRow("p", "c", "", Series.of([(3, 1)]), EMPTY)
    for rows in ((whole, half), (half, whole)):
        assert times(QueryResult(rows, 10.0).row_for("p", "c", "id", 0.0)) == [1, 2]
    first, second = statistics("", 8, 1, 2), replace(statistics("", 9, 3, 4), working_set_bytes=None)
    for found in ((first, second), (second, first)):
        assert PrefilterResult(found, (10.0, 50.0), 100.0).row_for("p", "c", "id", 0.0).last_s == 8


def test_of_two_nodes_without_ids_that_with_the_newest_rss_counts() -> None:
    """The working set of both rows may be that of an endpoint that is scraped a little later."""
    shared = Series.of([(1, 1), (9, 1)])
    old, new = (SeriesRow("p", "c", "", Series.of([(t, 1)]), shared) for t in (2, 8))
    for rows in ((old, new), (new, old)):
        assert times(QueryResult(rows, 10.0).row_for("p", "c", "id", 5.0)) == [8]


def test_a_cut_row_is_cut_in_all_its_series() -> None:
    samples = Series.of([(1, 1), (2, 2), (3, 3)])
    found = QueryResult((SeriesRow("p", "c", "", *[samples] * 6),), 10.0).row_for("p", "c", "id", 2.0)
    assert found is not None
    parts = (found.rss, found.working_set, found.load, found.ooms, found.active_file, found.swap)
    assert {tuple(s.times_s) for s in parts} == {(3.0,)}


def statistics(container_id: str, last_s: float, *slopes: float | None) -> PrefilterRow:
    return PrefilterRow("p", "c", container_id, slopes, 40, 1e8, 2e8, last_s)


PREFILTERED = [
    pytest.param([statistics("old", 9, 1, 2), statistics("new", 9, 3, 4)], "new", 95, (3, 4), id="the ID decides"),
    pytest.param([statistics("old", 9, 1, 2)], "new", 0, None, id="an unknown ID among known ones is no match"),
    pytest.param(
        [statistics("", 8, 1, 2), statistics("", 9, 3, 4)], "any", 0, (3, 4), id="without IDs the newest row counts"
    ),
    pytest.param([statistics("", 99, 3, 4)], "any", 90, (3, None), id="and only windows that began since the start"),
    pytest.param([statistics("", 99, 3, 4)], "any", 50, (3, 4), id="a window may begin with the instance"),
    pytest.param([statistics("", 99, None, 4)], "any", 10, (None, 4), id="none stays none"),
    pytest.param([statistics("", 9, 3, 4)], "any", 9, None, id="nothing since the start is nothing"),
    pytest.param([statistics("", float("-inf"), 3, 4)], "any", 0, None, id="nothing current is nothing"),
    pytest.param(
        [PrefilterRow("p", "c", "", (None, None), 0, None, 2e8, float("-inf"))],
        "any",
        0,
        (None, None),
        id="a working set alone is a row of unknown time",
    ),
]


@pytest.mark.parametrize(("rows", "container_id", "started_at_s", "slopes"), PREFILTERED)
def test_row_for_of_a_prefilter_result(
    rows: list[PrefilterRow], container_id: str, started_at_s: float, slopes: tuple[float | None, ...] | None
) -> None:
    found = PrefilterResult(tuple(rows), (10.0, 50.0), 100.0).row_for("p", "c", container_id, started_at_s)
    assert (found and found.slopes_bytes_per_s) == slopes


@pytest.mark.parametrize(
    ("container_id", "started_at_s", "expected"),
    [("", 50.0, (3.0, None)), ("", 10.0, (3.0, 4.0)), ("", 71.0, (None, None)), ("id", 99.0, (3.0, 4.0))],
)
def test_without_an_id_no_slow_slope_reaches_back_before_the_start(
    container_id: str, started_at_s: float, expected: tuple[float | None, ...]
) -> None:
    row = replace(statistics(container_id, 100.0, 1, 2), slow_slopes_bytes_per_s=(3.0, 4.0))
    result = PrefilterResult((row,), (10.0, 50.0), 100.0, SlowBins(10.0, (20.0, 80.0)))
    found = result.row_for("p", "c", "id", started_at_s)
    assert found is not None
    assert found.slow_slopes_bytes_per_s == expected


@pytest.mark.parametrize(
    ("windows_s", "counted"), [((360.0, 1440.0, 120.0, 45.0), (120.0,)), ((90.0,), (90.0,)), ((), ())]
)
def test_samples_are_counted_in_the_second_shortest_window(
    windows_s: tuple[float, ...], counted: tuple[float, ...]
) -> None:
    assert counted_windows_s(windows_s) == counted


@pytest.mark.parametrize("seconds", [0.0, -60.0, 0.0004, float("nan"), float("inf")])
def test_invalid_ranges(seconds: float) -> None:
    for lookback_s, step_s in ((seconds, None), (60.0, seconds)):
        with pytest.raises(ValueError, match="not a duration"):
            SampleRange(lookback_s, step_s)
