"""Long histories of real stores are those that the backtest computes, and cost what the documentation states."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from memroll.backtest.policy import default_policy
from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.promql import ACTIVE_FILE, CPU, OOMS, SWAP
from memroll.detection.extremes import ExtremesRequest
from memroll.detection.long_history import step_extremes
from memroll.detection.parameters import build_parameters
from memroll.detection.prefilter import prefilter_windows_s
from memroll.detection.samples import ReadRequest, SampleRange, SlowBins
from memroll.detection.series import Series
from memroll.detection.slow_slopes import slow_bins, slow_slopes
from tests.contract.prometheus.sample_history import T0, SampleHistory, Samples, labels, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.clients.prometheus.session import QueryCost
    from memroll.detection.extremes import Extremes
    from tests.contract.prometheus.stores import Store

HOUR_S, DAY_S = 3600.0, 86400.0
DAYS = 4
END = T0 + DAYS * DAY_S
PARAMETERS = replace(build_parameters(default_policy(), None), threshold_bytes_per_s=1.0)
RANDOM = np.random.default_rng(9)
OLD, NEW = "a" * 64, "b" * 64
MAX_SAMPLES_PER_HOUR = 108_000
"""Maximum number of samples per container and hour that the store touches (issue of the second round)."""


def noisy(start_s: float, end_s: float, scrape_s: float = 60.0) -> Samples:
    """Return scrapes of rising memory, none of which is at the edge of a step."""
    times = np.arange(start_s + 3.217, end_s, scrape_s)
    values = 1e8 + 100 * (times - T0) + RANDOM.integers(0, 10**7, times.size)
    return list(zip(times.round(3).tolist(), values.round().tolist(), strict=True))


HISTORY = SampleHistory()
KNOWN: dict[str, Samples] = {
    "whole": record(HISTORY, "whole", "1" * 64, noisy(T0, END)),
    "gaps": record(HISTORY, "gaps", "2" * 64, [*noisy(T0, T0 + DAY_S), *noisy(T0 + 1.3 * DAY_S, END)]),
    "nameless": record(HISTORY, "nameless", "", noisy(T0, END, 300.0), node="a"),
}
BEFORE = record(HISTORY, "restarted", OLD, noisy(T0, T0 + 2.5 * DAY_S))
AFTER = record(HISTORY, "restarted", NEW, noisy(T0 + 2.5 * DAY_S, END))
record(HISTORY, "two", "3" * 64, KNOWN["whole"][::2], replica="one")
record(HISTORY, "two", "3" * 64, KNOWN["whole"][1::2], replica="two")
for name in (ACTIVE_FILE, SWAP, OOMS):
    HISTORY.add(name, labels("whole", "1" * 64), [(t, 0.0) for t, _ in KNOWN["whole"]])
HISTORY.add(CPU, labels("whole", "1" * 64), [(t, t - T0) for t, _ in KNOWN["whole"]])


@pytest.fixture(scope="module")
def address(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with store.serving(HISTORY, tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture
def costs() -> list[QueryCost]:
    return []


@pytest.fixture
def client(address: str, costs: list[QueryCost]) -> Iterator[PrometheusClient]:
    connections = Connections(connections={"default": Connection(url=f"http://{address}")})
    with closing(PrometheusClient(connections, observe=lambda _, cost: costs.append(cost))) as made:
        yield made


async def read(client: PrometheusClient, at_s: float, *pods: str) -> Extremes:
    return await client.read_extremes("default", ExtremesRequest("ai", pods, HOUR_S, DAYS * DAY_S, at_s))


def expected(samples: Samples, at_s: float) -> tuple[Series, Series]:
    """Return the minima and maxima of the complete steps at a time, whether or not a later sample is known."""
    until = [*((t, v) for t, v in samples if t <= at_s)]
    minima, maxima = step_extremes(Series.of([*until, (at_s + HOUR_S, 0.0)]), HOUR_S)
    return tuple(s.between(at_s - DAYS * DAY_S, at_s) for s in (minima, maxima))


@pytest.mark.parametrize("pod", ["whole", "gaps", "nameless", "two"])
@pytest.mark.parametrize("at_s", [END, END - 12_345.678])
async def test_the_steps_are_those_of_the_backtest(client: PrometheusClient, pod: str, at_s: float) -> None:
    [row] = (await read(client, at_s, pod)).rows
    minima, maxima = expected(KNOWN.get(pod, KNOWN["whole"]), at_s)
    assert row.minima.times_s.tolist() == row.maxima.times_s.tolist() == minima.times_s.tolist()
    assert row.minima.values.tolist() == minima.values.tolist()
    assert row.maxima.values.tolist() == maxima.values.tolist()


async def test_read_in_parts_it_is_the_same(client: PrometheusClient, address: str) -> None:
    pods = ("whole", "gaps", "restarted")
    for hours in (30.0, 29.99, 20.5, 1.0, 0.0):
        at_s = END - hours * HOUR_S
        found = await read(client, at_s, *pods)
        connections = Connections(connections={"default": Connection(url=f"http://{address}")})
        with closing(PrometheusClient(connections)) as fresh:
            again = await read(fresh, at_s, *pods)
        for pod, id_ in (("whole", "1" * 64), ("gaps", "2" * 64), ("restarted", NEW)):
            one, other = (e.row_for(pod, "chat", id_, T0) for e in (found, again))
            assert one is not None
            assert other is not None
            assert one.minima.times_s.tolist() == other.minima.times_s.tolist()
            assert one.minima.values.tolist() == other.minima.values.tolist()
            assert one.maxima.values.tolist() == other.maxima.values.tolist()


async def test_instances_are_kept_apart(client: PrometheusClient) -> None:
    found = await read(client, END, "restarted")
    new = found.row_for("restarted", "chat", NEW, T0 + 2.5 * DAY_S)
    assert new is not None
    assert new.minima.values.tolist() == expected(AFTER, END)[0].values.tolist()


async def test_slow_slopes_are_those_of_the_backtest(client: PrometheusClient) -> None:
    series = Series.of(KNOWN["whole"])
    for at_s in (END, END - 5000.5, T0 + 1.5 * DAY_S):
        result = await client.prefilter("default", "ai", ["whole"], (), at_s, slow_bins(PARAMETERS))
        found = [np.nan if s is None else s for s in result.rows[0].slow_slopes_bytes_per_s]
        assert found == pytest.approx(slow_slopes(series, PARAMETERS, np.array([at_s]))[:, 0].tolist(), nan_ok=True)


async def test_what_a_container_costs_in_an_hour(
    store: Store, client: PrometheusClient, costs: list[QueryCost]
) -> None:
    """At 60 s scrapes and one reconcile every 5 minutes; VictoriaMetrics does not report it."""
    windows_s, slow = prefilter_windows_s(PARAMETERS), slow_bins(PARAMETERS)
    await client.prefilter("default", "ai", ["whole"], windows_s, END, slow)
    if not store.is_prometheus:
        assert {c.samples for c in costs} == {None}
        return
    screening = sum(c.samples or 0 for c in costs)
    assert screening == pytest.approx(1695, abs=30), "near the limit: all windows, blocks for the long ones"
    for queried_s, bins, most in ((windows_s, slow, 300), (windows_s[:2], SlowBins(1.0, (), (), slow.block_s), 40)):
        costs.clear()
        await client.prefilter("default", "ai", ["whole"], queried_s, END + 300, bins)
        assert sum(c.samples or 0 for c in costs) <= most, "known blocks are not read again"
    costs.clear()
    sample_range = SampleRange.for_window(PARAMETERS.lookback_s, PARAMETERS.window_s)
    request = ReadRequest("ai", ["whole"], sample_range, END - 300, detailed=["whole"], incremental=True)
    await client.read("default", request)
    assert sum(c.samples or 0 for c in costs) == pytest.approx(20_130, abs=60), "a candidate with all series"
    costs.clear()
    await client.read("default", replace(request, at_s=END))
    assert sum(c.samples or 0 for c in costs) < 200, "known steps are not read again"
    costs.clear()
    long = ExtremesRequest("ai", ["whole"], PARAMETERS.long_step_s, PARAMETERS.long_lookback_s, END)
    await client.read_extremes("default", long)
    first = sum(c.samples or 0 for c in costs)
    assert first == pytest.approx(2 * DAYS * 1440, rel=0.03), "each sample of the history, for minima and maxima"
    costs.clear()
    await client.read_extremes("default", replace(long, at_s=END + HOUR_S))
    later = sum(c.samples or 0 for c in costs)
    assert later <= 4 * 60
    assert 12 * screening < MAX_SAMPLES_PER_HOUR / 4
