from __future__ import annotations

import pytest

from memroll.clients.prometheus.promql import (
    CPU,
    RSS,
    Matcher,
    MatchOperator,
    QueryScope,
    any_of,
    chunk_pods,
    container_selector,
    cpu_rate,
    format_duration,
    over_time,
    pod_name_pattern,
    pod_rate,
    raw_samples,
    series_selector,
    subquery,
)
from memroll.clients.prometheus.query_plan import plan_prefilter, plan_read
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.model.pod_names import PodPattern

AI = QueryScope("ai", {})
PODS = Matcher("pod", MatchOperator.MATCHES, any_of(["chat-1", "chat-2"]))
SELECTED = 'container_memory_rss{container!="",container!="POD",pod=~"chat-1|chat-2",namespace="ai"}'


def test_raw_samples_of_some_pods() -> None:
    assert raw_samples(container_selector(RSS, AI, PODS), 90) == f"{SELECTED}[90s]"


def test_the_minimum_of_each_step() -> None:
    aggregated = over_time("min_over_time", SELECTED, 60)
    assert subquery(aggregated, 60, 3660, 60) == (f"{aggregated}[3600s:60s]", 3660)


@pytest.mark.parametrize(
    ("start_s", "end_s", "window", "at_s"),
    [(60, 179, "60s", 120), (59, 120, "120s", 120), (60.001, 120, "60s", 120), (0.5, 240.25, "240s", 240)],
)
def test_a_subquery_has_the_multiples_of_its_step(start_s: float, end_s: float, window: str, at_s: float) -> None:
    assert subquery("x", start_s, end_s, 60) == (f"x[{window}:60s]", at_s)


@pytest.mark.parametrize(("start_s", "end_s"), [(60, 119.999), (120, 120), (121, 90)])
def test_a_range_without_a_multiple_has_no_subquery(start_s: float, end_s: float) -> None:
    assert subquery("x", start_s, end_s, 60) is None


@pytest.mark.parametrize(("step_s", "window"), [(15, "300s"), (60, "300s"), (300, "300s"), (900, "900s")])
def test_a_rate_covers_five_scrapes_of_a_minute_and_every_step(step_s: float, window: str) -> None:
    counter = SELECTED.replace(RSS, CPU)
    assert cpu_rate(AI, PODS, step_s) == f"(rate({counter}[{window}]) and {counter} offset {window})"


def test_the_request_rate_of_pods() -> None:
    counter = 'http_requests_total{pod=~"chat-1|chat-2",namespace="ai"}'
    assert pod_rate("http_requests_total", AI, PODS, 60) == (
        f"(sum by (namespace, pod) (rate({counter}[300s])) and sum by (namespace, pod) ({counter} offset 300s))"
    )
    with pytest.raises(ValueError, match="not a metric name"):
        pod_rate("a or b", AI, PODS, 60)


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (PodPattern("chat", 1), "chat-[bcdfghjklmnpqrstvwxz2456789]{5}"),
        (PodPattern("a.b", 2), r"a\.b-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[bcdfghjklmnpqrstvwxz2456789]{5}"),
    ],
)
def test_generated_names(pattern: PodPattern, written: str) -> None:
    assert pod_name_pattern(pattern) == written


def test_the_namespace_matcher_is_always_last() -> None:
    tricks = [Matcher("namespace", MatchOperator.NOT_MATCHES, "x"), Matcher("a", MatchOperator.NOT_EQUAL, '"} or {a="')]
    assert series_selector("m", tricks, AI) == 'm{namespace!~"x",a!="\\"} or {a=\\"",namespace="ai"}'


def test_the_labels_of_a_connection_are_quoted_and_override_no_matcher() -> None:
    scope = QueryScope("ai", {"cluster": 'eu"} or {a="', "shard": "1"})
    assert series_selector("m", [PODS], scope) == (
        'm{pod=~"chat-1|chat-2",cluster="eu\\"} or {a=\\"",shard="1",namespace="ai"}'
    )


@pytest.mark.parametrize("name", ["", "a b", "a{", "1a", "a\n", "é", 'a"', "a-b"])
def test_invalid_names_are_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="not a metric name"):
        series_selector(name, [], AI)
    with pytest.raises(ValueError, match="not a label name"):
        Matcher(name, MatchOperator.EQUAL, "")


def test_a_colon_is_valid_in_metric_names_only() -> None:
    assert series_selector("a:b", [], AI) == 'a:b{namespace="ai"}'
    with pytest.raises(ValueError, match="not a label name"):
        Matcher("a:b", MatchOperator.EQUAL, "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "1s"), (23400.0, "23400s"), (0.001, "1ms"), (90.5, "90500ms"), (0.1 + 0.2, "300ms")]
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("seconds", [0, -1, 0.0004, float("nan"), float("inf")])
def test_invalid_durations_are_rejected(seconds: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        format_duration(seconds)


def test_patterns_are_literal() -> None:
    assert any_of(["a.b", "c+", "x-y"]) == r"a\.b|c\+|x-y"


def test_chunks_are_bounded_by_the_number_of_names() -> None:
    chunks = list(chunk_pods([f"p{n:04}" for n in range(15)], 7, 1000))
    assert [len(c) for c in chunks] == [7, 7, 1]


def test_chunks_are_bounded_by_bytes() -> None:
    names = [f"{n:02}{'x' * 1000}" for n in range(40)]
    chunks = list(chunk_pods(names, 100, 16_000))
    assert [name for chunk in chunks for name in chunk] == names
    assert [len(c) for c in chunks] == [15, 15, 10]


def test_the_bytes_of_a_chunk_are_those_in_a_url() -> None:
    """A dot is escaped in the pattern, its backslash in the literal, and both backslashes in the URL."""
    assert [len(c) for c in chunk_pods(["a.b", "c.d", "e.f"], 100, 24)] == [2, 1]
    assert [len(c) for c in chunk_pods(["a.b", "c.d", "e.f"], 100, 23)] == [1, 1, 1]


@pytest.mark.parametrize("pod_length", [45, 63, 118, 253])
def test_a_query_has_at_most_16_kib(pod_length: int) -> None:
    """The default limit of VictoriaMetrics. The query of a load contains the names twice."""
    pods = [f"{n:0{pod_length}}" for n in range(450)]
    request = ReadRequest("ai", pods, SampleRange(3600.0, 60.0), 1e9, load_metric="http_requests_total")
    scope = QueryScope("ai", {"cluster": "prod-eu"})
    queries = [*plan_read(request, scope.match_labels), *plan_prefilter(scope, pods, (3600.0,))]
    assert max(len(q.expression) for q in queries) < 16 * 1024


def test_chunks_are_the_same_for_the_same_pods() -> None:
    assert list(chunk_pods(["b", "a", "b"], 100, 1000)) == [("a", "b")]
    assert list(chunk_pods([], 100, 1000)) == []
