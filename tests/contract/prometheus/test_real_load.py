"""Load read from a real Prometheus: CPU in cores, requests per second, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.promql import CPU
from memroll.detection.samples import ReadRequest, SampleRange
from tests.contract.prometheus.sample_history import T0, SampleHistory, Samples, labels, pairs, ramp, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.detection.series import Series
    from tests.contract.prometheus.stores import Store

END = T0 + 7200
RATE_S = 300.0
ID = {pod: f"{n}" * 64 for n, pod in enumerate(["steady", "young", "ended", "idle", "served"], start=1)}
SCRAPES = {"every-15": 15.0, "every-30": 30.0, "every-60": 60.0}


def counted(start_s: float, end_s: float, scrape_s: float, per_s: float) -> Samples:
    return [(t, round(7 + per_s * (t - start_s), 6)) for t, _ in ramp(start_s, end_s, scrape_s)]


HISTORY = SampleHistory()
for pod, scrape_s in SCRAPES.items():
    record(HISTORY, pod, "", ramp(T0 - 900, END, scrape_s))
    HISTORY.add(CPU, labels(pod, "", cpu="total"), counted(T0 - 900, END, scrape_s, 0.25))
record(HISTORY, "young", ID["young"], ramp(T0 + 4000, END))
HISTORY.add(CPU, labels("young", ID["young"], cpu="total"), counted(T0 + 4000, END, 15, 0.5))
record(HISTORY, "ended", ID["ended"], ramp(T0, T0 + 3000))
HISTORY.add(CPU, labels("ended", ID["ended"], cpu="total"), counted(T0, T0 + 3000, 15, 0.5))
record(HISTORY, "idle", ID["idle"], ramp(T0, END))
HISTORY.add(CPU, labels("gone", "f" * 64, cpu="total"), counted(T0, END, 15, 0.5))
for container in ("chat", "proxy"):
    record(HISTORY, "served", ID["served"], ramp(T0, END), container=container)
for code, per_s in (("200", 2.0), ("500", 0.5)):
    HISTORY.add("http_requests", {"namespace": "ai", "pod": "served", "code": code}, counted(T0 - 900, END, 15, per_s))
    HISTORY.add("http_requests", {"namespace": "other", "pod": "served", "code": code}, counted(T0 - 900, END, 15, 99))


@pytest.fixture(scope="module")
def address(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with store.serving(HISTORY, tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture
def client(address: str) -> Iterator[PrometheusClient]:
    made = PrometheusClient(Connections(connections={"default": Connection(url=f"http://{address}")}))
    yield made
    made.close()


async def load_of(client: PrometheusClient, pod: str, step_s: float | None = 60.0) -> Series:
    [row] = (await client.read("default", ReadRequest("ai", [pod], SampleRange(7200, step_s), END))).rows
    return row.load


@pytest.mark.parametrize("pod", SCRAPES)
@pytest.mark.parametrize("step_s", [None, 60.0, 300.0, 600.0])
async def test_load_is_the_cpu_in_cores(client: PrometheusClient, pod: str, step_s: float | None) -> None:
    load = await load_of(client, pod, step_s)
    step = step_s or 60.0
    assert load.times_s.tolist() == [t for t in range(T0 - 400, END + 1) if t % step == 0 and t > T0]
    assert load.values == pytest.approx(0.25, rel=1e-6)


async def test_the_load_of_an_instance_has_no_incomplete_first_rates(client: PrometheusClient) -> None:
    """Its first rates would cover incomplete windows, and be too low."""
    load = await load_of(client, "young")
    assert T0 + 4000 + RATE_S <= load.times_s[0] < T0 + 4000 + RATE_S + 60
    assert load.values == pytest.approx(0.5, rel=1e-6)


async def test_the_load_of_an_ended_instance_ends_with_its_last_step(client: PrometheusClient) -> None:
    load = await load_of(client, "ended")
    assert T0 + 3000 <= load.last_s < T0 + 3060
    assert load.values[:-1] == pytest.approx(0.5, rel=1e-6)


async def test_without_a_counter_there_is_no_load(client: PrometheusClient) -> None:
    assert pairs(await load_of(client, "idle")) == []


async def test_a_counter_without_memory_is_no_instance(client: PrometheusClient) -> None:
    assert (await client.read("default", ReadRequest("ai", ["gone"], SampleRange(7200, 60), END))).rows == ()


async def test_requests_are_summed_by_pod(client: PrometheusClient) -> None:
    """Prometheus 3 adds a hint that the name has no suffix of a counter: a hint is no warning."""
    pods = ["served", "young"]
    reading = await client.read(
        "default", ReadRequest("ai", pods, SampleRange(7200, 60), END, load_metric="http_requests")
    )
    loads = {(r.pod, r.container): r.load for r in reading.rows}
    assert loads.keys() == {("served", "chat"), ("served", "proxy"), ("young", "chat")}
    assert len(loads["served", "chat"]) == 120
    assert loads["served", "chat"].values == pytest.approx(2.5, rel=3.4e-4), "as it is rounded (design note 0025)"
    assert pairs(loads["served", "proxy"]) == pairs(loads["served", "chat"])
    assert len(loads["young", "chat"]) == 0, "the configured metric replaces the CPU"


async def test_an_unknown_counter_gives_no_load(client: PrometheusClient) -> None:
    reading = await client.read(
        "default", ReadRequest("ai", ["served"], SampleRange(7200, 60), END, load_metric="nothing_total")
    )
    assert [len(r.load) for r in reading.rows] == [0, 0]


async def test_an_invalid_counter_name_is_rejected(client: PrometheusClient) -> None:
    with pytest.raises(ValueError, match="not a metric name"):
        await client.read(
            "default", ReadRequest("ai", ["served"], SampleRange(7200, 60), END, load_metric='a"} or {b="')
        )
