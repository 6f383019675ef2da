"""Queries that a prefilter run and a read consist of, each small enough for one response. Pure.

All are instant queries. A point at time t covers (t - step, t], so no sample counts before it happened.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from memroll.clients.prometheus import promql
from memroll.clients.prometheus.promql import Matcher, MatchOperator, QueryScope
from memroll.detection.samples import NO_SLOW_BINS, TICK_S, SampleRange, counted_windows_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from memroll.detection.extremes import ExtremesRequest
    from memroll.detection.samples import ReadRequest, SlowBins
    from memroll.model.pod_names import PodPattern

MAX_READ_PODS = 100
"""Maximum number of pods per query for series (design note 0005)."""
MAX_PREFILTER_PODS = 400
"""Maximum number of pods per prefilter query. The response has one point per container; larger ones save no time."""
MAX_NAMES_BYTES = 14 * 1024
"""Maximum size of all pod names in a query, in bytes: VictoriaMetrics accepts queries of 16 KiB."""
NAMES_PER_READ = 2
"""Maximum number of times for which a query of a read contains the names: twice in that of the load."""
MAX_POINTS = 250_000
"""Maximum number of points per response, estimated: about 7 MiB."""
ESTIMATED_CONTAINERS = 2
"""Estimated number of containers per pod; chosen by hand."""
MIN_SCRAPE_INTERVAL_S = 15.0
"""Minimum scrape interval, in seconds, that the estimate of points assumes; chosen by hand."""
LOAD_STEP_S = 60.0
"""Step of the load series, in seconds, if memory is read without a step; chosen by hand."""


class SeriesKind(StrEnum):
    """Meaning of a series in the result of a read."""

    RSS = promql.RSS
    WORKING_SET = promql.WORKING_SET
    OOMS = promql.OOMS
    LOAD = "load"
    POD_LOAD = "pod load"
    ACTIVE_FILE = promql.ACTIVE_FILE
    SWAP = promql.SWAP
    MINIMA = "minima"
    MAXIMA = "maxima"
    MEANS = "means"


MEMORY_KINDS = {SeriesKind.RSS: "min_over_time", SeriesKind.WORKING_SET: "max_over_time"}
"""Aggregation of the samples of one step: the minimum excludes garbage, the maximum is what hits the limit."""
OOM_KINDS = {SeriesKind.OOMS: "max_over_time"}
"""The same for the number of OOM kills."""
DETAIL_KINDS = {SeriesKind.ACTIVE_FILE: "max_over_time", SeriesKind.SWAP: "max_over_time"}
"""The same for the further series of candidates. The maximum of the page cache: the difference of the two maxima lies
between the least and the greatest unreclaimable memory of the step, whatever the cache does (design note 0005)."""
LOAD_KINDS = frozenset({SeriesKind.LOAD, SeriesKind.POD_LOAD})
"""Kinds of load."""
_EXTREMES = {SeriesKind.MINIMA: "min_over_time", SeriesKind.MAXIMA: "max_over_time"}
"""Aggregation of the RSS in each step of a long history."""


class StatisticKind(StrEnum):
    SLOPE = "deriv"
    SAMPLES = "count_over_time"
    RSS = promql.RSS
    WORKING_SET = promql.WORKING_SET
    LAST = "timestamp"
    MINIMUM = "min_over_time"


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Half-open range (start_s, end_s]."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class PodFilter:
    """Set of pods: as a matcher for the server, and as a predicate for the rows of the response."""

    matcher: Matcher
    matches: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a read."""

    expression: str
    at_s: float
    kind: SeriesKind
    time_range: TimeRange
    pods: PodFilter
    is_rest: bool = False
    """True if the query is not sent where the one before it returned nothing: the store lacks the series."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """Number that the server computes for each container instance."""

    kind: StatisticKind
    window_s: float = 0.0
    """Window of a slope or a number of samples; time before now of a minimum or a usage; zero for the rest."""


@dataclass(frozen=True, slots=True)
class PrefilterQuery:
    """One query of a prefilter run."""

    expression: str
    statistic: Statistic
    pods: PodFilter


def plan_prefilter(
    scope: QueryScope,
    pods: Sequence[str],
    windows_s: Sequence[float],
    slow: SlowBins = NO_SLOW_BINS,
    max_names_bytes: int = MAX_NAMES_BYTES,
) -> Iterator[PrefilterQuery]:
    """Yield the queries for the statistics of all containers of these pods, except the means of blocks.

    Without blocks, samples are counted in one window only: each count costs as many samples as a slope (note 0005).
    """
    for chunk in _by_name(pods, MAX_PREFILTER_PODS, max_names_bytes):
        rss = promql.container_selector(StatisticKind.RSS, scope, chunk.matcher)
        working_set = promql.container_selector(StatisticKind.WORKING_SET, scope, chunk.matcher)
        windowed = [(StatisticKind.SLOPE, window_s) for window_s in windows_s if not slow.is_by_blocks(window_s)]
        if not slow.block_s:
            windowed += [(StatisticKind.SAMPLES, window_s) for window_s in counted_windows_s(windows_s)]
        for kind, window_s in windowed:
            yield PrefilterQuery(promql.over_time(kind, rss, window_s), Statistic(kind, window_s), chunk)
        for offset_s in (0.0, *slow.offsets_s) if slow.offsets_s else ():
            minimum = promql.over_time(StatisticKind.MINIMUM, rss, slow.bin_s, offset_s)
            yield PrefilterQuery(minimum, Statistic(StatisticKind.MINIMUM, offset_s), chunk)
        yield PrefilterQuery(rss, Statistic(StatisticKind.RSS), chunk)
        for offset_s in (0.0, *slow.usage_offsets_s):
            usage = promql.at_offset(working_set, offset_s)
            yield PrefilterQuery(usage, Statistic(StatisticKind.WORKING_SET, offset_s), chunk)
        yield PrefilterQuery(f"{StatisticKind.LAST}({rss})", Statistic(StatisticKind.LAST), chunk)


def plan_read(
    request: ReadRequest, match_labels: Mapping[str, str], max_names_bytes: int = MAX_NAMES_BYTES
) -> Iterator[Query]:
    """Yield the queries for the series of all containers of the named pods, and of pods that match a pattern."""
    scope = QueryScope(request.namespace, match_labels)
    named = _by_name(request.pods, max_pods_per_query(request.sample_range), max_names_bytes // NAMES_PER_READ)
    for pods in (*named, *_by_pattern(request.patterns, request.pods)):
        for kind, aggregation in (MEMORY_KINDS | OOM_KINDS).items():
            yield from _memory_queries(request, scope, (kind, aggregation), pods)
        yield from _load_queries(request, scope, pods)
    for pods in _by_name(request.detailed, max_pods_per_query(request.sample_range), max_names_bytes):
        for kind, aggregation in DETAIL_KINDS.items():
            first, *rest = _memory_queries(request, scope, (kind, aggregation), pods)
            yield first
            yield from (replace(query, is_rest=True) for query in rest)


def plan_extremes(
    request: ExtremesRequest,
    pods: Sequence[str],
    start_s: float,
    match_labels: Mapping[str, str],
    max_names_bytes: int = MAX_NAMES_BYTES,
) -> Iterator[Query]:
    """Yield the queries for the steps of the long histories of these pods that end after `start_s`."""
    scope, time_range = QueryScope(request.namespace, match_labels), TimeRange(start_s, request.end_s)
    max_pods = max_pods_per_query(SampleRange(max(request.end_s - start_s, TICK_S), request.step_s))
    for chunk in _by_name(pods, max_pods, max_names_bytes):
        rss = promql.container_selector(promql.RSS, scope, chunk.matcher)
        for kind, aggregation in _EXTREMES.items():
            steps = promql.over_time(aggregation, rss, request.step_s)
            yield from _stepped(steps, request.step_s, kind, time_range, chunk)


def max_pods_per_query(sample_range: SampleRange, max_pods: int = MAX_READ_PODS) -> int:
    """Return the number of pods for which one query is expected to return at most `MAX_POINTS`."""
    points = sample_range.lookback_s / (sample_range.step_s or MIN_SCRAPE_INTERVAL_S) * ESTIMATED_CONTAINERS
    return max(1, min(max_pods, int(MAX_POINTS / max(points, 1.0))))


def _by_name(pods: Sequence[str], max_pods: int, max_bytes: int) -> Iterator[PodFilter]:
    for chunk in promql.chunk_pods(pods, max_pods, max_bytes):
        yield PodFilter(Matcher("pod", MatchOperator.MATCHES, promql.any_of(chunk)), frozenset(chunk).__contains__)


def _by_pattern(patterns: Sequence[PodPattern], named: Sequence[str]) -> Iterator[PodFilter]:
    """Yield a filter for each pattern, without named pods and those of an earlier pattern: no pod is returned twice."""
    for n, pattern in enumerate(patterns):
        matches = partial(_is_first_match, pattern, patterns[:n], frozenset(named))
        yield PodFilter(Matcher("pod", MatchOperator.MATCHES, promql.pod_name_pattern(pattern)), matches)


def _is_first_match(own: PodPattern, earlier: Sequence[PodPattern], named: frozenset[str], pod: str) -> bool:
    return own.matches(pod) and pod not in named and not any(p.matches(pod) for p in earlier)


def _memory_queries(
    request: ReadRequest, scope: QueryScope, aggregation: tuple[SeriesKind, str], pods: PodFilter
) -> Iterator[Query]:
    """Yield a query for the aggregated steps, if there are any, and one for the raw samples after them."""
    kind, function = aggregation
    selector = promql.container_selector(kind, scope, pods.matcher)
    step_s = request.sample_range.step_s
    raw_from_s = request.start_s
    if step_s is not None:
        aggregated = promql.over_time(function, selector, step_s)
        complete_steps = TimeRange(request.start_s + step_s - TICK_S, steps_end_s(request.at_s, step_s))
        for query in _stepped(aggregated, step_s, kind, complete_steps, pods):
            raw_from_s = query.at_s
            yield query
    expression = promql.raw_samples(selector, request.at_s - raw_from_s)
    yield Query(expression, request.at_s, kind, TimeRange(raw_from_s, request.at_s), pods)


def _stepped(
    expression: str, step_s: float, kind: SeriesKind, time_range: TimeRange, pods: PodFilter
) -> Iterator[Query]:
    """Yield a query for the expression at each multiple of the step in the range, if there are any."""
    found = promql.subquery(expression, time_range.start_s, time_range.end_s, step_s)
    if found is not None:
        yield Query(*found, kind, time_range, pods)


def steps_end_s(at_s: float, step_s: float) -> float:
    """Return the end of the second to last complete step. Later samples are read raw, with exact timestamps.

    Prometheus aligns the steps of a subquery to the epoch, regardless of the query's time.
    """
    at, step = round(at_s * 1000), round(step_s * 1000)
    return (at // step - 1) * step / 1000


def _load_queries(request: ReadRequest, scope: QueryScope, pods: PodFilter) -> Iterator[Query]:
    step_s = request.sample_range.step_s or LOAD_STEP_S
    if request.load_metric is None:
        kind, rate = SeriesKind.LOAD, promql.cpu_rate(scope, pods.matcher, step_s)
    else:
        kind = SeriesKind.POD_LOAD
        rate = promql.pod_rate(request.load_metric, scope, pods.matcher, step_s)
    yield from _stepped(rate, step_s, kind, TimeRange(request.start_s, request.at_s), pods)
