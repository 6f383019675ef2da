"""Build traces from days of Prometheus samples of one namespace. Pure; called by prometheus_traces."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from memroll.backtest.trace import Trace
from memroll.detection.container_history import build_history
from memroll.detection.series import EMPTY, Series
from memroll.model.pod_names import workload_from_pod_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from memroll.detection.samples import SeriesRow

MAX_ID_CHARS = 8
"""Maximum length of a container ID in a trace's name, in characters; chosen by hand."""

Container = tuple[str, str]
"""Names of pod and container."""


@dataclass(frozen=True, slots=True)
class HistoryDay:
    """Query results for one day."""

    rows: Sequence[SeriesRow]
    limits_bytes: Mapping[Container, float]
    oom_killed: Mapping[Container, Series]
    """Times at which the container's last termination reason was OOMKilled."""


def build_traces(days: Sequence[HistoryDay], containers: Sequence[str]) -> tuple[Trace, ...]:
    """Return one trace per container instance, sorted by name. `containers`: names to include; empty for all."""
    limits = {key: limit for day in days for key, limit in day.limits_bytes.items()}
    rows = tuple(_without_parts(_join_days(days)))
    included = [row for row in rows if not containers or row.container in containers]
    instances = Counter((row.pod, row.container) for row in included)
    kills = dict(_oom_kills(days, included))
    traces = (
        _trace(
            row,
            limits.get((row.pod, row.container)),
            kills.get(_key(row)),
            is_only_instance=instances[row.pod, row.container] == 1,
        )
        for row in included
    )
    return tuple(sorted(traces, key=lambda t: (t.name, t.start_s)))


def _key(row: SeriesRow) -> tuple[str, str, str]:
    return row.pod, row.container, row.container_id


def _join_days(days: Sequence[HistoryDay]) -> Iterator[SeriesRow]:
    parts: dict[tuple[str, str, str], list[SeriesRow]] = defaultdict(list)
    for day in days:
        for row in day.rows:
            parts[_key(row)].append(row)
    for rows in parts.values():
        first = rows[0]
        yield type(first)(
            *_key(first),
            rss=join_series([r.rss for r in rows]),
            working_set=join_series([r.working_set for r in rows]),
            load=join_series([r.load for r in rows]),
            ooms=join_series([r.ooms for r in rows]),
            active_file=join_series([r.active_file for r in rows]),
            swap=join_series([r.swap for r in rows]),
        )


def _without_parts(rows: Iterable[SeriesRow]) -> Iterator[SeriesRow]:
    """Yield the rows, without those of another endpoint that are only a part of a container with both series.

    A container with one of them only is kept: it can't be assessed, which is reported.
    """
    rows = tuple(rows)
    complete = {(row.pod, row.container) for row in rows if row.is_complete}
    yield from (row for row in rows if row.is_complete or (row.pod, row.container) not in complete)


def join_series(parts: Sequence[Series]) -> Series:
    """Merge series in time order; where two have a sample at the same time, the first series wins."""
    if not parts:
        return EMPTY
    times, first = np.unique(np.concatenate([p.times_s for p in parts]), return_index=True)
    return Series(times, np.concatenate([p.values for p in parts])[first])


def _oom_kills(days: Sequence[HistoryDay], rows: Sequence[SeriesRow]) -> Iterator[tuple[tuple[str, str, str], float]]:
    """Yield instances that were OOM-killed and when: the next instance's status has the reason of the last end."""
    containers = {key for day in days for key in day.oom_killed}
    oom_killed = {
        key: join_series([day.oom_killed[key] for day in days if key in day.oom_killed]) for key in containers
    }
    ordered = sorted(rows, key=lambda r: (r.pod, r.container, r.last_s))
    for row, following in zip_longest(ordered, ordered[1:]):
        same = following is not None and (row.pod, row.container) == (following.pod, following.container)
        until_s = following.last_s if following is not None and same else float("inf")
        if len(oom_killed.get((row.pod, row.container), EMPTY).between(row.last_s, until_s)):
            yield _key(row), row.last_s


def _trace(row: SeriesRow, limit: float | None, killed_s: float | None, *, is_only_instance: bool) -> Trace:
    start_s = min(row.rss.first_s, row.working_set.first_s)
    history = build_history(row, start_s, None if limit is None else int(limit))
    name = f"{row.pod}/{row.container}"
    return Trace(
        name if is_only_instance else f"{name}/{row.container_id[:MAX_ID_CHARS]}",
        history,
        workload=f"{workload_from_pod_name(row.pod)}/{row.container}",
        oom_s=min((*history.oom_kills_s, *(() if killed_s is None else (killed_s,))), default=None),
    )
