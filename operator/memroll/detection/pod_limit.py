"""Memory of containers that share the limit of their pod (`spec.resources`). Pure.

The kernel counts the memory of all containers against a pod-level limit. So each container without a lower limit of its
own is assessed with the usage of the whole pod at each instant. The growth of the whole pod is that of the container
that grows fastest in its workload; for the others, their own growth counts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from memroll.detection.batches import peer_group_of
from memroll.detection.extremes import Extremes
from memroll.detection.samples import PrefilterResult, QueryResult
from memroll.detection.series import Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from memroll.detection.extremes import ExtremesRow
    from memroll.detection.samples import PrefilterRow, SeriesRow
    from memroll.model.pod_names import WorkloadName
    from memroll.model.pods import Container, Pod

    Group = WorkloadName | str
    R = TypeVar("R", PrefilterRow, SeriesRow, ExtremesRow)

MAX_HOLD_S = 300.0
"""Seconds after the last sample of a container for which its value counts, as Prometheus' own lookback."""
MIN_AGE_S = 120.0
"""Age in seconds from which a running container without samples makes the usage of its pod unknown; chosen by hand."""


@dataclass(frozen=True)
class SharedLimits:
    """Pods of one policy whose containers share a limit."""

    shared: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Containers without a lower limit of their own, by pod name."""
    groups: Mapping[str, Group] = field(default_factory=dict)
    """Workload of each of these pods, or its name without one."""
    growing: Mapping[Group, str] = field(default_factory=dict)
    """Container that grows fastest, of those that share a limit in any pod, by workload."""
    incomplete: Mapping[str, str] = field(default_factory=dict)
    """Running container without samples, by the uid of its pod: the usage of this pod is not known."""

    @classmethod
    def find(cls, pods: Iterable[Pod], result: PrefilterResult, now_s: float) -> SharedLimits:
        """Find the pods with a limit for several containers, given the statistics of all containers."""
        pods = [p for p in pods if p.limit_bytes is not None and len(p.containers) > 1]
        shared = {p.key.name: frozenset(c.name for c in p.containers if shares_limit(p, c)) for p in pods}
        groups: dict[str, Group] = {p.key.name: peer_group_of(p) or p.key.name for p in pods}
        slopes: dict[Group, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for pod in pods:
            for c in pod.containers:
                if c.name in shared[pod.key.name]:
                    slopes[groups[pod.key.name]][c.name] += _slope(_row(pod, c, result))
        growing = {group: max(found, key=lambda n: (found[n], n)) for group, found in slopes.items()}
        missing = {p.key.uid: name for p in pods if (name := _without_samples(p, result, now_s))}
        return cls(shared, groups, growing, missing)

    def missing_for(self, pod: Pod, container: Container) -> str:
        """Return the container because of which the usage that counts for this one is not known, or an empty string."""
        is_shared = container.name in self.shared.get(pod.key.name, ())
        return self.incomplete.get(pod.key.uid, "") if is_shared else ""

    def in_statistics(self, result: PrefilterResult) -> PrefilterResult:
        """Return the statistics with the usage of the pods in place of that of the containers that share a limit."""
        if not self.shared:
            return result
        by_pod = _by_pod(result.rows)
        rows = tuple(self._with_others(row, by_pod[row.pod]) for row in result.rows)
        return PrefilterResult(rows, result.windows_s, result.at_s, result.slow)

    def in_series(self, result: QueryResult) -> QueryResult:
        """Return the samples likewise, also those of earlier pods of the same workloads."""
        if not self.shared:
            return result
        by_pod, of_group = _by_pod(result.rows), self._shared_by_group()
        groups = {pod: self._group_of(pod) for pod in by_pod}

        def with_pod(row: SeriesRow) -> SeriesRow:
            group = groups[row.pod]
            if group is None or row.container not in self.shared.get(row.pod, of_group[group]):
                return row
            return add_other_containers(row, by_pod[row.pod], with_growth=row.container == self.growing[group])

        return QueryResult(tuple(map(with_pod, result.rows)), result.at_s)

    def in_extremes(self, found: Extremes) -> Extremes:
        """Return the long histories with that of the whole pod for the container with its growth.

        The sum of the containers' minima is at most the minimum of the pod, that of the maxima at least its maximum.
        """
        if not self.shared:
            return found
        by_pod = _by_pod(found.rows)

        def with_pod(row: ExtremesRow) -> ExtremesRow:
            group = self.groups.get(row.pod)
            if group is None or row.container not in self.shared[row.pod] or row.container != self.growing[group]:
                return row
            return _add_other_extremes(row, by_pod[row.pod])

        return Extremes(tuple(map(with_pod, found.rows)), found.step_s)

    def _with_others(self, row: PrefilterRow, rows: Iterable[PrefilterRow]) -> PrefilterRow:
        if row.container not in self.shared.get(row.pod, ()) or row.working_set_bytes is None:
            return row
        others = _newest_others(row, rows)
        used = row.working_set_bytes + sum(r.working_set_bytes or 0.0 for r in others)
        usage = _sums(row.usage_slopes_bytes_per_s, [r.usage_slopes_bytes_per_s for r in others])
        row = replace(row, working_set_bytes=used, usage_slopes_bytes_per_s=usage)
        if row.container != self.growing[self.groups[row.pod]]:
            return row
        slopes = _sums(row.slopes_bytes_per_s, [r.slopes_bytes_per_s for r in others])
        slow = _sums(row.slow_slopes_bytes_per_s, [r.slow_slopes_bytes_per_s for r in others])
        return replace(row, slopes_bytes_per_s=slopes, slow_slopes_bytes_per_s=slow)

    def _shared_by_group(self) -> Mapping[Group, set[str]]:
        """Return the containers that share a limit in any pod of a workload."""
        found: dict[Group, set[str]] = defaultdict(set)
        for pod, group in self.groups.items():
            found[group] |= self.shared[pod]
        return found

    def _group_of(self, pod: str) -> Group | None:
        """Return the workload of a pod; that of an earlier pod by the pattern of its name."""
        if pod in self.groups:
            return self.groups[pod]
        patterns = ((g, g.pattern) for g in self.growing if not isinstance(g, str))
        return next((group for group, pattern in patterns if pattern is not None and pattern.matches(pod)), None)


NOT_SHARED = SharedLimits()


def add_other_containers(row: SeriesRow, rows: Iterable[SeriesRow], *, with_growth: bool = True) -> SeriesRow:
    """Return a row with the memory of the other containers of its pod added at each instant.

    `with_growth`: also to the RSS, from which the growth follows.
    """
    by_container: dict[str, list[SeriesRow]] = defaultdict(list)
    for other in rows:
        if other.pod == row.pod and other.container != row.container:
            by_container[other.container].append(other)
    rss, working_set, active_file, swap = row.rss, row.working_set, row.active_file, row.swap
    for instances in by_container.values():
        rss = _plus(rss, [r.rss for r in instances]) if with_growth else rss
        working_set = _plus(working_set, [r.working_set for r in instances])
        active_file = _plus(active_file, [r.active_file for r in instances])
        swap = _plus(swap, [r.swap for r in instances])
    return replace(row, rss=rss, working_set=working_set, active_file=active_file, swap=swap)


def _add_other_extremes(row: ExtremesRow, rows: Iterable[ExtremesRow]) -> ExtremesRow:
    """Return a row with the steps of the other containers of its pod added to those that it has."""
    by_container: dict[str, list[ExtremesRow]] = defaultdict(list)
    for other in rows:
        if other.container != row.container:
            by_container[other.container].append(other)
    minima, maxima = row.minima, row.maxima
    for instances in by_container.values():
        minima = _plus(minima, [r.minima for r in instances])
        maxima = _plus(maxima, [r.maxima for r in instances])
    return replace(row, minima=minima, maxima=maxima)


def _sums(own: Sequence[float | None], others: Sequence[Sequence[float | None]]) -> tuple[float | None, ...]:
    """Add to each known slope those of the other containers; an unknown one counts as 0."""
    return tuple(
        None if slope is None else slope + sum(slopes[n] or 0.0 for slopes in others) for n, slope in enumerate(own)
    )


def shares_limit(pod: Pod, container: Container) -> bool:
    """Return whether a container shares the limit of its pod with others."""
    return pod.limit_bytes is not None and len(pod.containers) > 1 and container.limit_bytes == pod.limit_bytes


def _newest_others(row: PrefilterRow, rows: Iterable[PrefilterRow]) -> list[PrefilterRow]:
    """Return the newest instance of each other container of the pod."""
    newest: dict[str, PrefilterRow] = {}
    for other in rows:
        if other.pod == row.pod and other.container != row.container:
            known = newest.get(other.container)
            newest[other.container] = other if known is None or other.last_s > known.last_s else known
    return list(newest.values())


def _plus(own: Series, instances: Iterable[Series]) -> Series:
    """Add to each sample the newest value at its time of another container, of whichever of its instances."""
    added, newest_s = np.zeros(len(own)), np.full(len(own), -np.inf)
    for other in instances:
        if not len(other):
            continue
        at = np.searchsorted(other.times_s, own.times_s, side="right") - 1
        times_s = np.where(at >= 0, other.times_s[np.maximum(at, 0)], -np.inf)
        is_newer = (times_s > newest_s) & (own.times_s <= other.last_s + MAX_HOLD_S)
        added[is_newer], newest_s[is_newer] = other.values[at[is_newer]], times_s[is_newer]
    return Series(own.times_s, own.values + added)


def _by_pod(rows: Iterable[R]) -> Mapping[str, list[R]]:
    found: dict[str, list[R]] = defaultdict(list)
    for row in rows:
        found[row.pod].append(row)
    return found


def _slope(row: PrefilterRow | None) -> float:
    """Return the steepest slope of all windows, in bytes per second; 0 without one."""
    slopes = [s for s in (row.slopes_bytes_per_s if row is not None else ()) if s is not None]
    return max(slopes, default=0.0)


def _without_samples(pod: Pod, result: PrefilterResult, now_s: float) -> str:
    """Return a container that has been running for a while and has no samples, or an empty string."""
    running = (c for c in pod.containers if c.id and c.started_at and now_s - c.started_at.timestamp() > MIN_AGE_S)
    return next((c.name for c in running if _row(pod, c, result) is None), "")


def _row(pod: Pod, container: Container, result: PrefilterResult) -> PrefilterRow | None:
    """Return the row of a running container that has a current working set."""
    if not container.id or container.started_at is None:
        return None
    row = result.row_for(pod.key.name, container.name, container.id, container.started_at.timestamp())
    return row if row is not None and row.working_set_bytes is not None else None
