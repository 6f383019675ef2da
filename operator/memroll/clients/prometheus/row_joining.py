"""Join rows that each have a part of one container's memory. Pure; called by the row builders.

Only a container ID shows that two series are of one instance. If a relabelling drops the labels `id` and `name`, or if
a metric is scraped from /metrics/resource, which has neither, a container's RSS and working set are in two rows. Rows
that have an RSS count, completed by those that only have a working set: without an RSS there is no trend. A row with
an ID takes from rows without one only what it lacks, and only within its own time. So does a row without an ID, with
one more sample on each side, because another endpoint is scraped at other times: a pod of a StatefulSet keeps its name
when it moves to another node, and the rows of both nodes must stay apart.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from memroll.clients.prometheus.series_merging import merge_series
from memroll.detection.samples import TICK_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from memroll.detection.samples import PrefilterRow, SeriesRow

R = TypeVar("R", "SeriesRow", "PrefilterRow")


def join_series_rows(rows: Iterable[SeriesRow]) -> tuple[SeriesRow, ...]:
    """Return the rows, each with the RSS and the working set of its container."""
    return tuple(row for group in _by_container(rows) for row in _join_series(group))


def join_statistic_rows(rows: Iterable[PrefilterRow]) -> tuple[PrefilterRow, ...]:
    """Return the rows, each with the RSS and the working set of its container."""
    return tuple(row for group in _by_container(rows) for row in _join_statistics(group))


def _by_container(rows: Iterable[R]) -> Iterable[list[R]]:
    groups: dict[tuple[str, str], list[R]] = defaultdict(list)
    for row in rows:
        groups[row.pod, row.container].append(row)
    return groups.values()


def _join_series(group: Sequence[SeriesRow]) -> Iterator[SeriesRow]:
    unnamed = [r for r in group if not r.container_id]
    with_rss = [r for r in unnamed if len(r.rss)]
    without_rss = [r for r in unnamed if not len(r.rss)]
    for row in group:
        if row.container_id:
            start_s = min(row.rss.first_s, row.working_set.first_s) - TICK_S
            yield _complete_series(row, [r.between(start_s, row.last_s) for r in unnamed])
    for row in with_rss:
        start_s, end_s = row.rss.first_s - row.rss.spacing_s, row.rss.last_s + row.rss.spacing_s
        yield _complete_series(row, [r.between(start_s, end_s) for r in without_rss])
    yield from () if with_rss else without_rss


def _complete_series(row: SeriesRow, others: Sequence[SeriesRow]) -> SeriesRow:
    if len(row.rss) and len(row.working_set):
        return row
    return replace(
        row,
        rss=row.rss if len(row.rss) else merge_series([r.rss for r in others], minimum=True),
        working_set=row.working_set if len(row.working_set) else merge_series([r.working_set for r in others]),
        load=row.load if len(row.load) else merge_series([r.load for r in others]),
        active_file=row.active_file if len(row.active_file) else merge_series([r.active_file for r in others]),
        swap=row.swap if len(row.swap) else merge_series([r.swap for r in others]),
    )


def _join_statistics(group: Sequence[PrefilterRow]) -> Iterator[PrefilterRow]:
    unnamed = [r for r in group if not r.container_id]
    with_rss = [r for r in unnamed if r.has_rss]
    without_rss = [r for r in unnamed if not r.has_rss]
    yield from (_complete_statistics(row, unnamed) for row in group if row.container_id)
    yield from (_complete_statistics(row, without_rss) for row in with_rss)
    yield from () if with_rss else without_rss


def _complete_statistics(row: PrefilterRow, others: Sequence[PrefilterRow]) -> PrefilterRow:
    """Return the row with the newest values that it lacks, and without slopes if it lacks an RSS: it is a candidate."""
    working_sets = [r.working_set_bytes for r in others if r.working_set_bytes is not None]
    sizes = [r.rss_bytes for r in others if r.rss_bytes is not None]
    if row.working_set_bytes is None and row.rss_bytes is not None:
        return replace(row, working_set_bytes=max(working_sets, default=None))
    if row.working_set_bytes is not None and not row.has_rss:
        return replace(
            row, rss_bytes=max(sizes, default=None), last_s=max((r.last_s for r in others), default=row.last_s)
        )
    return row
