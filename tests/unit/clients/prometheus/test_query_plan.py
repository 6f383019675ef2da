from __future__ import annotations

import re
from dataclasses import replace

import pytest

from memroll.clients.prometheus.promql import QueryScope
from memroll.clients.prometheus.query_plan import (
    MAX_PREFILTER_PODS,
    MAX_READ_PODS,
    SeriesKind,
    TimeRange,
    max_pods_per_query,
    plan_extremes,
    plan_prefilter,
    plan_read,
)
from memroll.detection.extremes import ExtremesRequest
from memroll.detection.samples import ReadRequest, SampleRange, SlowBins
from memroll.model.pod_names import PodPattern

AI = QueryScope("ai", {})
AT = 1_000_030.0
SUBQUERY = re.compile(r"\[(\d+)(ms|s):(\d+)(ms|s)\]$")
RSS = 'container_memory_rss{container!="",container!="POD",pod=~"p",namespace="ai"}'
OOMS = RSS.replace("memory_rss", "oom_events_total")
WORKING_SET = RSS.replace("rss", "working_set_bytes")
DETAILS = (SeriesKind.ACTIVE_FILE, SeriesKind.SWAP)


def request_of(step_s: float | None, lookback_s: float = 3600.0, *, load_metric: str | None = None) -> ReadRequest:
    return ReadRequest("ai", ("p",), SampleRange(lookback_s, step_s), AT, load_metric=load_metric)


def test_a_prefilter_queries_a_slope_per_window_one_count_and_three_newest_values() -> None:
    assert [q.expression for q in plan_prefilter(AI, ["p"], [600.0, 3600.0, 60.0])] == [
        f"deriv({RSS}[600s])",
        f"deriv({RSS}[3600s])",
        f"deriv({RSS}[60s])",
        f"count_over_time({RSS}[600s])",
        RSS,
        WORKING_SET,
        f"timestamp({RSS})",
    ]


def test_a_prefilter_queries_the_minimum_now_and_at_each_offset() -> None:
    queries = [q for q in plan_prefilter(AI, ["p"], [], SlowBins(1800.0, (86400.0, 259200.0))) if "min" in q.expression]
    assert [(q.expression, q.statistic.window_s) for q in queries] == [
        (f"min_over_time({RSS}[1800s])", 0),
        (f"min_over_time({RSS}[1800s] offset 86400s)", 86400),
        (f"min_over_time({RSS}[1800s] offset 259200s)", 259200),
    ]


def test_a_prefilter_queries_pods_in_chunks() -> None:
    pods = [f"p{n:04}" for n in range(MAX_PREFILTER_PODS + 1)]
    queries = list(plan_prefilter(AI, pods, [60.0]))
    assert len(queries) == 2 * 5, "a slope, a count and three newest values"
    assert [q.pods.matches(pods[0]) for q in queries] == [True] * 5 + [False] * 5


def test_raw_samples() -> None:
    *of_memory, load = plan_read(request_of(None), {})
    assert [q.expression for q in of_memory] == [f"{m}[3600s]" for m in (RSS, WORKING_SET, OOMS)]
    assert {(q.at_s, q.time_range) for q in of_memory} == {(AT, TimeRange(AT - 3600, AT))}
    assert load.expression.endswith("[3600s:60s]")
    assert (load.at_s, load.time_range) == (1_000_020.0, TimeRange(AT - 3600, AT))


def test_aggregated_steps_are_followed_by_raw_samples() -> None:
    """Steps of one minute end at 1,000,020: that step and later samples are raw, earlier steps are aggregated."""
    steps, raw = [q for q in plan_read(request_of(60.0), {}) if q.kind is SeriesKind.RSS]
    assert (steps.expression, steps.at_s) == (f"min_over_time({RSS}[60s])[3480s:60s]", 999_960.0)
    assert steps.time_range == TimeRange(AT - 3600 + 60 - 0.001, 999_960.0)
    assert (raw.expression, raw.at_s, raw.time_range) == (f"{RSS}[70s]", AT, TimeRange(999_960.0, AT))


def test_working_set_and_oom_kills_are_aggregated_by_maximum() -> None:
    queries = [q.expression for q in plan_read(request_of(60.0), {}) if q.expression.startswith("max")]
    assert [q.partition("[")[0] for q in queries] == [f"max_over_time({WORKING_SET}", f"max_over_time({OOMS}"]


def test_page_cache_and_swap_are_read_for_the_detailed_pods_only() -> None:
    request = replace(request_of(60.0), pods=("p", "q"), patterns=(PodPattern("web", 1),), detailed=("p",))
    cache, swap = (RSS.replace("memory_rss", name) for name in ("memory_total_active_file_bytes", "memory_swap"))
    found = [q for q in plan_read(request, {}) if q.kind in DETAILS]
    assert [(q.expression, q.is_rest) for q in found] == [
        (f"max_over_time({cache}[60s])[3480s:60s]", False),
        (f"{cache}[70s]", True),
        (f"max_over_time({swap}[60s])[3480s:60s]", False),
        (f"{swap}[70s]", True),
    ]
    raw = [q for q in plan_read(replace(request, sample_range=SampleRange(3600.0, None)), {}) if q.kind in DETAILS]
    assert [(q.expression, q.is_rest) for q in raw] == [(f"{cache}[3600s]", False), (f"{swap}[3600s]", False)]
    assert not any(q.is_rest for q in plan_read(request_of(60.0), {})), "other series are always read whole"


