"""What Prometheus kept of one namespace, put together as traces. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from memroll.backtest.trace import Trace
from memroll.detection.assess import subject_of
from memroll.detection.samples import HASH_CHARS_MAX, RANDOM_CHARS, SUFFIX_ALPHABET
from memroll.detection.series import EMPTY, Series

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from memroll.detection.samples import SeriesRow

HASH_CHARS_MIN = 6
"""Of a Deployment's template; shorter ones are taken for a part of a DaemonSet's name."""
_GENERATED = re.compile(
    f"(.+?)(?:-[{SUFFIX_ALPHABET}]{{{HASH_CHARS_MIN},{HASH_CHARS_MAX}}})?-[{SUFFIX_ALPHABET}]{{{RANDOM_CHARS}}}"
)
_NUMBERED = re.compile(r"(.+)-[0-9]+")
SHOWN_ID_CHARS = 8

Container = tuple[str, str]
"""Pod and container."""


@dataclass(frozen=True, slots=True)
class Day:
    rows: Sequence[SeriesRow]
    limits_bytes: Mapping[Container, float]
    killed: Mapping[Container, Series]
    """When the last end of a container was an OOM kill."""


def traces(days: Sequence[Day], containers: Sequence[str]) -> tuple[Trace, ...]:
    """Return one trace per container instance, by name. `containers`: the watched ones; empty for all."""
    limits = {key: limit for day in days for key, limit in day.limits_bytes.items()}
    rows = [row for row in _joined(days) if len(row.rss) and len(row.working_set)]
    watched = [row for row in rows if not containers or row.container in containers]
    names = Counter((row.pod, row.container) for row in watched)
    ends = dict(_kills(days, watched))
    found = (
        _trace(row, limits.get((row.pod, row.container)), ends.get(_key(row)), alone=names[row.pod, row.container] == 1)
        for row in watched
    )
    return tuple(sorted(found, key=lambda t: (t.name, t.start_s)))


def _key(row: SeriesRow) -> tuple[str, str, str]:
    return row.pod, row.container, row.container_id


def _joined(days: Sequence[Day]) -> Iterator[SeriesRow]:
    parts: dict[tuple[str, str, str], list[SeriesRow]] = defaultdict(list)
    for day in days:
        for row in day.rows:
            parts[_key(row)].append(row)
    for rows in parts.values():
        first = rows[0]
        yield type(first)(
            *_key(first),
            rss=joined([r.rss for r in rows]),
            working_set=joined([r.working_set for r in rows]),
            load=joined([r.load for r in rows]),
            ooms=joined([r.ooms for r in rows]),
        )


def joined(parts: Sequence[Series]) -> Series:
    """Join series in the order of time; the first one counts where two have a sample of one moment."""
    if not parts:
        return EMPTY
    times, first = np.unique(np.concatenate([p.times_s for p in parts]), return_index=True)
    return Series(times, np.concatenate([p.values for p in parts])[first])


def _kills(days: Sequence[Day], rows: Sequence[SeriesRow]) -> Iterator[tuple[tuple[str, str, str], float]]:
    """Yield the ends of the instances that were killed: what the next one's status says of the one before."""
    containers = {key for day in days for key in day.killed}
    killed = {key: joined([day.killed[key] for day in days if key in day.killed]) for key in containers}
    ordered = sorted(rows, key=lambda r: (r.pod, r.container, r.last_s))
    for row, following in zip_longest(ordered, ordered[1:]):
        same = following is not None and (row.pod, row.container) == (following.pod, following.container)
        until_s = following.last_s if following is not None and same else float("inf")
        if len(killed.get((row.pod, row.container), EMPTY).between(row.last_s, until_s)):
            yield _key(row), row.last_s


def _trace(row: SeriesRow, limit: float | None, killed_s: float | None, *, alone: bool) -> Trace:
    start_s = min(row.rss.first_s, row.working_set.first_s)
    subject = subject_of(row, start_s, None if limit is None else int(limit))
    name = f"{row.pod}/{row.container}"
    return Trace(
        name if alone else f"{name}/{row.container_id[:SHOWN_ID_CHARS]}",
        subject,
        workload=f"{workload_of(row.pod)}/{row.container}",
        oom_s=min((*subject.ooms_s, *(() if killed_s is None else (killed_s,))), default=None),
    )


def workload_of(pod: str) -> str:
    """Return the name of what made a pod, by the pod's name: all that history keeps for sure."""
    found = _GENERATED.fullmatch(pod) or _NUMBERED.fullmatch(pod)
    return found[1] if found else pod
