"""Long histories: the cache changes how much is read, never what is returned."""

from __future__ import annotations

import json
import logging
import re
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.errors import QueryErrorReason
from memroll.clients.prometheus.long_history import (
    LATE_STEPS,
    RETRY_STEPS,
    UNUSED_STEPS,
    LongHistoryCache,
    StepExtremes,
)
from memroll.clients.prometheus.rows import InstanceKey
from memroll.clients.prometheus.session import PrometheusSession
from memroll.detection.extremes import Extremes, ExtremesRequest
from memroll.detection.long_history import step_extremes
from memroll.detection.series import Series
from memroll.errors import PrometheusUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.clients.prometheus.timeout import Timeout

STEP_S = 3600.0
LOOKBACK_S = 14 * 86400.0
T0 = 1_700_000_000 // 3600 * 3600.0
POD = "chat-1"
SUBQUERY = re.compile(r"^(min|max)_over_time\(.*pod=~\"([^\"]*)\".*\[3600s\]\)\[(\d+)s:3600s\]$")
Samples = list[tuple[float, float]]


def request_at(at_s: float, *pods: str, **changes: Any) -> ExtremesRequest:
    return replace(ExtremesRequest("ai", pods or (POD,), STEP_S, LOOKBACK_S, at_s), **changes)


def noisy(start_s: float, end_s: float, seed: int = 1) -> Samples:
    times = np.arange(start_s + 7.0, end_s, 300.0)
    return list(zip(times.tolist(), np.random.default_rng(seed).integers(1, 10**9, times.size).tolist(), strict=True))


