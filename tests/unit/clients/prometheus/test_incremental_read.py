"""Incremental reads: they change how much is read, never what is returned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from memroll.clients.prometheus import promql
from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.session import PrometheusSession
from memroll.detection.container_history import build_history
from memroll.detection.peer_steps import in_steps
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.model.pod_names import PodPattern
from tests.unit.clients.prometheus.sample_store import SampleStore, StoredSeries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.detection.samples import QueryResult, SeriesRow

T0 = 1_700_000_007.25
LENGTH_S = 7200.0
LOOKBACK_S = 1800.0
SCRAPE_S = 31.0
METRICS = (promql.RSS, promql.WORKING_SET, promql.OOMS, promql.CPU, promql.ACTIVE_FILE, promql.SWAP)
RUNNING = ("web-7f9c-bcdfg", "web-7f9c-zzzzz", "db-0")
EARLIER = ("web-7f9c-kkkkk", "web-5b4d-kkkkk")
PATTERN = PodPattern("web", 2)


def series_of(
    pod: str, container: str, id_: str, seed: int, span: tuple[float, float], **more: str
) -> list[StoredSeries]:
    """Return all metrics of one instance; one in ten scrapes failed, and one in ten samples arrives late."""
    random, found = np.random.default_rng(seed), []
    labels = {"namespace": "ai", "pod": pod, "container": container, **more} | ({"name": id_} if id_ else {})
    for n, metric in enumerate(METRICS):
        times = np.round(np.arange(T0 + span[0] + seed + n, T0 + span[1], SCRAPE_S), 3)
        times = times[random.random(times.size) > 0.1]
        pages = np.cumsum(random.integers(0, 900, times.size)).astype(float)
        values = {promql.OOMS: times // 2000, promql.CPU: pages / 7, promql.SWAP: np.zeros(times.size)}
        arrivals = times + np.where(random.random(times.size) < 0.1, 200.0, 1.0)
        found.append(StoredSeries(metric, labels, times, values.get(metric, pages * 4096), arrivals))
    return found


def fleet() -> list[StoredSeries]:
    whole = (0.0, LENGTH_S)
    return [
        *series_of(RUNNING[0], "app", "a" * 64, 1, whole),
        *series_of(RUNNING[0], "proxy", "b" * 64, 2, whole),
        *series_of(RUNNING[1], "app", "c" * 64, 3, (0.0, 4500.0)),
        *series_of(RUNNING[1], "app", "d" * 64, 4, (4600.0, LENGTH_S)),
        *series_of(RUNNING[2], "app", "", 5, whole, node="x"),
        *series_of(RUNNING[2], "app", "", 6, (0.0, 5200.0), node="y"),
        *series_of(EARLIER[0], "app", "e" * 64, 7, (0.0, 5000.0)),
        *series_of(EARLIER[1], "app", "f" * 64, 8, (0.0, 2500.0)),
        *series_of("other-7f9c-bcdfg", "app", "9" * 64, 9, whole),
        StoredSeries("hits_total", {"namespace": "ai", "pod": RUNNING[0]}, *ramp()),
    ]


def ramp() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    times = np.arange(T0, T0 + LENGTH_S, SCRAPE_S)
    return times, times - T0


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> SampleStore:
    made = SampleStore(fleet())
    monkeypatch.setattr(PrometheusSession, "query", lambda _, *parts: made.query(*parts))
    return made


@pytest.fixture
def client() -> Iterator[PrometheusClient]:
    made = PrometheusClient(Connections(connections={"default": Connection(url="http://p")}))
    yield made
    made.close()


def request_at(seconds: float, **changes: Any) -> ReadRequest:
    span = SampleRange(LOOKBACK_S, 60.0)
    made = ReadRequest("ai", RUNNING, span, T0 + seconds, (PATTERN,), detailed=RUNNING[:1], incremental=True)
    return replace(made, **changes)


async def read(client: PrometheusClient, store: SampleStore, request: ReadRequest) -> tuple[QueryResult, int]:
    """Return the result, and the number of samples that were touched."""
    store.now_s, before = request.at_s, store.touched
    return await client.read("default", request), store.touched - before


def listed(result: QueryResult) -> list[tuple[Any, ...]]:
    rows = sorted(result.rows, key=lambda r: (r.pod, r.container, r.container_id, r.rss.first_s))
    return [(r.pod, r.container, r.container_id, *columns(r)) for r in rows]


def columns(row: SeriesRow) -> Iterator[list[tuple[float, float]]]:
    for series in (row.rss, row.working_set, row.load, row.ooms, row.active_file, row.swap):
        yield list(zip(series.times_s.tolist(), series.values.tolist(), strict=True))


PASSES = [3000.0, 3300.0, 3300.0, 3607.5, 4800.0, 6500.0, 7199.0]


@pytest.mark.parametrize("load_metric", [None, "hits_total"])
async def test_an_incremental_read_returns_what_a_full_one_does(
    store: SampleStore, client: PrometheusClient, load_metric: str | None
) -> None:
    for seconds in PASSES:
        request = request_at(seconds, load_metric=load_metric)
        found, _ = await read(client, store, request)
        full, _ = await read(client, store, replace(request, incremental=False))
        assert listed(found) == listed(full), seconds
        assert len(found.rows) >= 4


async def test_each_step_is_read_once_it_can_no_longer_change(store: SampleStore, client: PrometheusClient) -> None:
    span = SampleRange(5400.0, 60.0)
    _, first = await read(client, store, request_at(6000.0, sample_range=span))
    _, second = await read(client, store, request_at(6300.0, sample_range=span))
    assert second < first / 4


async def test_containers_and_columns_that_are_not_requested_are_not_read(
    store: SampleStore, client: PrometheusClient
) -> None:
    containers = {RUNNING[0]: frozenset({"app"})}
    request = request_at(5000.0, containers=containers, memory_only=True, patterns=(), detailed=())
    found, _ = await read(client, store, request)
    assert {(r.pod, r.container) for r in found.rows} == {(pod, "app") for pod in RUNNING}
    assert all(len(s) == 0 for r in found.rows for s in (r.load, r.ooms, r.active_file, r.swap))
    assert not any(name in q for q in store.queries for name in (promql.CPU, promql.OOMS, promql.ACTIVE_FILE))


async def test_the_load_of_the_named_pods_only_is_read(store: SampleStore, client: PrometheusClient) -> None:
    """That of peers explains nothing, and it is the largest of the series that are kept."""
    whole, _ = await read(client, store, request_at(5000.0))
    found, _ = await read(client, store, request_at(5000.0, load_pods=RUNNING[:1]))
    load = 5
    expected = [row if row[0] == RUNNING[0] else (*row[:load], [], *row[load + 1 :]) for row in listed(whole)]
    assert listed(found) == expected
    assert any(row[load] for row in expected)


async def test_a_pod_that_has_ended_is_found_by_its_pattern_from_then_on(
    store: SampleStore, client: PrometheusClient
) -> None:
    """While it runs, the pattern excludes it; then all of its samples are read, not only the new ones."""
    await read(client, store, request_at(4800.0))
    request = request_at(5100.0, pods=(RUNNING[0], RUNNING[2]))
    found, _ = await read(client, store, request)
    full, _ = await read(client, store, replace(request, incremental=False))
    assert listed(found) == listed(full)
    assert RUNNING[1] in {r.pod for r in found.rows}


async def test_pods_that_are_read_by_name_are_not_read_by_pattern(store: SampleStore, client: PrometheusClient) -> None:
    await read(client, store, request_at(4200.0))
    by_pattern = [q for q in store.queries if "pod!~" in q]
    assert len(by_pattern) == 7, "steps and raw samples of RSS, working set and OOM kills, steps of the load"
    assert all(f'pod!~"{RUNNING[0]}|{RUNNING[1]}"' in q for q in by_pattern)


async def test_many_patterns_are_read_with_one_query(store: SampleStore, client: PrometheusClient) -> None:
    patterns = tuple(PodPattern(name, 2) for name in ("web", "other", "third"))
    found, _ = await read(client, store, request_at(4000.0, pods=RUNNING, patterns=patterns))
    assert "other-7f9c-bcdfg" in {r.pod for r in found.rows}
    steps = [q for q in store.queries if q.startswith("min_over_time")]
    assert len(steps) == 2, "one for the named pods and one for all patterns"


async def test_samples_that_a_store_gets_after_an_outage_are_read(store: SampleStore, client: PrometheusClient) -> None:
    """For 40 minutes nothing arrives, and then all of it, as a remote write does."""
    for series in store.series:
        assert series.arrivals is not None or series.metric == "hits_total"
        if series.arrivals is not None:
            during = (series.times > T0 + 4000) & (series.times < T0 + 6400)
            series.arrivals = np.where(during, T0 + 6400, series.arrivals)
    for seconds in (3800.0, 4300.0, 4900.0, 6300.0, 6600.0, 7100.0):
        request = request_at(seconds, sample_range=SampleRange(5400.0, 60.0))
        found, _ = await read(client, store, request)
        full, _ = await read(client, store, replace(request, incremental=False))
        assert listed(found) == listed(full), seconds


async def test_peers_are_read_in_steps_of_their_own(store: SampleStore, client: PrometheusClient) -> None:
    """In these steps, what is read of a peer is what all of its samples give; a candidate's samples are all there."""
    for seconds in PASSES:
        request = request_at(seconds, peers=RUNNING[1:], peer_step_s=300.0)
        found, _ = await read(client, store, request)
        full, _ = await read(client, store, request_at(seconds, incremental=False))
        compared = [r for r in listed(found) if r[0] == RUNNING[0]]
        assert compared == [r for r in listed(full) if r[0] == RUNNING[0]]
        assert len(compared) >= 2
        assert stepped(found) == stepped(full), seconds
    peers = [r for r in found.rows if r.pod in RUNNING[1:]]
    assert all(len(r.rss) < 30 for r in peers), "steps of five minutes of half an hour, and the newest samples"


def stepped(result: QueryResult) -> list[tuple[Any, ...]]:
    """Return all rows that have a sample in steps of five minutes."""
    rows = []
    for row in result.rows:
        peer = in_steps(build_history(row, T0, 2**30), 300.0, LOOKBACK_S, result.at_s)
        series = [list(zip(s.times_s.tolist(), s.values.tolist(), strict=True)) for s in (peer.rss, peer.working_set)]
        if any(series):
            rows.append((row.pod, row.container, row.container_id, *series, peer.oom_kills_s))
    return sorted(rows, key=str)


async def test_steps_of_peers_are_read_once_too(store: SampleStore, client: PrometheusClient) -> None:
    span = SampleRange(5400.0, 60.0)
    changes = {"sample_range": span, "peers": RUNNING, "peer_step_s": 300.0, "load_pods": (), "detailed": ()}
    _, first = await read(client, store, request_at(6000.0, **changes))
    _, second = await read(client, store, request_at(6300.0, **changes))
    assert second < first / 3
