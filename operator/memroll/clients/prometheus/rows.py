"""What answers hold, put together by container instance. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memroll.clients.prometheus.query_plan import Column, Figure, Kind
from memroll.clients.prometheus.response import labels_of, number_of, samples_of
from memroll.detection.samples import TICK_S, ScreenRow, SeriesRow
from memroll.detection.series import EMPTY, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from memroll.clients.prometheus.query_plan import Window

SAMPLES_MIN = 3
"""Through two points every line fits."""
_RUNTIME_ID = re.compile(r"[0-9a-f]{12,128}")
_OF_THE_METRIC = frozenset({"__name__", "cpu"})
"""Labels that tell one metric of an instance from another, not one instance from another."""


class _Key(NamedTuple):
    pod: str
    container: str
    container_id: str
    labels: frozenset[tuple[str, str]]
    """All labels where there is no ID, else none: only an ID says that two series are one instance."""


class Rows:
    """Collects the series of one namespace until they are rows."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._found: dict[_Key, dict[Column, list[Series]]] = defaultdict(lambda: defaultdict(list))
        self._pod_load: dict[str, list[Series]] = defaultdict(list)

    def add(
        self, column: Column, answer: Iterable[dict[str, Any]], window: Window, holds: Callable[[str], bool]
    ) -> None:
        """Take what the answer holds of these pods in the window; what was not asked for is dropped."""
        # Half a tick: Prometheus 2 counts a window's first instant in, 3 does not.
        start_s, end_s = window.start_s + TICK_S / 2, window.end_s + TICK_S / 2
        for raw in answer:
            labels, samples = labels_of(raw), samples_of(raw.get("values")).between(start_s, end_s)
            if len(samples) and _is_wanted(labels, self._namespace, holds):
                self._of(column, labels).append(samples)

    def _of(self, column: Column, labels: dict[str, str]) -> list[Series]:
        return self._pod_load[labels["pod"]] if column is Column.POD_LOAD else self._found[_key(labels)][column]

    def rows(self) -> tuple[SeriesRow, ...]:
        return tuple(self._row(key, found) for key, found in self._found.items() if _MEMORY & found.keys())

    def _row(self, key: _Key, found: dict[Column, list[Series]]) -> SeriesRow:
        rss, working_set = _one(found[Column.RSS], least=True), _one(found[Column.WORKING_SET])
        load = _one([*found[Column.LOAD], *self._pod_load.get(key.pod, ())])
        # A rate goes on for as long as its window holds samples: the dead have no load.
        load = load.until(max(rss.last_s, working_set.last_s))
        return SeriesRow(key.pod, key.container, key.container_id, rss, working_set, load, _one(found[Column.OOMS]))


_MEMORY = frozenset({Column.RSS, Column.WORKING_SET})


class ScreenRows:
    """Collects the figures of one namespace until they are rows.

    Where several scrapers saw one instance, the greatest of each figure counts: a screening must not miss anything.
    """

    def __init__(self, namespace: str, windows_s: Sequence[float]) -> None:
        self._namespace = namespace
        self._windows_s = windows_s
        self._found: dict[_Key, dict[Figure, float]] = defaultdict(dict)

    def add(self, figure: Figure, answer: Iterable[dict[str, Any]], holds: Callable[[str], bool]) -> None:
        for raw in answer:
            labels, number = labels_of(raw), number_of(raw.get("value"))
            if number is not None and _is_wanted(labels, self._namespace, holds):
                figures = self._found[_key(labels)]
                figures[figure] = max(number, figures.get(figure, number))

    def rows(self) -> tuple[ScreenRow, ...]:
        return tuple(self._row(key, figures) for key, figures in self._found.items())

    def _row(self, key: _Key, figures: dict[Figure, float]) -> ScreenRow:
        counts = {w: figures.get(Figure(Kind.SAMPLES, w), 0) for w in self._windows_s}
        slopes = (figures.get(Figure(Kind.SLOPE, w)) if n >= SAMPLES_MIN else None for w, n in counts.items())
        return ScreenRow(
            key.pod,
            key.container,
            key.container_id,
            tuple(slopes),
            int(max(counts.values(), default=0)),
            figures.get(Figure(Kind.RSS)),
            figures.get(Figure(Kind.WORKING_SET)),
            figures.get(Figure(Kind.LAST), -np.inf),
        )


def _is_wanted(labels: dict[str, str], namespace: str, holds: Callable[[str], bool]) -> bool:
    return labels.get("namespace") == namespace and "pod" in labels and holds(labels["pod"])


def _key(labels: dict[str, str]) -> _Key:
    container_id = container_id_of(labels)
    rest = frozenset() if container_id else frozenset(i for i in labels.items() if i[0] not in _OF_THE_METRIC)
    return _Key(labels["pod"], labels.get("container", ""), container_id, rest)


def container_id_of(labels: dict[str, str]) -> str:
    """Return the runtime's container ID, or an empty string.

    The label `name` holds it with containerd; elsewhere it may hold the runtime's name for the container, and the
    last part of the cgroup's path in `id` does: `<id>`, `docker-<id>.scope`, `cri-containerd-<id>.scope`.
    """
    name = labels.get("name", "")
    if _RUNTIME_ID.fullmatch(name):
        return name
    last = labels.get("id", "").rpartition("/")[2].removesuffix(".scope").rpartition("-")[2]
    return last if _RUNTIME_ID.fullmatch(last) else ""


def _one(parts: Sequence[Series], *, least: bool = False) -> Series:
    """Join what is known of one instance; the greatest (or least) counts where several scrapers saw one moment."""
    if len(parts) <= 1:
        return parts[0] if parts else EMPTY
    times = np.concatenate([p.times_s for p in parts])
    values = np.concatenate([p.values for p in parts])
    order = np.lexsort((-values if least else values, times))
    times, values = times[order], values[order]
    last_of_its_time = np.append(np.diff(times) > 0, [True])
    return Series(times[last_of_its_time], values[last_of_its_time])
