"""Reads of candidates' series of which most is known already.

The result is that of a full read (`query_plan.plan_read`): the steps, and the raw samples after the last but one of
them, which are never kept (design note 0025).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.clients.prometheus import promql, query_plan
from memroll.clients.prometheus.query_plan import SeriesKind, TimeRange
from memroll.clients.prometheus.read_sources import ALL_CONTAINERS, Source, earlier_sources, named_sources
from memroll.clients.prometheus.rows import SeriesRowBuilder
from memroll.clients.prometheus.step_reader import Expression, Metric, StepReader
from memroll.detection.extremes import last_step_end_s
from memroll.detection.samples import TICK_S, QueryResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from memroll.clients.prometheus.promql import Matcher, QueryScope
    from memroll.clients.prometheus.session import PrometheusSession
    from memroll.clients.prometheus.step_cache import StepCache
    from memroll.clients.prometheus.timeout import Timeout
    from memroll.detection.samples import ReadRequest


@dataclass(frozen=True, slots=True)
class IncrementalRead:
    """One read, with a step."""

    session: PrometheusSession
    cache: StepCache
    request: ReadRequest
    timeout: Timeout

    def run(self) -> QueryResult:
        """Return the series of the request."""
        request, rows, step_s = self.request, SeriesRowBuilder(self.request.namespace), self._step_s
        peers = frozenset(request.peers)
        assessed = named_sources(request, [pod for pod in request.pods if pod not in peers])
        others = (*named_sources(request, request.peers), *earlier_sources(request))
        for length_s, sources in ((step_s, assessed), (request.peer_step_s or step_s, others)):
            for metric in memory_metrics(self._scope, length_s, query_plan.MEMORY_KINDS):
                self._read(metric, sources, rows)
        if not request.memory_only:
            for metric in memory_metrics(self._scope, step_s, query_plan.OOM_KINDS):
                self._read(metric, (*assessed, *others), rows)
            self._read(self._load_metric(), self._load_sources((*assessed, *others)), rows)
        for metric in memory_metrics(self._scope, step_s, query_plan.DETAIL_KINDS):
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

    def _load_metric(self) -> Metric:
        name, scope, step_s = self.request.load_metric, self._scope, self._step_s
        if name is None:
            return Metric(SeriesKind.LOAD, "", step_s, lambda m: promql.cpu_rate(scope, m[0], step_s, *m[1:]))
        return Metric(SeriesKind.POD_LOAD, name, step_s, lambda m: promql.pod_rate(name, scope, m[0], step_s, *m[1:]))

    def _load_sources(self, sources: Sequence[Source]) -> Sequence[Source]:
        """Return the sources of the load. It is the largest series: a step takes up to eight bytes."""
        if self.request.load_pods is not None:
            sources = named_sources(self.request, self.request.load_pods)
        if self.request.load_metric is None:
            return sources
        return tuple(dict.fromkeys(s._replace(container=ALL_CONTAINERS) for s in sources))

    def _read(self, metric: Metric, sources: Sequence[Source], rows: SeriesRowBuilder) -> None:
        """Add the series of one kind to the rows. Only complete steps, if raw samples follow them."""
        request, step_s = self.request, metric.step_s
        named = frozenset(request.pods)
        reader = StepReader(self.session, self.cache, self.timeout, request.namespace, request.at_s, named)
        steps = TimeRange(request.start_s, request.at_s)
        if metric.raw is not None:
            end_s = query_plan.steps_end_s(request.at_s, step_s)
            steps = TimeRange(request.start_s + step_s - TICK_S, end_s)
        found, has_series = reader.read(metric, sources, steps)
        rows.add_known(metric.kind, found)
        if metric.raw is not None and (has_series or metric.kind not in query_plan.DETAIL_KINDS):
            end_s = last_step_end_s(steps.end_s, step_s)
            raw = TimeRange(end_s if end_s > steps.start_s else request.start_s, request.at_s)
            rows.add_known(metric.kind, reader.read_raw(metric, sources, raw))


def memory_metrics(scope: QueryScope, step_s: float, kinds: Mapping[SeriesKind, str]) -> Iterator[Metric]:
    """Yield the metrics of these kinds, each aggregated by its function."""
    for kind, function in kinds.items():

        def select(matchers: Sequence[Matcher], metric: str = kind) -> str:
            return promql.container_selector(metric, scope, *matchers)

        def aggregate(matchers: Sequence[Matcher], function: str = function, select: Expression = select) -> str:
            return promql.over_time(function, select(matchers), step_s)

        yield Metric(kind, kind, step_s, aggregate, select)
