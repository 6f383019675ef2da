"""Statistics of a real Prometheus equal those of numpy over the same samples."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pytest

from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.promql import RSS
from memroll.detection.block_slopes import block_means, block_window_s, count_blocks
from memroll.detection.prefilter import MIN_SAMPLES, least_squares_slopes
from memroll.detection.samples import NO_SLOW_BINS, ReadRequest, SampleRange, SlowBins
from memroll.detection.series import Series
from tests.contract.prometheus.sample_history import T0, SampleHistory, Samples, labels, pairs, ramp, record, within
from tests.contract.prometheus.scripted_server import Exchange, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memroll.detection.samples import PrefilterResult, PrefilterRow
    from tests.contract.prometheus.stores import Store

END = T0 + 7200
WINDOWS = (600.0, 3600.0, 7200.0)
SLOW = SlowBins(290.0, (1500.0, 4500.0))
"""Bins without a sample exactly at their start, which Prometheus 2 includes."""
RANDOM = np.random.default_rng(11)
OLD, NEW = "a" * 64, "b" * 64


def noisy(start_s: float, end_s: float, scrape_s: float) -> Samples:
    return [(t, round(v * 2000 - 2e11 + RANDOM.integers(10**7))) for t, v in ramp(start_s, end_s, scrape_s, 1e8 + 5e4)]


HISTORY = SampleHistory()
KNOWN: dict[str, Samples] = {
    "every-15": record(HISTORY, "every-15", "1" * 64, noisy(T0 + 7.204, END, 15)),
    "every-30": record(HISTORY, "every-30", "2" * 64, noisy(T0 + 7.204, END, 30)),
    "every-60": record(HISTORY, "every-60", "3" * 64, noisy(T0 + 7.204, END, 60)),
    "gaps": record(HISTORY, "gaps", "4" * 64, [*noisy(T0 + 1, T0 + 3000, 15), *noisy(T0 + 6900, END, 15)]),
    "cliff": record(
        HISTORY, "cliff", "5" * 64, [(t, v if t < T0 + 5000 else v / 9) for t, v in noisy(T0 + 1, END, 15)]
    ),
    "nameless": record(HISTORY, "nameless", "", noisy(T0 + 7.204, END, 30), node="a"),
}
BEFORE = record(HISTORY, "restarted", OLD, noisy(T0 + 1, T0 + 7000, 15))
AFTER = record(HISTORY, "restarted", NEW, noisy(T0 + 6800, END, 15))
TWO = record(HISTORY, "two", "6" * 64, ramp(END - 20, END, 15))
THREE = record(HISTORY, "three", "7" * 64, ramp(END - 40, END, 15))
ENDED = record(HISTORY, "ended", "8" * 64, ramp(T0 + 1, T0 + 6000))
record(HISTORY, "odd", "9" * 64, [(END - 30, 1.0), (END - 20, float("inf")), (END - 10, 3.0), (END - 5, float("inf"))])
record(HISTORY, "every-15", OLD, ramp(T0, END), namespace="other")
record(HISTORY, "every-15", OLD, ramp(T0, END), container="POD")
record(HISTORY, "every-15", "", ramp(T0, END), container="")
MANY = [f"many-{n:03}" for n in range(450)]
for name in MANY:
    record(HISTORY, name, "", ramp(END - 60, END))


@pytest.fixture(scope="module")
def address(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with store.serving(HISTORY, tmp_path_factory.mktemp("store")) as found:
        yield found


def client_of(address: str) -> PrometheusClient:
    return PrometheusClient(Connections(connections={"default": Connection(url=f"http://{address}")}))


class RunsPrefilter(Protocol):
    async def __call__(self, *pods: str, at_s: float = END, slow: SlowBins = NO_SLOW_BINS) -> PrefilterResult: ...


@pytest.fixture
def prefilter(address: str) -> Iterator[RunsPrefilter]:
    client = client_of(address)

    async def run_prefilter(*pods: str, at_s: float = END, slow: SlowBins = NO_SLOW_BINS) -> PrefilterResult:
        return await client.prefilter("default", "ai", pods, WINDOWS, at_s, slow)

    yield run_prefilter
    client.close()


def only(result: PrefilterResult) -> PrefilterRow:
    [row] = result.rows
    return row


def slope(samples: Samples) -> float:
    times, values = np.array(samples).T
    return float(np.polynomial.polynomial.polyfit(times - times[0], values, 1)[1])


@pytest.mark.parametrize("pod", KNOWN)
@pytest.mark.parametrize("at_s", [END, END - 1003.25])
async def test_slopes_equal_least_squares(prefilter: RunsPrefilter, pod: str, at_s: float) -> None:
    row = only(await prefilter(pod, at_s=at_s))
    shortest, counted, longest = (within(KNOWN[pod], at_s - w, at_s) for w in WINDOWS)
    is_known = len(counted) > 2
    expected = (
        pytest.approx(slope(p), rel=1e-6) if is_known and len(p) > 1 else None for p in (shortest, counted, longest)
    )
    assert row.slopes_bytes_per_s == tuple(expected)
    assert row.samples == len(counted)


@pytest.mark.parametrize("pod", ["every-15", "every-60", "nameless"])
@pytest.mark.parametrize("at_s", [END, END - 1003.25])
async def test_the_newest_sample_and_its_time(prefilter: RunsPrefilter, pod: str, at_s: float) -> None:
    row = only(await prefilter(pod, at_s=at_s))
    [newest_s, newest] = within(KNOWN[pod], T0, at_s)[-1]
    assert (row.last_s, row.rss_bytes, row.working_set_bytes) == (newest_s, newest, newest + 4096)


async def test_three_samples_make_a_slope_and_two_do_not(prefilter: RunsPrefilter) -> None:
    assert (len(TWO), len(THREE)) == (2, 3)
    rows = {r.pod: r for r in (await prefilter("two", "three")).rows}
    assert (rows["two"].slopes_bytes_per_s, rows["two"].samples) == ((None,) * 3, 2)
    assert rows["three"].slopes_bytes_per_s == pytest.approx((1024 / 15,) * 3)
    assert rows["three"].samples == 3


async def test_overlapping_instances_are_two_rows(prefilter: RunsPrefilter) -> None:
    result = await prefilter("restarted")
    old, new = (result.row_for("restarted", "chat", found, T0) for found in (OLD, NEW))
    assert old is not None
    assert new is not None
    counted = [len(within(s, END - 3600, END)) for s in (BEFORE, AFTER)]
    assert [old.samples, new.samples] == counted
    assert old.slopes_bytes_per_s[2] == pytest.approx(slope(BEFORE), rel=1e-6)
    assert new.slopes_bytes_per_s[2] == pytest.approx(slope(AFTER), rel=1e-6)
    assert result.row_for("restarted", "chat", "c" * 64, T0) is None


async def test_an_ended_instance_has_a_slope_and_no_newest_sample(prefilter: RunsPrefilter) -> None:
    row = only(await prefilter("ended"))
    assert (row.last_s, row.rss_bytes, row.working_set_bytes) == (-np.inf, None, None)
    assert row.slopes_bytes_per_s[0] is None, "no samples in the last ten minutes"
    assert row.slopes_bytes_per_s[2] == pytest.approx(slope(ENDED), rel=1e-6)


async def test_a_slow_clock_reads_past_samples(prefilter: RunsPrefilter) -> None:
    row = only(await prefilter("ended", at_s=T0 + 3000))
    assert T0 + 2980 < row.last_s <= T0 + 3000


async def test_without_an_id_no_window_reaches_back_before_the_start(prefilter: RunsPrefilter) -> None:
    result = await prefilter("nameless")
    row = result.row_for("nameless", "chat", "d" * 64, END - 3600)
    assert row is not None
    assert [s is None for s in row.slopes_bytes_per_s] == [False, False, True]


async def test_non_finite_samples_give_no_slope(prefilter: RunsPrefilter) -> None:
    row = only(await prefilter("odd"))
    assert (row.slopes_bytes_per_s, row.samples, row.rss_bytes) == ((None,) * 3, 4, None)


@pytest.mark.parametrize("pod", ["every-15", "every-60", "gaps", "cliff", "ended", "nameless"])
@pytest.mark.parametrize("at_s", [END, END - 1003.25, T0 + 1000])
async def test_slow_slopes_compare_minima_of_half_open_bins(prefilter: RunsPrefilter, pod: str, at_s: float) -> None:
    samples = KNOWN.get(pod, ENDED)
    row = only(await prefilter(pod, at_s=at_s, slow=SLOW))
    now, *before = (within(samples, at_s - o - SLOW.bin_s, at_s - o) for o in (0.0, *SLOW.offsets_s))
    minima = zip(SLOW.offsets_s, before, strict=True)
    expected = [(min(v for _, v in now) - min(v for _, v in b)) / o if now and b else None for o, b in minima]
    assert row.slow_slopes_bytes_per_s == tuple(None if e is None else pytest.approx(e) for e in expected)


@pytest.mark.parametrize("pod", ["every-15", "every-60", "cliff", "gaps", "nameless", "restarted"])
async def test_slopes_of_blocks_are_those_of_the_backtest(prefilter: RunsPrefilter, pod: str) -> None:
    """Prometheus 2 includes a sample exactly at the start of a block, which changes a slope by 1 %."""
    blocks = SlowBins(600.0, (), (), 100.0)
    for at_s in (END - 1803.25, END - 300, END):
        for row in (await prefilter(pod, at_s=at_s, slow=blocks)).rows:
            samples = KNOWN.get(pod) or (BEFORE if row.container_id == OLD else AFTER)
            series = Series.of(within(samples, T0, at_s))
            known = [np.nan if s is None else s for s in row.slopes_bytes_per_s]
            ends = Series(np.append(series.times_s, at_s + 100), np.append(series.values, 0.0))
            means = block_means(ends, 100.0)
            assert blocks.is_by_blocks(WINDOWS[1])
            expected = least_squares_slopes(means, block_window_s(WINDOWS[1], blocks), np.array([at_s]))
            few = count_blocks(means, blocks, np.array([at_s]))[0] < MIN_SAMPLES
            assert known[1] == pytest.approx(np.nan if few else expected[0], rel=0.02, nan_ok=True), (pod, at_s)


async def test_many_pods_are_all_returned(prefilter: RunsPrefilter) -> None:
    result = await prefilter(*MANY, "nobody")
    assert sorted(r.pod for r in result.rows) == MANY
    assert {r.samples for r in result.rows} == {4}


async def test_no_windows_and_no_pods(address: str) -> None:
    with closing(client_of(address)) as client:
        none = await client.prefilter("default", "ai", ["every-15"], [], END)
        assert (only(none).slopes_bytes_per_s, only(none).samples) == ((), 0)
        assert (await client.prefilter("default", "ai", [], WINDOWS, END)).rows == ()


class EndingContainerExporter:
    """Exposes one container until it ends."""

    def __init__(self) -> None:
        self.shows = True
        self.asked = 0

    def __call__(self, exchange: Exchange) -> None:
        self.asked += 1
        own = ",".join(f'{k}="{v}"' for k, v in labels("stale", "e" * 64).items() if k != "job")
        exchange.send(200, f"{RSS}{{{own}}} {self.asked}\n" if self.shows else "", Content_Type="text/plain")

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 20
        while self.asked < count:
            assert time.monotonic() < deadline, "no scrape"
            time.sleep(0.02)


async def test_a_series_missing_in_a_scrape_ends_at_once(store: Store, tmp_path: Path) -> None:
    """Without the staleness marker it would stay current for five minutes; the marker is no sample."""
    exporter = EndingContainerExporter()
    with (
        ScriptedServer([exporter]) as target,
        store.scraping(target.host, tmp_path) as address,
        closing(client_of(address)) as client,
    ):
        exporter.wait_for(5)
        exporter.shows = False
        shown = exporter.asked
        exporter.wait_for(shown + 3)
        store.flush(address)
        now_s = datetime.now(UTC).timestamp()  # noqa: TID251 - the server scrapes by the wall clock
        row = only(await client.prefilter("default", "ai", ["stale"], [300.0], now_s))
        read = await client.read("default", ReadRequest("ai", ["stale"], SampleRange(300.0, None), now_s))
    assert (row.rss_bytes, row.last_s) == (None, -np.inf)
    assert (row.slopes_bytes_per_s[0] or 0) > 0
    values = [v for _, v in pairs(read.rows[0].rss)]
    assert len(values) == row.samples
    assert set(values) <= set(range(1, shown + 1))
