"""Long histories of containers, read seldom: a cache of the steps that are known, and the reads of those that are not.

The cache holds steps that no longer change, so that it changes how much is read and not what is returned: a
restarted operator reads them again. It is bounded. Where there is no room, or the store fails, there is no long
history, and the assessment goes on without it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from memroll.clients.prometheus import query_plan
from memroll.clients.prometheus.packed_steps import PackedSteps
from memroll.clients.prometheus.query_plan import SeriesKind, TimeRange
from memroll.clients.prometheus.response import iter_series, parse_labels, parse_samples
from memroll.clients.prometheus.rows import InstanceKey, instance_key, is_requested
from memroll.clients.prometheus.series_merging import merge_series
from memroll.detection.extremes import Extremes, ExtremesRow, last_step_end_s
from memroll.detection.samples import TICK_S
from memroll.detection.series import EMPTY, Series

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from memroll.clients.prometheus.query_plan import Query
    from memroll.clients.prometheus.session import PrometheusSession
    from memroll.clients.prometheus.timeout import Timeout
    from memroll.detection.extremes import ExtremesRequest

MAX_PODS = 1000
"""Maximum number of pods in the cache of one connection: some 4 KB each, of two containers and two weeks."""
UNUSED_STEPS = 2.0
"""Time after which an entry that is not requested makes room for another, in steps. Chosen by hand."""
LATE_STEPS = 1 / 12
"""Time after the end of a step in which samples of it may still arrive, in steps: five minutes of an hour, more than
a remote write or a replica usually needs. Until then the step is read again. Chosen by hand."""
RETRY_STEPS = 1 / 6
"""Time after a failed read in which none is tried, in steps: ten minutes of an hour. Chosen by hand."""


class StepExtremes(NamedTuple):
    """Minimum and maximum of the RSS of one container instance in each step."""

    minima: Series
    maxima: Series

    def between(self, start_s: float, end_s: float) -> StepExtremes:
        """Return the steps that end in the half-open interval (start_s, end_s]."""
        return StepExtremes(*(s.between(start_s + TICK_S / 2, end_s + TICK_S / 2) for s in self))


NO_STEPS = StepExtremes(EMPTY, EMPTY)
Instances = dict[InstanceKey, StepExtremes]
"""Steps by container instance."""


@dataclass(frozen=True, slots=True)
class _KnownSteps:
    """Steps of all containers of a pod, in (start_s, end_s]."""

    minima: tuple[tuple[InstanceKey, PackedSteps], ...]
    maxima: tuple[PackedSteps, ...]
    start_s: float
    end_s: float
    used_s: float

    @classmethod
    def of(cls, instances: Instances, steps: TimeRange, step_s: float, used_s: float) -> _KnownSteps:
        minima = tuple((key, PackedSteps.pack(found.minima, step_s)) for key, found in instances.items())
        maxima = tuple(PackedSteps.pack(found.maxima, step_s) for found in instances.values())
        return cls(minima, maxima, steps.start_s, steps.end_s, used_s)

    def unpack(self) -> Instances:
        pairs = zip(self.minima, self.maxima, strict=True)
        return {key: StepExtremes(minima.unpack(), maxima.unpack()) for (key, minima), maxima in pairs}


class LongHistoryCache:
    """Known steps of the pods of one connection. Used by several threads."""

    def __init__(self, max_pods: int = MAX_PODS) -> None:
        self._max_pods = max_pods
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, str, float], _KnownSteps] = OrderedDict()
        self._failed_s = float("-inf")

    def may_read(self, request: ExtremesRequest) -> bool:
        """Return whether enough time has passed since the last failure."""
        return not 0 <= request.at_s - self._failed_s < RETRY_STEPS * request.step_s

    def note_failure(self, request: ExtremesRequest) -> None:
        self._failed_s = request.at_s

    def admit(self, request: ExtremesRequest) -> dict[str, _KnownSteps]:
        """Return what is known of each pod of the request, without those for which there is no room."""
        with self._lock:
            self._drop_unused(request)
            room = self._max_pods - len(self._entries)
            admitted: dict[str, _KnownSteps] = {}
            for pod in dict.fromkeys(request.pods):
                found = self._entries.get((request.namespace, pod, request.step_s))
                if found is None or found.start_s > request.start_s or found.end_s > request.end_s:
                    room -= found is None
                    found = _KnownSteps((), (), request.start_s, request.start_s, request.at_s)
                if room >= 0:
                    admitted[pod] = found
            return admitted

    def store(self, request: ExtremesRequest, pod: str, instances: Instances) -> None:
        """Keep the steps that no longer change, of the newest instance of each container."""
        end_s = last_step_end_s(request.at_s - LATE_STEPS * request.step_s, request.step_s)
        kept = {key: found.between(request.start_s, end_s) for key, found in instances.items()}
        newest: dict[str, float] = defaultdict(lambda: float("-inf"))
        for key, found in kept.items():
            newest[key.container] = max(newest[key.container], found.minima.last_s)
        kept = {k: s for k, s in kept.items() if len(s.minima) and s.minima.last_s >= newest[k.container]}
        place = request.namespace, pod, request.step_s
        steps = TimeRange(request.start_s, max(end_s, request.start_s))
        known = _KnownSteps.of(kept, steps, request.step_s, request.at_s)
        with self._lock:
            self._entries[place] = known
            self._entries.move_to_end(place)

    def _drop_unused(self, request: ExtremesRequest) -> None:
        while self._entries:
            (_, _, step_s), oldest = next(iter(self._entries.items()))
            if abs(request.at_s - oldest.used_s) <= UNUSED_STEPS * step_s:
                return
            self._entries.popitem(last=False)


def read_extremes(
    session: PrometheusSession, cache: LongHistoryCache, request: ExtremesRequest, timeout: Timeout
) -> Extremes:
    """Return the steps of the request. Only those that are not in the cache are read."""
    known = cache.admit(request)
    found: dict[str, Instances] = {pod: entry.unpack() for pod, entry in known.items()}
    for query in _missing_steps(session, request, known):
        response = session.query(query.expression, query.at_s, timeout)
        for raw in iter_series(response, "matrix"):
            labels = parse_labels(raw)
            if is_requested(labels, request.namespace, query.pods.matches):
                _add(found[labels["pod"]], query, instance_key(labels), parse_samples(raw.get("values")))
    for pod, instances in found.items():
        cache.store(request, pod, instances)
    return Extremes(tuple(_rows(request, found)), request.step_s)


def _missing_steps(
    session: PrometheusSession, request: ExtremesRequest, known: Mapping[str, _KnownSteps]
) -> Iterator[Query]:
    """Yield queries for the steps after the known ones: one set for the pods with the same newest step."""
    by_end: dict[float, list[str]] = defaultdict(list)
    for pod, entry in known.items():
        by_end[entry.end_s].append(pod)
    for end_s, pods in by_end.items():
        yield from query_plan.plan_extremes(request, pods, end_s, session.match_labels, session.max_names_bytes)


def _add(instances: Instances, query: Query, key: InstanceKey, values: Series) -> None:
    """Add the steps of one series; of several scrapers of one instance, the least minimum and the greatest maximum."""
    known = instances.get(key, NO_STEPS)
    new = StepExtremes(values, values).between(query.time_range.start_s, query.time_range.end_s)
    if query.kind is SeriesKind.MINIMA:
        instances[key] = known._replace(minima=merge_series([known.minima, new.minima], minimum=True))
    else:
        instances[key] = known._replace(maxima=merge_series([known.maxima, new.maxima]))


def _rows(request: ExtremesRequest, found: Mapping[str, Instances]) -> Iterator[ExtremesRow]:
    for instances in found.values():
        for key, steps in instances.items():
            wanted = steps.between(request.start_s, request.end_s)
            if len(wanted.minima):
                yield ExtremesRow(key.pod, key.container, key.container_id, wanted.minima, wanted.maxima)
