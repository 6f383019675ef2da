"""Reads of steps of which most is known already: only those that are new, or may still change, are queried.

`incremental_read` builds the series of candidates from it, `block_read` the
slopes of all containers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from memroll.clients.prometheus import promql, query_plan
from memroll.clients.prometheus.load_codes import round_load
from memroll.clients.prometheus.packed_steps import PackedSteps
from memroll.clients.prometheus.query_plan import LOAD_KINDS, SeriesKind, TimeRange
from memroll.clients.prometheus.read_sources import FoundSeries, Source, matchers_of, split_sources
from memroll.clients.prometheus.response import iter_series, parse_labels, parse_samples
from memroll.clients.prometheus.step_cache import KnownSteps, StepKey
from memroll.detection.block_slopes import in_pages
from memroll.detection.extremes import last_step_end_s
from memroll.detection.samples import TICK_S, SampleRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from memroll.clients.prometheus.promql import Matcher
    from memroll.clients.prometheus.rows import InstanceKey
    from memroll.clients.prometheus.session import PrometheusSession
    from memroll.clients.prometheus.step_cache import StepCache
    from memroll.clients.prometheus.timeout import Timeout
    from memroll.detection.series import Series

LATE_S = 300.0
"""Time after the end of a step in which samples of it may still arrive, in seconds, as of a long history."""
MISSING_STEPS = 2
"""Number of newest steps without samples that is no outage, if that is longer; chosen by hand."""
WHOLE_S = 3600.0
"""Length of the whole parts that are kept of series whose newest steps are missing, in seconds; chosen by hand."""
NOBODY = frozenset[str]()

Expression = Callable[[Sequence["Matcher"]], str]
"""Function from matchers to an expression."""


class Metric(NamedTuple):
    """Series of one kind."""

    kind: SeriesKind
    name: str
    step_s: float
    """Length of a step, in seconds."""
    step: Expression
    """Expression of one step."""
    raw: Expression | None = None
    """Selector of the raw samples; None if only steps are read."""

    @property
    def takes_minimum(self) -> bool:
        """True if the least value counts of several scrapers."""
        return self.kind is SeriesKind.RSS

    def parse(self, values: object) -> Series:
        """Return the samples; means in pages and loads rounded, so that they are packed without loss."""
        samples = parse_samples(values)
        if self.kind is SeriesKind.MEANS:
            return in_pages(samples)
        return round_load(samples) if self.kind in LOAD_KINDS else samples


@dataclass(frozen=True, slots=True)
class StepReader:
    """Reader of the steps of one namespace at one time."""

    session: PrometheusSession
    cache: StepCache
    timeout: Timeout
    namespace: str
    at_s: float
    named: frozenset[str]
    """Names of the pods that no pattern includes: those that are read by name."""

    def read(
        self, metric: Metric, sources: Sequence[Source], steps: TimeRange
    ) -> tuple[dict[InstanceKey, Series], bool]:
        """Return the steps in a range, by instance, and whether any are known."""
        found, has_series = FoundSeries(self.namespace, sources, self.named), False
        by_end: dict[float, list[Source]] = defaultdict(list)
        for source in sources:
            known = self._find(metric, source, steps)
            found.add_known(source, known)
            by_end[known.end_s].append(source)
            has_series |= bool(known.instances)
        for end_s, group in by_end.items():
            has_series |= self._query(metric, group, TimeRange(end_s, steps.end_s), found)
        series: dict[InstanceKey, Series] = {}
        for source, instances in found.merged(minimum=metric.takes_minimum):
            self._store(metric, source, instances, steps)
            series |= {key: _within(samples, steps) for key, samples in instances.items()}
        return series, has_series

    def read_raw(self, metric: Metric, sources: Sequence[Source], time_range: TimeRange) -> dict[InstanceKey, Series]:
        """Return the raw samples in a range, by instance."""
        assert metric.raw is not None
        found = FoundSeries(self.namespace, sources, self.named)
        for chunk in self._chunks(sources, time_range, None):
            selector = metric.raw(matchers_of(chunk, self.named))
            expression = promql.raw_samples(selector, time_range.end_s - time_range.start_s)
            self._add_response(metric, (expression, time_range.end_s), time_range, found)
        merged = found.merged(minimum=metric.takes_minimum)
        return {key: samples for _, instances in merged for key, samples in instances.items()}

    def _find(self, metric: Metric, source: Source, steps: TimeRange) -> KnownSteps:
        named = self.named if source.pattern else NOBODY
        found = self.cache.find(self._key(metric, source), steps.start_s, steps.end_s, named)
        return found or KnownSteps((), steps.start_s, steps.start_s)

    def _store(self, metric: Metric, source: Source, instances: Mapping[InstanceKey, Series], steps: TimeRange) -> None:
        """Keep the steps that no longer change."""
        final = self._final(instances, steps, metric.step_s)
        if final.end_s <= final.start_s:
            return
        kept = {key: within for key, samples in instances.items() if len(within := _within(samples, final))}
        packed = tuple((key, PackedSteps.pack(samples, metric.step_s)) for key, samples in kept.items())
        known = KnownSteps(packed, final.start_s, final.end_s, self.named if source.pattern else NOBODY)
        self.cache.store(self._key(metric, source), known, self.at_s)

    def _final(self, instances: Mapping[InstanceKey, Series], steps: TimeRange, step_s: float) -> TimeRange:
        """Return the range in which steps no longer change.

        Where the newest are missing, the store may be filled later, after an outage: it ends with the last whole hour
        that is known. Not with the last step, so that few queries suffice for many sources.
        """
        end_s = last_step_end_s(self.at_s - LATE_S, step_s)
        last_s = max((s.last_s for s in instances.values()), default=float("-inf"))
        if last_s < end_s - max(LATE_S, MISSING_STEPS * step_s):
            whole_s = max(WHOLE_S, step_s)
            end_s = last_step_end_s(max(last_s, steps.start_s), whole_s)
        return TimeRange(steps.start_s, end_s)

    def _key(self, metric: Metric, source: Source) -> StepKey:
        return StepKey(self.namespace, source.pods, source.container, metric.kind, metric.name, metric.step_s)

    def _query(self, metric: Metric, sources: Sequence[Source], steps: TimeRange, found: FoundSeries) -> bool:
        """Query the steps in a range; return whether there are any."""
        added = False
        for chunk in self._chunks(sources, steps, metric.step_s):
            expression = metric.step(matchers_of(chunk, self.named))
            query = promql.subquery(expression, steps.start_s, steps.end_s, metric.step_s)
            if query is not None:
                added |= self._add_response(metric, query, steps, found)
        return added

    def _add_response(
        self, metric: Metric, query: tuple[str, float], time_range: TimeRange, found: FoundSeries
    ) -> bool:
        added = False
        for raw in iter_series(self.session.query(*query, self.timeout), "matrix"):
            added |= found.add(parse_labels(raw), _within(metric.parse(raw.get("values")), time_range))
        return added

    def _chunks(
        self, sources: Sequence[Source], time_range: TimeRange, step_s: float | None
    ) -> Iterator[Sequence[Source]]:
        length_s = max(time_range.end_s - time_range.start_s, TICK_S)
        max_pods = query_plan.max_pods_per_query(SampleRange(length_s, step_s), query_plan.MAX_PREFILTER_PODS)
        max_bytes = self.session.max_names_bytes // query_plan.NAMES_PER_READ
        return split_sources(sources, self.named, max_pods, max_bytes)


def _within(samples: Series, time_range: TimeRange) -> Series:
    """Return the samples in the range. Half a tick: Prometheus 2 includes its first instant, Prometheus 3 does not."""
    return samples.between(time_range.start_s + TICK_S / 2, time_range.end_s + TICK_S / 2)