def test_a_long_history_is_two_queries_of_steps_at_multiples_of_the_step() -> None:
    request = ExtremesRequest("ai", ["p"], 3600.0, 14 * 86400.0, AT)
    end_s = AT // 3600 * 3600
    found = list(plan_extremes(request, ["p"], end_s - 7200, {}))
    assert [q.expression for q in found] == [f"{f}_over_time({RSS}[3600s])[7200s:3600s]" for f in ("min", "max")]
    assert {(q.at_s, q.time_range) for q in found} == {(end_s, TimeRange(end_s - 7200, end_s))}
    assert list(plan_extremes(request, ["p"], end_s, {})) == []


@pytest.mark.parametrize(("lookback_s", "count"), [(30.0, 1), (129.0, 1), (130.0, 2), (131.0, 2)])
def test_steps_are_queried_only_if_a_complete_one_fits(lookback_s: float, count: int) -> None:
    assert len([q for q in plan_read(request_of(60.0, lookback_s), {}) if q.kind is SeriesKind.RSS]) == count


def test_load_is_cpu_or_the_configured_metric() -> None:
    cores, requests = (
        list(plan_read(request_of(120.0), {}))[-1],
        list(plan_read(request_of(120.0, load_metric="hits_total"), {}))[-1],
    )
    assert (cores.kind, requests.kind) == (SeriesKind.LOAD, SeriesKind.POD_LOAD)
    assert cores.expression.startswith("(rate(container_cpu_usage_seconds_total{")
    assert requests.expression.startswith('(sum by (namespace, pod) (rate(hits_total{pod=~"p",namespace="ai"}[300s]))')
    assert [q.expression.endswith("[3600s:120s]") for q in (cores, requests)] == [True, True]


@pytest.mark.parametrize(("lookback_s", "count"), [(10.0, 0), (10.001, 1), (60.0, 1)])
def test_load_is_queried_only_if_a_step_ends_in_the_range(lookback_s: float, count: int) -> None:
    assert len([q for q in plan_read(request_of(None, lookback_s), {}) if q.kind is SeriesKind.LOAD]) == count


@pytest.mark.parametrize("at_s", [AT, 1_000_020.0, 1_000_019.999, 1_000_020.001, 999_999.5])
@pytest.mark.parametrize("step_s", [60.0, 49.5, 0.25])
@pytest.mark.parametrize("lookback_s", [3600.0, 3599.999, 61.0, 12_345.678])
def test_the_window_of_every_subquery_is_a_whole_number_of_steps_from_the_epoch(
    at_s: float, step_s: float, lookback_s: float
) -> None:
    """Otherwise VictoriaMetrics moves the steps, and drops the last one."""
    request = ReadRequest("ai", ("p",), SampleRange(lookback_s, step_s), at_s)
    queries = [(q, found) for q in plan_read(request, {}) if (found := SUBQUERY.search(q.expression))]
    assert queries
    for query, found in queries:
        window, step = (int(n) * (1 if unit == "ms" else 1000) for n, unit in (found.group(1, 2), found.group(3, 4)))
        last = round(query.at_s * 1000)
        assert (step, window % step, last % step) == (round(step_s * 1000), 0, 0)
        wanted_from, wanted_to = (round(t * 1000) for t in (query.time_range.start_s, query.time_range.end_s))
        assert last - window <= wanted_from < last - window + step, "all steps are queried, and one more at most"
        assert last <= wanted_to < last + step


@pytest.mark.parametrize(
    ("span", "pods"),
    [
        (SampleRange(900.0, None), MAX_READ_PODS),
        (SampleRange(6.5 * 3600, None), 80),
        (SampleRange(30 * 3600.0, 60.0), 69),
        (SampleRange(30 * 3600.0, 300.0), MAX_READ_PODS),
        (SampleRange(365 * 86400.0, 1.0), 1),
    ],
)
def test_more_points_mean_fewer_pods_per_query(span: SampleRange, pods: int) -> None:
    assert max_pods_per_query(span) == pods


def test_pods_that_match_a_pattern_follow_the_named_ones_and_are_never_returned_twice() -> None:
    pods = ["chat-bcdfg", "chat-7f9c-bcdfg", "chat-7f9c-zzzzz", "other-bcdfg"]
    patterns = (PodPattern("chat", 2), PodPattern("chat-7f9c", 1), PodPattern("chat", 1))
    request = ReadRequest("ai", ("chat-7f9c-zzzzz",), SampleRange(3600.0, None), AT, patterns)
    filters = [q.pods for q in plan_read(request, {}) if q.kind is SeriesKind.RSS]
    assert [[p for p in pods if a.matches(p)] for a in filters] == [
        ["chat-7f9c-zzzzz"],
        ["chat-7f9c-bcdfg"],
        [],
        ["chat-bcdfg"],
    ]
    assert filters[3].matcher.value == "chat-[bcdfghjklmnpqrstvwxz2456789]{5}"
