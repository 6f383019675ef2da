"""Rows, one per container instance, built from the series of several responses. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memroll.clients.prometheus.load_codes import round_load
from memroll.clients.prometheus.query_plan import LOAD_KINDS, SeriesKind, Statistic, StatisticKind
from memroll.clients.prometheus.response import parse_labels, parse_number, parse_samples
from memroll.clients.prometheus.row_joining import join_series_rows, join_statistic_rows
from memroll.clients.prometheus.series_merging import merge_series
from memroll.detection.block_slopes import block_window_s, count_blocks
from memroll.detection.prefilter import least_squares_slopes
from memroll.detection.samples import NO_SLOW_BINS, TICK_S, PrefilterRow, SeriesRow, counted_windows_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from memroll.clients.prometheus.query_plan import TimeRange
    from memroll.detection.samples import SlowBins
    from memroll.detection.series import Series

MIN_SAMPLES = 3
"""Minimum number of samples for a slope: two points always fit a line."""
_RUNTIME_ID = re.compile(r"[0-9a-f]{12,128}")
_METRIC_LABELS = frozenset({"__name__", "cpu"})
"""Labels that differ between the metrics of one instance, and so don't identify an instance."""


class InstanceKey(NamedTuple):
    """Identity of a container instance."""

    pod: str
    container: str
    container_id: str
    labels: frozenset[tuple[str, str]]
    """All labels if there is no container ID, else empty: only an ID shows that two series are of one instance."""


