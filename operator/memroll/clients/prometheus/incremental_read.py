"""Reads of series of which most is known already: only the steps that are new, or may still change, are queried.

The result is that of a full read (`query_plan.plan_read`): the steps, and the raw samples after the last but one of
them, which are never kept (design note 0025).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from memroll.clients.prometheus import promql, query_plan
from memroll.clients.prometheus.packed_steps import PackedSteps
from memroll.clients.prometheus.query_plan import SeriesKind, TimeRange
from memroll.clients.prometheus.read_sources import (
    ALL_CONTAINERS,
    FoundSeries,
    Source,
    earlier_sources,
    matchers_of,
    named_sources,
    split_sources,
)
from memroll.clients.prometheus.response import iter_series, parse_labels, parse_samples
from memroll.clients.prometheus.rows import SeriesRowBuilder
from memroll.clients.prometheus.step_cache import KnownSteps, StepKey
from memroll.detection.extremes import last_step_end_s
from memroll.detection.samples import TICK_S, QueryResult, SampleRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from memroll.clients.prometheus.promql import Matcher, QueryScope
    from memroll.clients.prometheus.rows import InstanceKey
    from memroll.clients.prometheus.session import PrometheusSession
    from memroll.clients.prometheus.step_cache import StepCache
    from memroll.clients.prometheus.timeout import Timeout
    from memroll.detection.samples import ReadRequest
    from memroll.detection.series import Series

LATE_S = 300.0
"""Time after the end of a step in which samples of it may still arrive, in seconds, as of a long history."""
LATE_STEPS = 2
"""The same in steps, if that is longer."""
NOBODY = frozenset[str]()

Expression = Callable[[Sequence["Matcher"]], str]
"""Function from matchers to an expression."""


class Metric(NamedTuple):
    """Series of one kind."""

    kind: SeriesKind
    name: str
    step: Expression
    """Expression of one step."""
    raw: Expression | None = None
    """Selector of the raw samples; None if only steps are read."""


@dataclass(frozen=True, slots=True)
class IncrementalRead:
    """One read, with a step."""

    session: PrometheusSession
    cache: StepCache
    request: ReadRequest
    timeout: Timeout

    def run(self) -> QueryResult:
        """Return the series of the request."""
        request, rows = self.request, SeriesRowBuilder(self.request.namespace)
        sources = (*named_sources(request, request.pods), *earlier_sources(request))
        for metric in self._memory_metrics(query_plan.MEMORY_KINDS):
            self._read(metric, sources, rows)
        if not request.memory_only:
            for metric in self._memory_metrics(query_plan.OOM_KINDS):
                self._read(metric, sources, rows)
            self._read(self._load_metric(), self._load_sources(sources), rows)
        for metric in self._memory_metrics(query_plan.DETAIL_KINDS):
            self._read(metric, named_sources(request, request.detailed), rows)
        return QueryResult(rows.build(), request.at_s)

    @property
    def _step_s(self) -> float:
        step_s = self.request.sample_range.step_s
        assert step_s is not None, "a read of raw samples is not incremental"
        return step_s

    @property
    def _scope(self) -> QueryScope:
        return self.session.scope(self.request.namespace)

    @property
    def _running(self) -> frozenset[str]:
        """Names of the pods that no pattern includes: those that are read by name."""
        return frozenset(self.request.pods)

    def _memory_metrics(self, kinds: Mapping[SeriesKind, str]) -> Iterator[Metric]:
        scope, step_s = self._scope, self._step_s
        for kind, function in kinds.items():

            def select(matchers: Sequence[Matcher], metric: str = kind) -> str:
                return promql.container_selector(metric, scope, *matchers)

            def aggregate(matchers: Sequence[Matcher], function: str = function, select: Expression = select) -> str:
                return promql.over_time(function, select(matchers), step_s)

            yield Metric(kind, kind, aggregate, select)

    def _load_metric(self) -> Metric:
        metric, scope, step_s = self.request.load_metric, self._scope, self._step_s
        if metric is None:
            return Metric(SeriesKind.LOAD, "", lambda m: promql.cpu_rate(scope, m[0], step_s, *m[1:]))
        return Metric(SeriesKind.POD_LOAD, metric, lambda m: promql.pod_rate(metric, scope, m[0], step_s, *m[1:]))

    def _load_sources(self, sources: Sequence[Source]) -> Sequence[Source]:
        if self.request.load_metric is None:
            return sources
        return tuple(dict.fromkeys(s._replace(container=ALL_CONTAINERS) for s in sources))

    def _steps_of(self, metric: Metric) -> TimeRange:
        """Return the range in which the steps end. Only complete ones, if raw samples follow them."""
        request = self.request
        if metric.raw is None:
            return TimeRange(request.start_s, request.at_s)
        end_s = query_plan.steps_end_s(request.at_s, self._step_s)
        return TimeRange(request.start_s + self._step_s - TICK_S, end_s)

    def _read(self, metric: Metric, sources: Sequence[Source], rows: SeriesRowBuilder) -> None:
        """Add the series of one kind to the rows."""
        steps, minimum = self._steps_of(metric), metric.kind is SeriesKind.RSS
        found, has_series = FoundSeries(self.request, sources, self._running), False
        by_end: dict[float, list[Source]] = defaultdict(list)
        for source in sources:
            known = self._find(metric, source, steps)
            found.add_known(source, known)
            by_end[known.end_s].append(source)
            has_series |= bool(known.instances)
        for end_s, group in by_end.items():
            has_series |= self._query_steps(metric, group, TimeRange(end_s, steps.end_s), found)
        for source, instances in found.merged(minimum=minimum):
            self._store(metric, source, instances, steps)
            for key, samples in instances.items():
                rows.add_known(metric.kind, key, _within(samples, steps))
        if metric.raw is not None and (has_series or metric.kind not in query_plan.DETAIL_KINDS):
            self._add_raw(metric, sources, steps, rows)

    def _find(self, metric: Metric, source: Source, steps: TimeRange) -> KnownSteps:
        running = self._running if source.pattern else NOBODY
        found = self.cache.find(self._key(metric, source), steps.start_s, steps.end_s, running)
        return found or KnownSteps({}, steps.start_s, steps.start_s)

    def _store(self, metric: Metric, source: Source, instances: Mapping[InstanceKey, Series], steps: TimeRange) -> None:
        """Keep the steps that no longer change."""
        late_s = max(LATE_S, LATE_STEPS * self._step_s)
        final = TimeRange(steps.start_s, last_step_end_s(self.request.at_s - late_s, self._step_s))
        if final.end_s <= final.start_s:
            return
        kept = {key: within for key, samples in instances.items() if len(within := _within(samples, final))}
        packed = {key: PackedSteps.pack(samples, self._step_s) for key, samples in kept.items()}
        known = KnownSteps(packed, final.start_s, final.end_s, self._running if source.pattern else NOBODY)
        self.cache.store(self._key(metric, source), known, self.request.at_s)

    def _key(self, metric: Metric, source: Source) -> StepKey:
        return StepKey(self.request.namespace, source.pods, source.container, metric.kind, metric.name, self._step_s)

    def _query_steps(self, metric: Metric, sources: Sequence[Source], steps: TimeRange, found: FoundSeries) -> bool:
        """Query the steps in a range; return whether there are any."""
        added = False
        for chunk in self._chunks(sources, steps, self._step_s):
            expression = metric.step(matchers_of(chunk, self._running))
            query = promql.subquery(expression, steps.start_s, steps.end_s, self._step_s)
            if query is not None:
                added |= self._add_response(query, steps, found)
        return added

    def _add_raw(self, metric: Metric, sources: Sequence[Source], steps: TimeRange, rows: SeriesRowBuilder) -> None:
        """Query the samples after the last step, and add them to the rows."""
        assert metric.raw is not None
        end_s = last_step_end_s(steps.end_s, self._step_s)
        raw = TimeRange(end_s if end_s > steps.start_s else self.request.start_s, self.request.at_s)
        found = FoundSeries(self.request, sources, self._running)
        for chunk in self._chunks(sources, raw, None):
            selector = metric.raw(matchers_of(chunk, self._running))
            self._add_response((promql.raw_samples(selector, raw.end_s - raw.start_s), raw.end_s), raw, found)
        for _, instances in found.merged(minimum=metric.kind is SeriesKind.RSS):
            for key, samples in instances.items():
                rows.add_known(metric.kind, key, samples)

    def _add_response(self, query: tuple[str, float], time_range: TimeRange, found: FoundSeries) -> bool:
        added = False
        for raw in iter_series(self.session.query(*query, self.timeout), "matrix"):
            added |= found.add(parse_labels(raw), _within(parse_samples(raw.get("values")), time_range))
        return added

    def _chunks(
        self, sources: Sequence[Source], time_range: TimeRange, step_s: float | None
    ) -> Iterator[Sequence[Source]]:
        length_s = max(time_range.end_s - time_range.start_s, TICK_S)
        max_pods = query_plan.max_pods_per_query(SampleRange(length_s, step_s))
        max_bytes = self.session.max_names_bytes // query_plan.NAMES_PER_READ
        return split_sources(sources, self._running, max_pods, max_bytes)


def _within(samples: Series, time_range: TimeRange) -> Series:
    """Return the samples in the range. Half a tick: Prometheus 2 includes its first instant, Prometheus 3 does not."""
    return samples.between(time_range.start_s + TICK_S / 2, time_range.end_s + TICK_S / 2)
