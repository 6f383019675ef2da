from __future__ import annotations

import pytest

from memroll.prometheus.queries import (
    PATTERN_BYTES_MAX,
    PODS_MAX,
    RSS,
    Matcher,
    Operator,
    any_of,
    chunked_pods,
    duration,
    memory_samples,
    selector,
)


def test_samples_of_some_pods() -> None:
    assert memory_samples(RSS, "ai", ["chat-1", "chat-2"], 90) == (
        'container_memory_rss{container!="",container!="POD",pod=~"chat-1|chat-2",namespace="ai"}[90s]'
    )


def test_samples_of_a_whole_namespace() -> None:
    assert memory_samples(RSS, "ai", None, 0.25) == (
        'container_memory_rss{container!="",container!="POD",namespace="ai"}[250ms]'
    )


def test_no_pods_are_no_question() -> None:
    with pytest.raises(ValueError, match="no pods"):
        memory_samples(RSS, "ai", [], 90)


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
    chunks = list(chunked_pods([f"p{n:04}" for n in range(2 * PODS_MAX + 1)]))
    assert [len(c) for c in chunks] == [PODS_MAX, PODS_MAX, 1]


def test_chunks_hold_so_many_bytes() -> None:
    names = [f"{n:02}{'x' * 1000}" for n in range(40)]
    chunks = list(chunked_pods(names))
    assert [name for chunk in chunks for name in chunk] == names
    assert all(len(any_of(c)) <= PATTERN_BYTES_MAX for c in chunks)
    assert len(chunks) == 3


def test_chunks_are_the_same_for_the_same_pods() -> None:
    assert list(chunked_pods(["b", "a", "b"])) == [("a", "b")]
    assert list(chunked_pods([])) == []