class StepServer:
    """Prometheus that computes the steps of its samples; counts the steps of each query."""

    def __init__(self, by_instance: dict[tuple[str, str], Samples]) -> None:
        self.by_instance = by_instance
        self.asked: list[tuple[str, str, int]] = []
        self.error: Exception | None = None

    def query(self, text: str, at_s: float | None, _timeout: Timeout) -> str:
        if self.error is not None:
            raise self.error
        found = SUBQUERY.match(text)
        assert found is not None, text
        assert at_s is not None
        function, pods, window_s = found[1], found[2].split("|"), int(found[3])
        self.asked.append((function, found[2], window_s // 3600))
        data = {"resultType": "matrix", "result": list(self._result(function, pods, at_s, window_s))}
        return json.dumps({"status": "success", "data": data})

    def _result(self, function: str, pods: list[str], at_s: float, window_s: int) -> Iterator[dict[str, Any]]:
        for (pod, id_), samples in self.by_instance.items():
            known = Series.of([*samples, (at_s + STEP_S, 0.0)])  # a later sample, so that the last step is complete
            steps = step_extremes(known, STEP_S)[function == "max"].between(at_s - window_s, at_s)
            if pod in pods and len(steps):
                labels = {"namespace": "ai", "pod": pod, "container": "app", "name": id_}
                yield {
                    "metric": labels,
                    "values": [[t, str(v)] for t, v in zip(steps.times_s, steps.values, strict=True)],
                }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> StepServer:
    made = StepServer({(POD, "a" * 64): noisy(T0 - LOOKBACK_S, T0 + 2 * 86400)})
    monkeypatch.setattr(PrometheusSession, "query", made.query)
    return made


def client_of(url: str = "http://p") -> PrometheusClient:
    return PrometheusClient(Connections(connections={"default": Connection(url=url)}))


@pytest.fixture
def client() -> Iterator[PrometheusClient]:
    made = client_of()
    yield made
    made.close()


def content(found: Extremes) -> list[Any]:
    return sorted(
        (r.pod, r.container_id, r.minima.times_s.tolist(), r.minima.values.tolist(), r.maxima.values.tolist())
        for r in found.rows
    )


async def test_all_complete_steps_are_returned(server: StepServer, client: PrometheusClient) -> None:
    at_s = T0 + 1234.5
    [row] = (await client.read_extremes("default", request_at(at_s))).rows
    samples = Series.of(server.by_instance[POD, "a" * 64])
    minima, maxima = (s.between(at_s - LOOKBACK_S, T0) for s in step_extremes(samples, STEP_S))
    assert row.minima.times_s.tolist() == minima.times_s.tolist() == row.maxima.times_s.tolist()
    assert row.minima.values.tolist() == minima.values.tolist()
    assert row.maxima.values.tolist() == maxima.values.tolist()
    assert len(row.minima) == 14 * 24


async def test_each_step_is_read_once_and_again_only_soon_after_its_end(
    server: StepServer, client: PrometheusClient
) -> None:
    for minute in range(0, 8 * 60, 5):
        await client.read_extremes("default", request_at(T0 + 60.0 * minute))
    steps = [n for function, _, n in server.asked if function == "min"]
    assert steps[0] == 14 * 24
    assert set(steps[1:]) == {1}
    assert len(steps[1:]) <= 2 * 8, "a step is read at its end, and once more when it no longer changes"


async def test_a_cache_changes_nothing_that_is_returned(server: StepServer, client: PrometheusClient) -> None:
    for hours in (0.0, 0.05, 0.5, 1.0, 1.01, 3.99, 4.0, 30.2):
        request = request_at(T0 + hours * STEP_S)
        fresh = client_of()
        assert content(await client.read_extremes("default", request)) == content(
            await fresh.read_extremes("default", request)
        )
        fresh.close()


async def test_a_sample_that_arrives_late_is_not_lost(server: StepServer, client: PrometheusClient) -> None:
    at_s = T0 + 0.9 * LATE_STEPS * STEP_S
    await client.read_extremes("default", request_at(at_s))
    server.by_instance[POD, "a" * 64].append((T0 - 1.0, 0.5))
    [row] = (await client.read_extremes("default", request_at(at_s + 300))).rows
    assert row.minima.values[-1] == 0.5


async def test_a_new_instance_is_found_and_the_old_one_is_forgotten(
    server: StepServer, client: PrometheusClient
) -> None:
    await client.read_extremes("default", request_at(T0 + 600))
    server.by_instance[POD, "b" * 64] = noisy(T0 + 700, T0 + 86400, 2)
    server.by_instance[POD, "a" * 64] = noisy(T0 - LOOKBACK_S, T0 + 700)
    await client.read_extremes("default", request_at(T0 + 3 * STEP_S + 600))
    found = await client.read_extremes("default", request_at(T0 + 5 * STEP_S))
    row = found.row_for(POD, "app", "b" * 64, T0 + 700)
    assert row is not None
    assert row.minima.times_s.tolist() == [T0 + n * STEP_S for n in range(1, 6)]
    assert [r.container_id for r in found.rows] == ["b" * 64]


async def test_pods_that_were_read_before_need_their_new_steps_only(
    server: StepServer, client: PrometheusClient
) -> None:
    server.by_instance["chat-2", "c" * 64] = noisy(T0 - LOOKBACK_S, T0 + 86400)
    await client.read_extremes("default", request_at(T0 + 600))
    server.asked.clear()
    found = await client.read_extremes("default", request_at(T0 + STEP_S + 600, POD, "chat-2"))
    asked = sorted((pods, n) for function, pods, n in server.asked if function == "min")
    assert asked == [(POD, 1), ("chat-2", 14 * 24)]
    assert len(found.rows) == 2


async def test_without_room_a_pod_has_no_long_history_and_costs_no_query(server: StepServer) -> None:
    cache = LongHistoryCache(max_pods=1)
    assert set(cache.admit(request_at(T0, POD, "chat-2"))) == {POD}
    cache.store(request_at(T0), POD, {})
    assert set(cache.admit(request_at(T0 + 60, "chat-2"))) == set()
    assert set(cache.admit(request_at(T0 + UNUSED_STEPS * STEP_S + 1, "chat-2"))) == {"chat-2"}, "unused ones make room"


def test_a_step_of_a_container_takes_a_few_bytes() -> None:
    cache, count, steps = LongHistoryCache(), 100, int(LOOKBACK_S / STEP_S)
    random = np.random.default_rng(1)
    tracemalloc.start()
    try:
        for number in range(count):
            times = T0 - STEP_S * np.arange(steps)[::-1]
            minima, maxima = (Series(times, 4096.0 * random.integers(0, 2**15, steps)) for _ in range(2))
            key = InstanceKey(f"chat-{number}", "app", f"{number:064}", frozenset())
            cache.store(request_at(T0 + 600), key.pod, {key: StepExtremes(minima, maxima)})
        measured, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert measured / count < 1000 + 5 * steps


async def test_an_error_is_logged_once_and_nothing_is_read_for_a_while(
    server: StepServer, client: PrometheusClient, caplog: pytest.LogCaptureFixture
) -> None:
    server.error = PrometheusUnavailableError(QueryErrorReason.TOO_LARGE, "p sent too much")
    with caplog.at_level(logging.WARNING):
        for minute in (0, 3, 9):
            assert (await client.read_extremes("default", request_at(T0 + 60.0 * minute))).rows == ()
    assert [r.getMessage() for r in caplog.records] == ["assessing without long histories for 600 s: p sent too much"]
    server.error = None
    assert (await client.read_extremes("default", request_at(T0 + 599.0))).rows == ()
    assert len((await client.read_extremes("default", request_at(T0 + RETRY_STEPS * STEP_S))).rows) == 1


async def test_another_store_under_the_same_name_is_read_from_the_beginning(server: StepServer) -> None:
    current = {"url": "http://p"}
    client = PrometheusClient(lambda: Connections(connections={"default": Connection(**current)}))
    await client.read_extremes("default", request_at(T0 + 600))
    current["url"] = "http://q"
    await client.read_extremes("default", request_at(T0 + 660))
    assert [n for function, _, n in server.asked if function == "min"] == [14 * 24] * 2
    client.close()


async def test_a_clock_that_went_back_reads_what_it_needs(server: StepServer, client: PrometheusClient) -> None:
    await client.read_extremes("default", request_at(T0 + 10 * STEP_S))
    earlier = request_at(T0 + 600)
    [row] = (await client.read_extremes("default", earlier)).rows
    assert row.minima.last_s == earlier.end_s


async def test_without_pods_nothing_is_read(server: StepServer, client: PrometheusClient) -> None:
    assert (await client.read_extremes("default", replace(request_at(T0), pods=()))).rows == ()
    assert server.asked == []
