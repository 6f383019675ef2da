"""Sources of a read, each known up to one time, and the series that are found of them. Pure."""

from __future__ import annotations

from collections import defaultdict
from sys import intern
from typing import TYPE_CHECKING, NamedTuple

from memroll.clients.prometheus import promql
from memroll.clients.prometheus.promql import Matcher, MatchOperator
from memroll.clients.prometheus.rows import InstanceKey, instance_key
from memroll.clients.prometheus.series_merging import merge_series

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memroll.clients.prometheus.step_cache import KnownSteps
    from memroll.detection.samples import ReadRequest
    from memroll.detection.series import Series
    from memroll.model.pod_names import PodPattern

ALL_CONTAINERS = ""
"""Name of the container of a source that contains all of them."""


class Source(NamedTuple):
    """Series of one container of a pod, of all of them, or of the earlier pods of a workload."""

    pods: str
    """Name of the pod, or the regular expression of the earlier pods' names."""
    container: str
    pattern: PodPattern | None = None
    """Pattern of the names of the earlier pods."""


def named_sources(request: ReadRequest, pods: Sequence[str]) -> tuple[Source, ...]:
    """Return the sources of these pods of a request."""
    every = frozenset((ALL_CONTAINERS,))
    containers = {p: sorted(request.containers.get(p, every)) for p in pods}
    return tuple(Source(intern(p), intern(c)) for p, names in containers.items() for c in names)


def earlier_sources(request: ReadRequest) -> tuple[Source, ...]:
    """Return the sources of the pods that match a pattern of a request."""
    return tuple(Source(promql.pod_name_pattern(p), ALL_CONTAINERS, p) for p in request.patterns)


def matchers_of(sources: Sequence[Source], running: frozenset[str]) -> tuple[Matcher, ...]:
    """Return matchers of all series of these sources, which are either all named or all earlier ones."""
    patterns = [s.pattern for s in sources if s.pattern is not None]
    if patterns:
        earlier = "|".join(s.pods for s in sources)
        excluded = sorted(p for p in running if any(pattern.matches(p) for pattern in patterns))
        pods = (Matcher("pod", MatchOperator.MATCHES, earlier),)
        return (*pods, Matcher("pod", MatchOperator.NOT_MATCHES, promql.any_of(excluded))) if excluded else pods
    pods = (Matcher("pod", MatchOperator.MATCHES, promql.any_of(sorted({s.pods for s in sources}))),)
    names = {s.container for s in sources}
    if ALL_CONTAINERS in names:
        return pods
    return (*pods, Matcher("container", MatchOperator.MATCHES, promql.any_of(sorted(names))))


def split_sources(
    sources: Sequence[Source], running: frozenset[str], max_pods: int, max_bytes: int
) -> Iterator[Sequence[Source]]:
    """Split the sources so that each query and each response is small."""
    by_pod: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        if source.pattern is None:
            by_pod[source.pods].append(source)
    for names in promql.chunk_pods(list(by_pod), max_pods, max_bytes):
        yield [source for name in names for source in by_pod[name]]
    yield from _split_earlier([s for s in sources if s.pattern is not None], running, max_bytes)


def _split_earlier(sources: Sequence[Source], running: frozenset[str], max_bytes: int) -> Iterator[Sequence[Source]]:
    chunk: list[Source] = []
    for source in sources:
        if chunk and _size_bytes([*chunk, source], running) > max_bytes:
            yield chunk
            chunk = []
        chunk.append(source)
    if chunk:
        yield chunk


def _size_bytes(sources: Sequence[Source], running: frozenset[str]) -> int:
    return sum(map(promql.encoded_size, matchers_of(sources, running)))


class FoundSeries:
    """Series of one kind, by source and instance."""

    def __init__(self, namespace: str, sources: Sequence[Source], running: frozenset[str]) -> None:
        self._namespace = namespace
        self._running = running
        self._named = {(s.pods, s.container): s for s in sources if s.pattern is None}
        self._earlier = [s for s in sources if s.pattern is not None]
        self._parts: dict[Source, dict[InstanceKey, list[Series]]] = {s: defaultdict(list) for s in sources}

    def add_known(self, source: Source, known: KnownSteps) -> None:
        """Add known steps, without those of pods that are running by now."""
        for key, packed in known.instances:
            if source.pattern is None or key.pod not in self._running:
                self._parts[source][key].append(packed.unpack())

    def add(self, labels: dict[str, str], samples: Series) -> bool:
        """Add a series if it is one of a source; return whether it is."""
        source = self._source_of(labels) if len(samples) else None
        if source is None:
            return False
        self._parts[source][instance_key(labels)].append(samples)
        return True

    def _source_of(self, labels: dict[str, str]) -> Source | None:
        pod, container = labels.get("pod"), labels.get("container", "")
        if pod is None or labels.get("namespace") != self._namespace:
            return None
        found = self._named.get((pod, container)) or self._named.get((pod, ALL_CONTAINERS))
        if found is not None or pod in self._running:
            return found
        return next((s for s in self._earlier if s.pattern is not None and s.pattern.matches(pod)), None)

    def merged(self, *, minimum: bool) -> Iterator[tuple[Source, dict[InstanceKey, Series]]]:
        """Yield the series of each source, and forget them; of several samples at one time, the minimum or maximum."""
        for source in tuple(self._parts):
            parts = self._parts.pop(source)
            yield source, {key: merge_series(series, minimum=minimum) for key, series in parts.items()}