class SeriesRowBuilder:
    """Collects the series of one namespace, and builds a row for each container instance."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._found: dict[InstanceKey, dict[SeriesKind, list[Series]]] = defaultdict(lambda: defaultdict(list))
        self._pod_load: dict[str, list[Series]] = defaultdict(list)

    def add(
        self,
        kind: SeriesKind,
        response: Iterable[dict[str, Any]],
        time_range: TimeRange,
        matches: Callable[[str], bool],
    ) -> bool:
        """Add the series of a response, without other pods and samples outside of the time range.

        Return whether there were any.
        """
        added = False
        # Half a tick: Prometheus 2 includes the first instant of a range, Prometheus 3 does not.
        start_s, end_s = time_range.start_s + TICK_S / 2, time_range.end_s + TICK_S / 2
        for raw in response:
            labels, samples = parse_labels(raw), parse_samples(raw.get("values")).between(start_s, end_s)
            if len(samples) and is_requested(labels, self._namespace, matches):
                self._series(kind, labels).append(round_load(samples) if kind in LOAD_KINDS else samples)
                added = True
        return added

    def add_known(self, kind: SeriesKind, by_instance: Mapping[InstanceKey, Series]) -> None:
        """Add samples of instances that were selected already."""
        for key, samples in by_instance.items():
            if len(samples):
                parts = self._pod_load[key.pod] if kind is SeriesKind.POD_LOAD else self._found[key][kind]
                parts.append(samples)

    def _series(self, kind: SeriesKind, labels: dict[str, str]) -> list[Series]:
        return self._pod_load[labels["pod"]] if kind is SeriesKind.POD_LOAD else self._found[instance_key(labels)][kind]

    def build(self) -> tuple[SeriesRow, ...]:
        """Return the rows, and forget the series: those of 40 candidates have 7 MB, and would be in memory twice."""
        found, self._found = self._found, defaultdict(lambda: defaultdict(list))
        instances = ((key, found.pop(key)) for key in tuple(found))
        return join_series_rows(self._row(key, series) for key, series in instances if _MEMORY & series.keys())

    def _row(self, key: InstanceKey, found: dict[SeriesKind, list[Series]]) -> SeriesRow:
        rss, working_set = (
            merge_series(found[SeriesKind.RSS], minimum=True),
            merge_series(found[SeriesKind.WORKING_SET]),
        )
        load = merge_series([*found[SeriesKind.LOAD], *self._pod_load.get(key.pod, ())])
        # A rate continues while its window has samples: an instance that has ended has no load.
        load = load.until(max(rss.last_s, working_set.last_s))
        further = (merge_series(found[kind]) for kind in (SeriesKind.OOMS, SeriesKind.ACTIVE_FILE, SeriesKind.SWAP))
        return SeriesRow(key.pod, key.container, key.container_id, rss, working_set, load, *further)


_MEMORY = frozenset({SeriesKind.RSS, SeriesKind.WORKING_SET})


_KNOWN_BLOCKS = Statistic(StatisticKind.SAMPLES)
"""Number of blocks known of late, which is counted instead of samples."""
_COMPARED = (StatisticKind.MINIMUM, StatisticKind.WORKING_SET)
"""Statistics that are compared with those of an earlier time."""


class StatisticRowBuilder:
    """Collects the statistics of one namespace, and builds a row for each container instance.

    If several scrapers report one instance, the maximum of each statistic counts, and the minimum of an earlier bin:
    the prefilter must not drop a leak.
    """

    def __init__(self, namespace: str, windows_s: Sequence[float], slow: SlowBins = NO_SLOW_BINS) -> None:
        self._namespace = namespace
        self._windows_s = windows_s
        self._slow = slow
        self._found: dict[InstanceKey, dict[Statistic, float]] = defaultdict(dict)

    def add(self, statistic: Statistic, response: Iterable[dict[str, Any]], matches: Callable[[str], bool]) -> None:
        for raw in response:
            labels, number = parse_labels(raw), parse_number(raw.get("value"))
            if number is not None and is_requested(labels, self._namespace, matches):
                statistics = self._found[instance_key(labels)]
                is_earlier = statistic.window_s > 0 and statistic.kind in _COMPARED
                extreme = min if is_earlier else max
                statistics[statistic] = extreme(number, statistics.get(statistic, number))

    def add_means(self, means: Mapping[InstanceKey, Series], at_s: float) -> None:
        """Add the slopes of the long windows, which follow from the means of blocks."""
        windows_s = [w for w in self._windows_s if self._slow.is_by_blocks(w)]
        now = np.array([at_s])
        for key, series in means.items():
            statistics = self._found[key]
            statistics[_KNOWN_BLOCKS] = float(count_blocks(series, self._slow, now)[0])
            for window_s in windows_s:
                slope = float(least_squares_slopes(series, block_window_s(window_s, self._slow), now)[0])
                if np.isfinite(slope):
                    statistics[Statistic(StatisticKind.SLOPE, window_s)] = slope

    def build(self) -> tuple[PrefilterRow, ...]:
        return join_statistic_rows(self._row(key, statistics) for key, statistics in self._found.items())

    def _row(self, key: InstanceKey, statistics: dict[Statistic, float]) -> PrefilterRow:
        counted = (_KNOWN_BLOCKS, *(Statistic(StatisticKind.SAMPLES, w) for w in counted_windows_s(self._windows_s)))
        samples = int(max((statistics.get(s, 0) for s in counted), default=0))
        slopes = tuple(statistics.get(Statistic(StatisticKind.SLOPE, w)) for w in self._windows_s)
        is_rss_known = any(s is not None for s in slopes)
        if samples < MIN_SAMPLES:
            slopes = (None,) * len(slopes)  # a candidate: what is missing is reported by its assessment
        rss_bytes = statistics.get(Statistic(StatisticKind.RSS))
        # VictoriaMetrics also returns a time for a series that a scrape no longer has, where Prometheus does not.
        last_s = -np.inf if rss_bytes is None else statistics.get(Statistic(StatisticKind.LAST), -np.inf)
        return PrefilterRow(
            key.pod,
            key.container,
            key.container_id,
            slopes,
            samples,
            rss_bytes,
            statistics.get(Statistic(StatisticKind.WORKING_SET)),
            last_s,
            self._slopes(statistics, StatisticKind.MINIMUM, self._slow.offsets_s),
            is_rss_known,
            self._slopes(statistics, StatisticKind.WORKING_SET, self._slow.usage_offsets_s),
        )

    @staticmethod
    def _slopes(
        statistics: dict[Statistic, float], kind: StatisticKind, offsets_s: tuple[float, ...]
    ) -> tuple[float | None, ...]:
        """Return the slopes from the statistic of each earlier time to that of now."""
        now = statistics.get(Statistic(kind))
        before = ((o, statistics.get(Statistic(kind, o))) for o in offsets_s)
        return tuple(None if now is None or then is None else (now - then) / o for o, then in before)


def is_requested(labels: dict[str, str], namespace: str, matches: Callable[[str], bool]) -> bool:
    """Return whether a series belongs to one of the pods of a query."""
    return labels.get("namespace") == namespace and "pod" in labels and matches(labels["pod"])


def instance_key(labels: dict[str, str]) -> InstanceKey:
    """Return the identity of the container instance that a series belongs to."""
    container_id = parse_container_id(labels)
    rest = frozenset() if container_id else frozenset(i for i in labels.items() if i[0] not in _METRIC_LABELS)
    # Interned: long histories are kept, and have the same few names.
    return InstanceKey(intern(labels["pod"]), intern(labels.get("container", "")), container_id, rest)


def parse_container_id(labels: dict[str, str]) -> str:
    """Return the runtime's container ID, or an empty string.

    With containerd it is the label `name`. Elsewhere `name` may be the runtime's name for the container; the ID is then
    in the last part of the cgroup's path in `id`: `<id>`, `docker-<id>.scope`, `cri-containerd-<id>.scope`.
    """
    name = labels.get("name", "")
    if _RUNTIME_ID.fullmatch(name):
        return name
    last = labels.get("id", "").rpartition("/")[2].removesuffix(".scope").rpartition("-")[2]
    return last if _RUNTIME_ID.fullmatch(last) else ""
