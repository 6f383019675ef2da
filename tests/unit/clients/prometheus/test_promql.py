from __future__ import annotations

import pytest

from memroll.clients.prometheus.promql import (
    CPU,
    PATTERN_BYTES_MAX,
    RSS,
    Matcher,
    Operator,
    any_of,
    chunked_pods,
    cpu_rate,
    duration,
    like,
    of_containers,
    over_time,
    pod_rate,
    samples,
    selector,
    stepped,
)
from memroll.detection.samples import PodPattern

PODS = Matcher("pod", Operator.MATCHES, any_of(["chat-1", "chat-2"]))
SELECTED = 'container_memory_rss{container!="",container!="POD",pod=~"chat-1|chat-2",namespace="ai"}'


def test_samples_of_some_pods() -> None:
    assert samples(of_containers(RSS, "ai", PODS), 90) == f"{SELECTED}[90s]"


def test_the_least_of_each_step() -> None:
    assert stepped(over_time("min_over_time", SELECTED, 60), 3600, 60) == f"min_over_time({SELECTED}[60s])[3600s:60s]"


@pytest.mark.parametrize(("step_s", "window"), [(15, "300s"), (60, "300s"), (300, "300s"), (900, "900s")])
def test_a_rate_holds_five_scrapes_of_a_minute_and_skips_no_step(step_s: float, window: str) -> None:
    counter = SELECTED.replace(RSS, CPU)
    assert cpu_rate("ai", PODS, step_s) == f"(rate({counter}[{window}]) and {counter} offset {window})"


def test_the_requests_of_pods() -> None:
    counter = 'http_requests_total{pod=~"chat-1|chat-2",namespace="ai"}'
    assert pod_rate("http_requests_total", "ai", PODS, 60) == (
        f"(sum by (namespace, pod) (rate({counter}[300s])) and sum by (namespace, pod) ({counter} offset 300s))"
    )
    with pytest.raises(ValueError, match="not a metric name"):
        pod_rate("a or b", "ai", PODS, 60)


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (PodPattern("chat", 1), "chat-[bcdfghjklmnpqrstvwxz2456789]{5}"),
        (PodPattern("a.b", 2), r"a\.b-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[bcdfghjklmnpqrstvwxz2456789]{5}"),
    ],
)
def test_generated_names(pattern: PodPattern, written: str) -> None:
    assert like(pattern) == written


def test_the_namespace_comes_last_whatever_came_before() -> None:
    tricks = [Matcher("namespace", Operator.DIFFERS, "x"), Matcher("a", Operator.NOT_EQUAL, '"} or {a="')]
    assert selector("m", tricks, "ai") == 'm{namespace!~"x",a!="\\"} or {a=\\"",namespace="ai"}'


@pytest.mark.parametrize("name", ["", "a b", "a{", "1a", "a\n", "é", 'a"', "a-b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="not a metric name"):
        selector(name, [], "ai")
    with pytest.raises(ValueError, match="not a label name"):
        Matcher(name, Operator.EQUAL, "")


def test_a_colon_is_for_metrics_only() -> None:
    assert selector("a:b", [], "ai") == 'a:b{namespace="ai"}'
    with pytest.raises(ValueError, match="not a label name"):
        Matcher("a:b", Operator.EQUAL, "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "1s"), (23400.0, "23400s"), (0.001, "1ms"), (90.5, "90500ms"), (0.1 + 0.2, "300ms")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("seconds", [0, -1, 0.0004, float("nan"), float("inf")])
def test_durations_that_are_none(seconds: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        duration(seconds)


def test_patterns_are_literal() -> None:
    assert any_of(["a.b", "c+", "x-y"]) == r"a\.b|c\+|x-y"


def test_chunks_hold_so_many_names() -> None:
    chunks = list(chunked_pods([f"p{n:04}" for n in range(15)], 7))
    assert [len(c) for c in chunks] == [7, 7, 1]


def test_chunks_hold_so_many_bytes() -> None:
    names = [f"{n:02}{'x' * 1000}" for n in range(40)]
    chunks = list(chunked_pods(names, 100))
    assert [name for chunk in chunks for name in chunk] == names
    assert all(len(any_of(c)) <= PATTERN_BYTES_MAX for c in chunks)
    assert len(chunks) == 3


def test_chunks_are_the_same_for_the_same_pods() -> None:
    assert list(chunked_pods(["b", "a", "b"], 100)) == [("a", "b")]
    assert list(chunked_pods([], 100)) == []
