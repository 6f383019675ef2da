"""A read by steps is the least or the greatest of each step, as worked out here from the same samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from memroll.clients.prometheus.client import PrometheusProvider
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.promql import OOMS
from memroll.detection.samples import PodPattern, Span
from tests.contract.prometheus.live import back_fill, running
from tests.contract.prometheus.recorded import T0, Past, Samples, labels, pairs, record, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memroll.detection.samples import Reading, SeriesRow

STEP = 60
END = T0 + 7200
RANDOM = np.random.default_rng(5)
OLD, NEW = "a" * 64, "b" * 64


def noisy(start_s: float, end_s: float, scrape_s: float) -> Samples:
    """Scrapes that are a few milliseconds off, of memory that rises and is collected."""
    times = np.arange(start_s + 3.217, end_s, scrape_s)
    times = times + RANDOM.integers(-9, 9, len(times)) / 1000
    values = 1e8 + 500 * (times - start_s) + RANDOM.integers(0, 10**7, len(times))
    return list(zip(times.round(3).tolist(), values.round().tolist(), strict=True))


PAST = Past()
KNOWN: dict[str, Samples] = {
    "every-15": record(PAST, "every-15", "1" * 64, noisy(T0, END, 15)),
    "every-30": record(PAST, "every-30", "2" * 64, noisy(T0, END, 30)),
    "every-60": record(PAST, "every-60", "3" * 64, noisy(T0, END, 60)),
    "gaps": record(PAST, "gaps", "4" * 64, [*noisy(T0, T0 + 3000, 15), *noisy(T0 + 4000, END, 15)]),
    "cliff": record(PAST, "cliff", "5" * 64, [(t, v if t < T0 + 4321 else v / 9) for t, v in noisy(T0, END, 15)]),
    "nameless": record(PAST, "nameless", "", noisy(T0, END, 30), node="a"),
    "cgroup": record(PAST, "cgroup", "", noisy(T0, END, 30), id=f"/k/cri-containerd-{'6' * 64}.scope"),
}
EDGE = record(PAST, "edge", "7" * 64, [(t, 1e6 + t - T0) for t in range(T0 - T0 % STEP + STEP, END, STEP)])
ENDED = record(PAST, "ended", "8" * 64, noisy(T0, T0 + 1000, 15))
BEFORE = record(PAST, "restarted", OLD, noisy(T0, T0 + 4000, 15))
AFTER = record(PAST, "restarted", NEW, noisy(T0 + 3700, END, 15))
ONE = record(PAST, "twice", "9" * 64, noisy(T0, END, 15), replica="one")
TWO = record(PAST, "twice", "9" * 64, noisy(T0, END, 15), replica="two")
KILLS = PAST.add(
    OOMS, labels("every-15", "1" * 64), [(t, float(n // 100)) for n, (t, _) in enumerate(KNOWN["every-15"])]
)
record(PAST, "every-15", OLD, noisy(T0, END, 15), namespace="other")
EARLIER = {"chat-7f9c-bcdfg", "chat-2b4d6f8h-vwxz2"}
for name in (*EARLIER, "chat-7f9c-bcdfg-x", "chat-side-7f9c-bcdfg", "chat-7f9c-bcdfgh", "chat-7f9c-bcda1", "chat-7f9c"):
    record(PAST, name, "", noisy(T0, T0 + 1000, 30))
record(PAST, "chat-7f9c-zzzzz", "", noisy(T0, T0 + 1000, 30), namespace="other")


@pytest.fixture(scope="module")
def address(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    back_fill(PAST, folder)
    with running(program, folder) as found:
        yield found


@pytest.fixture
def provider(address: str) -> Iterator[PrometheusProvider]:
    made = PrometheusProvider(Connections(connections={"default": Connection(url=f"http://{address}")}))
    yield made
    made.close()


async def read(
    provider: PrometheusProvider, *pods: str, at_s: float = END, lookback_s: float = 7200, step_s: float = STEP
) -> Reading:
    return await provider.read("default", "ai", pods, Span(lookback_s, step_s), at_s)


def only(reading: Reading) -> SeriesRow:
    [row] = reading.rows
    return row


def by_step(
    samples: Samples, extreme: Callable[..., float], at_s: float, lookback_s: float = 7200, step_s: float = STEP
) -> Samples:
    """Work out the whole steps but the last, and what is raw after them. In milliseconds, to be exact."""
    step, at, start = round(step_s * 1000), round(at_s * 1000), round((at_s - lookback_s) * 1000)
    until = (at // step - 1) * step
    times, values = (np.array(column) for column in zip(*samples, strict=True))
    ends = -(-np.round(times * 1000).astype(np.int64) // step) * step
    steps = [e for e in np.unique(ends).tolist() if e - step >= start and e <= until]
    least_or_most = [(e / 1000, float(extreme(values[ends == e]))) for e in steps]
    return [*least_or_most, *within(samples, until / 1000, at_s)]


@pytest.mark.parametrize("pod", KNOWN)
@pytest.mark.parametrize("at_s", [END, END + 37.5, END - END % STEP, END - END % STEP + 0.001, T0 + 5003.998])
async def test_the_least_of_memory_and_the_greatest_of_the_working_set(
    provider: PrometheusProvider, pod: str, at_s: float
) -> None:
    row = only(await read(provider, pod, at_s=at_s))
    samples = KNOWN[pod]
    assert pairs(row.rss) == by_step(samples, np.min, at_s)
    assert pairs(row.working_set) == [(t, v + 4096) for t, v in by_step(samples, np.max, at_s)]
    assert row.last_s == max(t for t, _ in samples if t <= at_s), "the newest sample keeps its own time"


@pytest.mark.parametrize(("lookback_s", "step_s"), [(3000, 300), (1000, 7.5), (900.5, 0.25), (180, 60), (190, 60)])
async def test_any_span_and_step(provider: PrometheusProvider, lookback_s: float, step_s: float) -> None:
    at_s = END - 13.5
    row = only(await read(provider, "every-15", at_s=at_s, lookback_s=lookback_s, step_s=step_s))
    assert pairs(row.rss) == by_step(KNOWN["every-15"], np.min, at_s, lookback_s, step_s)


@pytest.mark.parametrize("lookback_s", [45, 90, 120])
async def test_a_span_without_a_whole_step_to_thin_is_raw(provider: PrometheusProvider, lookback_s: float) -> None:
    row = only(await read(provider, "every-15", at_s=END, lookback_s=lookback_s))
    assert pairs(row.rss) == within(KNOWN["every-15"], END - lookback_s, END)


async def test_a_sample_on_the_edge_of_a_step_counts_then_and_never_before(provider: PrometheusProvider) -> None:
    """Prometheus 2 takes it for one of the step that begins there as well, so the least lags by one step at most."""
    at_s = END - END % STEP + 30
    row = only(await read(provider, "edge", at_s=at_s))
    expected = [(float(t), v) for t, v in EDGE if t - STEP >= at_s - 7200]
    assert pairs(row.working_set) == [(t, v + 4096) for t, v in expected]
    happened = {v: t for t, v in EDGE}
    assert {t - happened[v] for t, v in pairs(row.rss)} in ({0.0}, {0.0, float(STEP)})


async def test_samples_of_the_future_do_not_count(provider: PrometheusProvider) -> None:
    at_s = T0 + 5000
    row = only(await read(provider, "every-15", at_s=at_s))
    assert at_s - 15 < row.last_s <= at_s


async def test_a_clock_ahead_finds_the_end_at_most_a_step_late(provider: PrometheusProvider) -> None:
    row = only(await read(provider, "ended", at_s=T0 + 5000))
    assert pairs(row.rss) == by_step(ENDED, np.min, T0 + 5000)
    assert ENDED[-1][0] <= row.last_s < ENDED[-1][0] + STEP


async def test_instances_that_overlap_stay_two(provider: PrometheusProvider) -> None:
    reading = await read(provider, "restarted")
    old, new = (reading.row_for("restarted", "chat", found, T0) for found in (OLD, NEW))
    assert old is not None
    assert new is not None
    assert pairs(old.rss) == by_step(BEFORE, np.min, END)
    assert pairs(new.rss) == by_step(AFTER, np.min, END)


async def test_what_two_replicas_saw_is_one_row(provider: PrometheusProvider) -> None:
    row = only(await read(provider, "twice"))
    both = sorted([*ONE, *TWO])
    assert pairs(row.rss) == by_step(both, np.min, END)
    assert pairs(row.working_set) == [(t, v + 4096) for t, v in by_step(both, np.max, END)]


@pytest.mark.parametrize("step_s", [None, STEP])
async def test_kills_are_counted(provider: PrometheusProvider, step_s: float | None) -> None:
    reading = await provider.read("default", "ai", ["every-15", "every-30"], Span(7200, step_s), END)
    expected = within(KILLS, END - 7200, END) if step_s is None else by_step(KILLS, np.max, END)
    kills = {r.pod: pairs(r.ooms) for r in reading.rows}
    assert kills == {"every-15": expected, "every-30": []}


async def test_earlier_pods_of_a_workload(provider: PrometheusProvider) -> None:
    like = [PodPattern("chat", 2)]
    reading = await provider.read("default", "ai", ["gaps"], Span(7200, STEP), END, like)
    assert {r.pod for r in reading.rows} == EARLIER | {"gaps"}
    assert reading.row_for("chat-7f9c", "chat", "", T0) is None


async def test_a_pod_that_is_named_and_alike_comes_once(provider: PrometheusProvider) -> None:
    like = [PodPattern("chat", 2), PodPattern("chat-7f9c", 1)]
    reading = await provider.read("default", "ai", ["chat-7f9c-bcdfg"], Span(7200, None), END, like)
    assert sorted(r.pod for r in reading.rows) == sorted(EARLIER)
    [named] = [r for r in reading.rows if r.pod == "chat-7f9c-bcdfg"]
    assert len(named.rss) == len(named.working_set) == 1 + 1000 // 30
