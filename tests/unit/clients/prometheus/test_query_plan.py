from __future__ import annotations

import pytest

from memroll.clients.prometheus.query_plan import (
    READ_PODS_MAX,
    SCREEN_PODS_MAX,
    Column,
    Question,
    Wanted,
    Window,
    of_read,
    of_screening,
    pods_per_query,
)
from memroll.detection.samples import PodPattern, Span

AT = 1_000_030.0
RSS = 'container_memory_rss{container!="",container!="POD",pod=~"p",namespace="ai"}'
OOMS = RSS.replace("memory_rss", "oom_events_total")
WORKING_SET = RSS.replace("rss", "working_set_bytes")


def wanted(
    step_s: float | None, lookback_s: float = 3600.0, *like: PodPattern, load_metric: str | None = None
) -> Wanted:
    return Wanted("ai", ("p",), like, Span(lookback_s, step_s), AT, load_metric)


def memory(question: Question) -> bool:
    return question.column is not Column.LOAD


def test_a_screening_asks_three_figures_and_two_of_each_window() -> None:
    assert [q.query for q in of_screening("ai", ["p"], [60.0, 600.0])] == [
        f"deriv({RSS}[60s])",
        f"count_over_time({RSS}[60s])",
        f"deriv({RSS}[600s])",
        f"count_over_time({RSS}[600s])",
        RSS,
        WORKING_SET,
        f"timestamp({RSS})",
    ]


def test_a_screening_asks_in_chunks() -> None:
    pods = [f"p{n:04}" for n in range(SCREEN_PODS_MAX + 1)]
    questions = list(of_screening("ai", pods, [60.0]))
    assert len(questions) == 2 * 5
    assert [q.asked.holds(pods[0]) for q in questions] == [True] * 5 + [False] * 5


def test_raw_samples() -> None:
    *of_memory, load = of_read(wanted(None))
    assert [q.query for q in of_memory] == [f"{m}[3600s]" for m in (RSS, WORKING_SET, OOMS)]
    assert {(q.at_s, q.window) for q in of_memory} == {(AT, Window(AT - 3600, AT))}
    assert load.query.endswith("[3600s:60s]")


def test_steps_and_the_raw_samples_after_them() -> None:
    """The epoch's steps of a minute end at 1,000,020: that one and what follows are raw, the ones before are whole."""
    steps, raw = [q for q in of_read(wanted(60.0)) if q.column is Column.RSS]
    assert (steps.query, steps.at_s) == (f"min_over_time({RSS}[60s])[3530s:60s]", 999_960.0)
    assert steps.window == Window(AT - 3600 + 60 - 0.001, 999_960.0)
    assert (raw.query, raw.at_s, raw.window) == (f"{RSS}[70s]", AT, Window(999_960.0, AT))


def test_the_greatest_of_the_working_set_and_of_kills() -> None:
    queries = [q.query for q in of_read(wanted(60.0)) if q.query.startswith("max")]
    assert [q.partition("[")[0] for q in queries] == [f"max_over_time({WORKING_SET}", f"max_over_time({OOMS}"]


@pytest.mark.parametrize(("lookback_s", "asks"), [(30.0, 1), (129.0, 1), (130.0, 2), (131.0, 2)])
def test_steps_are_asked_for_only_where_a_whole_one_fits(lookback_s: float, asks: int) -> None:
    assert len([q for q in of_read(wanted(60.0, lookback_s)) if q.column is Column.RSS]) == asks


def test_load_is_that_of_the_cores_or_of_the_metric_named() -> None:
    cores, requests = list(of_read(wanted(120.0)))[-1], list(of_read(wanted(120.0, load_metric="hits_total")))[-1]
    assert (cores.column, requests.column) == (Column.LOAD, Column.POD_LOAD)
    assert cores.query.startswith("(rate(container_cpu_usage_seconds_total{")
    assert requests.query.startswith('(sum by (namespace, pod) (rate(hits_total{pod=~"p",namespace="ai"}[300s]))')
    assert [q.query.endswith("[3600s:120s]") for q in (cores, requests)] == [True, True]


@pytest.mark.parametrize(
    ("span", "pods"),
    [
        (Span(900.0, None), READ_PODS_MAX),
        (Span(6.5 * 3600, None), 80),
        (Span(30 * 3600.0, 60.0), 69),
        (Span(30 * 3600.0, 300.0), READ_PODS_MAX),
        (Span(365 * 86400.0, 1.0), 1),
    ],
)
def test_the_more_points_the_fewer_pods_in_a_query(span: Span, pods: int) -> None:
    assert pods_per_query(span) == pods


def test_pods_that_are_alike_come_after_those_that_are_named_and_never_twice() -> None:
    pods = ["chat-bcdfg", "chat-7f9c-bcdfg", "chat-7f9c-zzzzz", "other-bcdfg"]
    like = (PodPattern("chat", 2), PodPattern("chat-7f9c", 1), PodPattern("chat", 1))
    read = Wanted("ai", ("chat-7f9c-zzzzz",), like, Span(3600.0, None), AT, None)
    asked = [q.asked for q in of_read(read) if q.column is Column.RSS]
    assert [[p for p in pods if a.holds(p)] for a in asked] == [
        ["chat-7f9c-zzzzz"],
        ["chat-7f9c-bcdfg"],
        [],
        ["chat-bcdfg"],
    ]
    assert asked[3].matcher.value == "chat-[bcdfghjklmnpqrstvwxz2456789]{5}"
