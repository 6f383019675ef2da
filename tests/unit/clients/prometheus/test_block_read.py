"""Slopes of long windows from the means of blocks: almost those of all samples, for a few samples of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from memroll.clients.prometheus import promql
from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.session import PrometheusSession
from memroll.detection.prefilter import least_squares_slopes, window_slopes
from memroll.detection.samples import SlowBins
from memroll.detection.series import Series
from tests.unit.clients.prometheus.sample_store import SampleStore, StoredSeries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.detection.samples import PrefilterResult, PrefilterRow

HOUR_S = 3600.0
T0 = 1_700_000_013.5
LENGTH_S = 26 * HOUR_S
SCRAPE_S = 30.0
WINDOWS = (6 * HOUR_S, 24 * HOUR_S, 2 * HOUR_S)
BLOCKS = SlowBins(1800.0, (), (), 600.0)


def ramp(seed: int, start_s: float = 0.0, end_s: float = LENGTH_S) -> Series:
    """Return a ramp under a sawtooth, with failed scrapes."""
    random = np.random.default_rng(seed)
    times = np.arange(T0 + start_s, T0 + end_s, SCRAPE_S)[random.random(int((end_s - start_s) / SCRAPE_S)) > 0.05]
    age = times - times[0]
    mib = 100 + seed * age / HOUR_S + 40 * (age % 1500) / 1500 + random.normal(0, 2, age.size)
    return Series(times, np.round(mib * 256) * 4096)


RAMPS = {"web-1": ramp(1), "web-2": ramp(2), "young": ramp(3, 25 * HOUR_S), "newborn": ramp(3, LENGTH_S - 900)}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> SampleStore:
    made = SampleStore()
    for n, (pod, samples) in enumerate(RAMPS.items()):
        labels = {"namespace": "ai", "pod": pod, "container": "app", "name": f"{n}" * 64}
        for metric in (promql.RSS, promql.WORKING_SET):
            made.series.append(StoredSeries(metric, labels, samples.times_s, samples.values, samples.times_s + 20))
    monkeypatch.setattr(PrometheusSession, "query", lambda _, *parts: made.query(*parts))
    return made


def new_client() -> PrometheusClient:
    return PrometheusClient(Connections(connections={"default": Connection(url="http://p")}))


@pytest.fixture
def client() -> Iterator[PrometheusClient]:
    made = new_client()
    yield made
    made.close()


async def run(client: PrometheusClient, store: SampleStore, at_s: float, blocks: SlowBins = BLOCKS) -> PrefilterResult:
    store.now_s, store.touched = at_s + 3600, 0
    return await client.prefilter("default", "ai", list(RAMPS), WINDOWS, at_s, blocks)


def by_pod(result: PrefilterResult) -> dict[str, PrefilterRow]:
    return {row.pod: row for row in result.rows}


@pytest.mark.parametrize("at_s", [T0 + LENGTH_S - 5, T0 + LENGTH_S - 1003.25])
async def test_slopes_are_those_that_the_backtest_computes(
    store: SampleStore, client: PrometheusClient, at_s: float
) -> None:
    for pod, row in by_pod(await run(client, store, at_s)).items():
        expected = window_slopes(RAMPS[pod], WINDOWS, np.array([at_s]), BLOCKS)[:, 0]
        known = [np.nan if s is None else s for s in row.slopes_bytes_per_s]
        assert known == pytest.approx(expected.tolist(), rel=1e-3, nan_ok=True), pod


async def test_slopes_are_those_of_the_samples_in_the_blocks(store: SampleStore, client: PrometheusClient) -> None:
    rows, last_s = by_pod(await run(client, store, T0 + LENGTH_S)), (T0 + LENGTH_S) // 600 * 600
    for pod in ("web-1", "web-2"):
        for window_s, slope in zip(WINDOWS[:2], rows[pod].slopes_bytes_per_s[:2], strict=True):
            first_s = np.ceil((T0 + LENGTH_S - window_s) / 600) * 600
            fitted = least_squares_slopes(RAMPS[pod], last_s - first_s, np.array([last_s]))
            assert slope == pytest.approx(fitted[0], rel=0.02)


async def test_without_three_blocks_no_slope_is_known(store: SampleStore, client: PrometheusClient) -> None:
    rows = by_pod(await run(client, store, T0 + LENGTH_S))
    assert [s is None for s in rows["young"].slopes_bytes_per_s] == [False, False, False]
    assert rows["newborn"].slopes_bytes_per_s == (None, None, None)
    assert rows["newborn"].samples < 3


async def test_known_blocks_give_what_a_restarted_operator_reads(store: SampleStore, client: PrometheusClient) -> None:
    for at_s in T0 + LENGTH_S + np.array([-4000.0, -3700.0, -3400.0, -1000.0, -1000.0, -1.0]):
        found = await run(client, store, float(at_s))
        again = new_client()
        assert by_pod(found) == by_pod(await run(again, store, float(at_s)))
        again.close()


async def test_a_run_touches_few_samples(store: SampleStore, client: PrometheusClient) -> None:
    """At 30 s scrapes, deriv takes 720 and 2,880 samples of a container for each run."""
    far, touched = WINDOWS[:2], []
    for n in range(7):
        store.touched = 0
        at_s = T0 + LENGTH_S - 1800 + 300 * n
        await client.prefilter("default", "ai", ["web-1"], far, at_s, BLOCKS)
        touched.append(store.touched)
    assert touched[0] < 3000
    assert np.mean(touched[1:]) < 40
