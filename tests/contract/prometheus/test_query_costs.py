"""Bytes and samples of each query, as the store reports them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.errors import PrometheusUnavailableError
from tests.contract.prometheus.default_reads import prefilter, read
from tests.contract.prometheus.scripted_server import ScriptedServer, failing, matrix, one, responding

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.clients.prometheus.session import QueryCost

STATISTICS = {"timings": {"evalTotalTime": 0.1}, "samples": {"totalQueryableSamples": 12345, "peakSamples": 9}}
HIDDEN = '"totalQueryableSamples":999'


@pytest.fixture
def costs() -> list[tuple[str, QueryCost]]:
    return []


def client_of(server: ScriptedServer, costs: list[tuple[str, QueryCost]]) -> PrometheusClient:
    connections = Connections(connections={"default": Connection(url=server.url)})
    return PrometheusClient(connections, observe=lambda name, cost: costs.append((name, cost)))


@pytest.mark.parametrize(
    ("statistics", "samples"),
    [
        (STATISTICS, 12345),
        ({}, None),
        ({"seriesFetched": "1", "executionTimeMsec": 1}, None),
        ({"samples": {"totalQueryableSamples": -1}}, None),
        ({"samples": {"totalQueryableSamples": "many"}}, None),
        ({"samples": {"totalQueryableSamples": 10**30}}, None),
    ],
)
async def test_a_store_that_reports_samples_has_them_counted(
    serving: Callable[..., ScriptedServer], costs: list[tuple[str, QueryCost]], statistics: object, samples: int | None
) -> None:
    series = one(labels={"evil": HIDDEN})
    server = serving(with_statistics(statistics, series))
    client = client_of(server, costs)
    await read(client)
    client.close()
    assert {(name, cost.samples) for name, cost in costs} == {("default", samples)}
    assert len(costs) == len(server.requests)
    assert all(cost.response_bytes > 100 for _, cost in costs)


def with_statistics(statistics: object, *series: object) -> Callable[..., None]:
    data = {"resultType": "matrix", "result": list(series), "stats": statistics}
    return responding(200, json.dumps({"status": "success", "data": data}))


async def test_a_failed_query_has_no_cost(
    serving: Callable[..., ScriptedServer], costs: list[tuple[str, QueryCost]]
) -> None:
    client = client_of(serving(failing(422, "execution", "too many samples")), costs)
    with pytest.raises(PrometheusUnavailableError):
        await prefilter(client)
    client.close()
    assert costs == []


async def test_a_store_without_page_cache_is_queried_once_per_series(serving: Callable[..., ScriptedServer]) -> None:
    server = serving(matrix())
    client = client_of(server, [])
    await client.read("default", ReadRequest("ai", ["chat-1"], SampleRange(7200.0, 60.0), 1e9, detailed=["chat-1"]))
    client.close()
    asked = [r.form["query"] for r in server.requests]
    assert [sum(name in q for q in asked) for name in ("total_active_file", "memory_swap", "memory_rss")] == [1, 1, 2]
