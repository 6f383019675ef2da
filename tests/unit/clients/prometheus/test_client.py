"""No query of memroll lacks the labels of its connection."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from memroll.api.policy import LoadSpec
from memroll.backtest import policy, prometheus_traces
from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.session import PrometheusSession
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.errors import TerminalError
from memroll.model.pod_names import PodPattern

if TYPE_CHECKING:
    from memroll.clients.prometheus.timeout import Timeout

SELECTOR = re.compile(r"[a-zA-Z_:]+\{(.*?)\}(?=[\[)\s]|$)")
WITHOUT_SELECTOR = "vector(1)"
LABELS = {"cluster": "prod-eu", "region": "a"}


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the queries that are sent; each of the backtest's has one pod as its result, all others are empty."""
    sent: list[str] = []

    def query(_session: PrometheusSession, text: str, _at_s: float | None, _timeout: Timeout) -> str:
        sent.append(text)
        kind = "matrix" if re.search(r"\[[^\]]+\](?!\))|\]$", text) else "vector"
        value: dict[str, Any] = {"metric": {"pod": "chat-1"}, "value": [1, "1"]}
        result = [value] if text.startswith("count by (pod)") or text == WITHOUT_SELECTOR else []
        return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}})

    monkeypatch.setattr(PrometheusSession, "query", query)
    return sent


def assert_each_has_the_labels(queries: list[str], count: int) -> None:
    assert len(queries) >= count
    for query in queries:
        selectors = SELECTOR.findall(query)
        assert len(selectors) == query.count("namespace=") >= 1, query
        for selector in selectors:
            assert selector.endswith(',cluster="prod-eu",region="a",namespace="ai"'), query


@pytest.mark.parametrize("load_metric", [None, "requests_total"])
async def test_every_query_of_the_operator(queries: list[str], load_metric: str | None) -> None:
    connection = Connection(url="http://p", match_labels=LABELS)
    client = PrometheusClient(Connections(connections={"default": connection}))
    await client.prefilter("default", "ai", ["chat-1"], (60.0,), 1e9)
    patterns = (PodPattern("chat", 1),)
    for step_s in (60.0, None):
        span = SampleRange(3600.0, step_s)
        await client.read("default", ReadRequest("ai", ["chat-1"], span, 1e9, patterns, load_metric))
    assert await client.read_gauge("default", "ai", "chat-1", "connections", 0.0) is None
    assert_each_has_the_labels(queries, 20)
    await client.ping("default")
    assert queries[-1] == WITHOUT_SELECTOR, "the only query that selects no series"
    client.close()


@pytest.mark.parametrize("load_metric", [None, "requests_total"])
def test_every_query_of_a_backtest(queries: list[str], load_metric: str | None) -> None:
    replayed = policy.default_policy()
    if load_metric:
        spec = replayed.spec.model_copy(update={"load": LoadSpec(metric=load_metric)})
        replayed = replayed.model_copy(update={"spec": spec})
    scope = prometheus_traces.HistoryScope("http://p", "ai", 48 * 3600.0, "chat", LABELS)
    with pytest.raises(TerminalError, match="has no container_memory_rss"):
        prometheus_traces.read(scope, replayed, 1e9, lambda _: None)
    assert_each_has_the_labels(queries, 20)


def test_an_invalid_label_of_a_backtest_names_the_option() -> None:
    scope = prometheus_traces.HistoryScope("http://p", "ai", 3600.0, match_labels={"a-b": "c"})
    with pytest.raises(TerminalError, match="--match-label"):
        prometheus_traces.read(scope, policy.default_policy(), 1e9, lambda _: None)
