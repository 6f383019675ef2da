"""A read by steps returns the minimum or maximum of each step, as computed here from the same samples."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.promql import ACTIVE_FILE, OOMS, SWAP
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.model.pod_names import PodPattern
from tests.contract.prometheus.sample_history import T0, SampleHistory, Samples, labels, pairs, record, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memroll.detection.samples import QueryResult, SeriesRow
    from tests.contract.prometheus.stores import Store

STEP = 60
END = T0 + 7200
RANDOM = np.random.default_rng(5)
OLD, NEW = "a" * 64, "b" * 64


def noisy(start_s: float, end_s: float, scrape_s: float) -> Samples:
    """Return scrapes of rising memory with garbage collection, at times that are a few milliseconds off."""
    times = np.arange(start_s + 3.217, end_s, scrape_s)
    times = times + RANDOM.integers(-9, 9, len(times)) / 1000
    values = 1e8 + 500 * (times - start_s) + RANDOM.integers(0, 10**7, len(times))
    return list(zip(times.round(3).tolist(), values.round().tolist(), strict=True))


HISTORY = SampleHistory()
KNOWN: dict[str, Samples] = {
    "every-15": record(HISTORY, "every-15", "1" * 64, noisy(T0, END, 15)),
    "every-30": record(HISTORY, "every-30", "2" * 64, noisy(T0, END, 30)),
    "every-60": record(HISTORY, "every-60", "3" * 64, noisy(T0, END, 60)),
    "gaps": record(HISTORY, "gaps", "4" * 64, [*noisy(T0, T0 + 3000, 15), *noisy(T0 + 4000, END, 15)]),
    "cliff": record(HISTORY, "cliff", "5" * 64, [(t, v if t < T0 + 4321 else v // 9) for t, v in noisy(T0, END, 15)]),
    "nameless": record(HISTORY, "nameless", "", noisy(T0, END, 30), node="a"),
    "cgroup": record(HISTORY, "cgroup", "", noisy(T0, END, 30), id=f"/k/cri-containerd-{'6' * 64}.scope"),
}
EDGE = record(HISTORY, "edge", "7" * 64, [(t, 1e6 + t - T0) for t in range(T0 - T0 % STEP + STEP, END, STEP)])
ENDED = record(HISTORY, "ended", "8" * 64, noisy(T0, T0 + 1000, 15))
BEFORE = record(HISTORY, "restarted", OLD, noisy(T0, T0 + 4000, 15))
AFTER = record(HISTORY, "restarted", NEW, noisy(T0 + 3700, END, 15))
ONE = record(HISTORY, "twice", "9" * 64, noisy(T0, END, 15), replica="one")
TWO = record(HISTORY, "twice", "9" * 64, noisy(T0, END, 15), replica="two")
KILLS = HISTORY.add(
    OOMS, labels("every-15", "1" * 64), [(t, float(n // 100)) for n, (t, _) in enumerate(KNOWN["every-15"])]
)
CACHE = HISTORY.add(ACTIVE_FILE, labels("every-15", "1" * 64), [(t, v // 3) for t, v in KNOWN["every-15"]])
SWAPPED = HISTORY.add(SWAP, labels("every-15", "1" * 64), [(t, v // 5) for t, v in KNOWN["every-15"]])
record(HISTORY, "every-15", OLD, noisy(T0, END, 15), namespace="other")
EARLIER = {"chat-7f9c-bcdfg", "chat-2b4d6f8h-vwxz2"}
for name in (*EARLIER, "chat-7f9c-bcdfg-x", "chat-side-7f9c-bcdfg", "chat-7f9c-bcdfgh", "chat-7f9c-bcda1", "chat-7f9c"):
    record(HISTORY, name, "", noisy(T0, T0 + 1000, 30))
record(HISTORY, "chat-7f9c-zzzzz", "", noisy(T0, T0 + 1000, 30), namespace="other")


@pytest.fixture(scope="module")
def address(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with store.serving(HISTORY, tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture
def client(address: str) -> Iterator[PrometheusClient]:
    made = PrometheusClient(Connections(connections={"default": Connection(url=f"http://{address}")}))
    yield made
    made.close()


async def read(
    client: PrometheusClient, *pods: str, at_s: float = END, lookback_s: float = 7200, step_s: float = STEP
) -> QueryResult:
    return await client.read("default", ReadRequest("ai", pods, SampleRange(lookback_s, step_s), at_s))


def only(reading: QueryResult) -> SeriesRow:
    [row] = reading.rows
    return row


def by_step(
    samples: Samples, extreme: Callable[..., float], at_s: float, lookback_s: float = 7200, step_s: float = STEP
) -> Samples:
    """Compute all complete steps except the last, and the raw samples after them. In milliseconds, to be exact."""
    step, at, start = round(step_s * 1000), round(at_s * 1000), round((at_s - lookback_s) * 1000)
    until = (at // step - 1) * step
    times, values = (np.array(column) for column in zip(*samples, strict=True))
    ends = -(-np.round(times * 1000).astype(np.int64) // step) * step
    steps = [e for e in np.unique(ends).tolist() if e - step >= start and e <= until]
    extremes = [(e / 1000, float(extreme(values[ends == e]))) for e in steps]
    return [*extremes, *within(samples, until / 1000, at_s)]


@pytest.mark.parametrize("pod", KNOWN)
@pytest.mark.parametrize("at_s", [END, END + 37.5, END - END % STEP, END - END % STEP + 0.001, T0 + 5003.998])
async def test_steps_are_the_minimum_of_rss_and_the_maximum_of_the_working_set(
    client: PrometheusClient, pod: str, at_s: float
) -> None:
    row = only(await read(client, pod, at_s=at_s))
    samples = KNOWN[pod]
    assert pairs(row.rss) == by_step(samples, np.min, at_s)
    assert pairs(row.working_set) == [(t, v + 4096) for t, v in by_step(samples, np.max, at_s)]
    assert row.last_s == max(t for t, _ in samples if t <= at_s), "the newest sample keeps its own time"


@pytest.mark.parametrize("at_s", [END, END + 37.5, T0 + 5003.998])
async def test_page_cache_and_swap_are_the_maximum_of_the_steps_of_the_working_set(
    client: PrometheusClient, at_s: float
) -> None:
    pods = ["every-15", "every-30"]
    request = ReadRequest("ai", pods, SampleRange(7200, STEP), at_s, detailed=["every-15"])
    cached, other = sorted((await client.read("default", request)).rows, key=lambda r: r.pod)
    assert pairs(cached.active_file) == by_step(CACHE, np.max, at_s)
    assert pairs(cached.swap) == by_step(SWAPPED, np.max, at_s)
    assert cached.active_file.times_s.tolist() == cached.working_set.times_s.tolist(), "pairs of one instant"
    assert (len(other.active_file), len(other.swap)) == (0, 0)


@pytest.mark.parametrize(("lookback_s", "step_s"), [(3000, 300), (1000, 7.5), (900.5, 0.25), (180, 60), (190, 60)])
async def test_any_range_and_step(client: PrometheusClient, lookback_s: float, step_s: float) -> None:
    at_s = END - 13.5
    row = only(await read(client, "every-15", at_s=at_s, lookback_s=lookback_s, step_s=step_s))
    assert pairs(row.rss) == by_step(KNOWN["every-15"], np.min, at_s, lookback_s, step_s)


@pytest.mark.parametrize("lookback_s", [45, 90, 120])
async def test_a_range_without_a_complete_step_is_raw(client: PrometheusClient, lookback_s: float) -> None:
    row = only(await read(client, "every-15", at_s=END, lookback_s=lookback_s))
    assert pairs(row.rss) == within(KNOWN["every-15"], END - lookback_s, END)


async def test_a_sample_at_the_edge_of_a_step_never_counts_early(client: PrometheusClient) -> None:
    """Prometheus 2 also counts it in the step that begins there, so the minimum lags by at most one step."""
    at_s = END - END % STEP + 30
    row = only(await read(client, "edge", at_s=at_s))
    expected = [(float(t), v) for t, v in EDGE if t - STEP >= at_s - 7200]
    assert pairs(row.working_set) == [(t, v + 4096) for t, v in expected]
    happened = {v: t for t, v in EDGE}
    assert {t - happened[v] for t, v in pairs(row.rss)} in ({0.0}, {0.0, float(STEP)})


async def test_future_samples_are_excluded(client: PrometheusClient) -> None:
    at_s = T0 + 5000
    row = only(await read(client, "every-15", at_s=at_s))
    assert at_s - 15 < row.last_s <= at_s


async def test_a_fast_clock_finds_the_last_sample_at_most_one_step_late(client: PrometheusClient) -> None:
    row = only(await read(client, "ended", at_s=T0 + 5000))
    assert pairs(row.rss) == by_step(ENDED, np.min, T0 + 5000)
    assert ENDED[-1][0] <= row.last_s < ENDED[-1][0] + STEP


async def test_overlapping_instances_are_two_rows(client: PrometheusClient) -> None:
    reading = await read(client, "restarted")
    old, new = (reading.row_for("restarted", "chat", found, T0) for found in (OLD, NEW))
    assert old is not None
    assert new is not None
    assert pairs(old.rss) == by_step(BEFORE, np.min, END)
    assert pairs(new.rss) == by_step(AFTER, np.min, END)


async def test_samples_of_two_prometheus_replicas_are_one_row(client: PrometheusClient) -> None:
    row = only(await read(client, "twice"))
    both = sorted([*ONE, *TWO])
    assert pairs(row.rss) == by_step(both, np.min, END)
    assert pairs(row.working_set) == [(t, v + 4096) for t, v in by_step(both, np.max, END)]


@pytest.mark.parametrize("step_s", [None, STEP])
async def test_oom_kills_are_counted(client: PrometheusClient, step_s: float | None) -> None:
    reading = await client.read("default", ReadRequest("ai", ["every-15", "every-30"], SampleRange(7200, step_s), END))
    expected = within(KILLS, END - 7200, END) if step_s is None else by_step(KILLS, np.max, END)
    kills = {r.pod: pairs(r.ooms) for r in reading.rows}
    assert kills == {"every-15": expected, "every-30": []}


async def test_earlier_pods_of_a_workload(client: PrometheusClient) -> None:
    like = [PodPattern("chat", 2)]
    reading = await client.read("default", ReadRequest("ai", ["gaps"], SampleRange(7200, STEP), END, like))
    assert {r.pod for r in reading.rows} == EARLIER | {"gaps"}
    assert reading.row_for("chat-7f9c", "chat", "", T0) is None


async def test_a_named_pod_that_also_matches_a_pattern_is_returned_once(client: PrometheusClient) -> None:
    like = [PodPattern("chat", 2), PodPattern("chat-7f9c", 1)]
    reading = await client.read("default", ReadRequest("ai", ["chat-7f9c-bcdfg"], SampleRange(7200, None), END, like))
    assert sorted(r.pod for r in reading.rows) == sorted(EARLIER)
    [named] = [r for r in reading.rows if r.pod == "chat-7f9c-bcdfg"]
    assert len(named.rss) == len(named.working_set) == 1 + 1000 // 30


@pytest.mark.parametrize("like", [(), (PodPattern("chat", 2), PodPattern("chat-side", 2))])
async def test_incremental_reads_return_what_full_ones_do(
    client: PrometheusClient, like: tuple[PodPattern, ...]
) -> None:
    pods = (*KNOWN, "edge", "ended", "restarted", "twice")
    for at_s in (T0 + 2000, T0 + 2300.5, T0 + 2300.5, T0 + 4300, END - END % STEP, END):
        full = ReadRequest("ai", pods, SampleRange(3600, STEP), at_s, like, detailed=("every-15", "gaps"))
        found = await client.read("default", replace(full, incremental=True))
        assert listed(found) == listed(await client.read("default", full)), at_s


def listed(found: QueryResult) -> list[tuple[object, ...]]:
    columns = ("rss", "working_set", "load", "ooms", "active_file", "swap")
    rows = [(r.pod, r.container_id, *(pairs(getattr(r, name)) for name in columns)) for r in found.rows]
    return sorted(rows, key=str)
