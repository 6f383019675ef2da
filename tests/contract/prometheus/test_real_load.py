"""What a real Prometheus makes of counters: cores in use, requests per second, and nothing where there is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.clients.prometheus.client import PrometheusProvider
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.promql import CPU
from memroll.detection.samples import Span
from tests.contract.prometheus.live import back_fill, running
from tests.contract.prometheus.recorded import T0, Past, Samples, labels, pairs, ramp, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.detection.series import Series

END = T0 + 7200
RATE_S = 300.0
ID = {pod: f"{n}" * 64 for n, pod in enumerate(["steady", "young", "ended", "idle", "served"], start=1)}
SCRAPES = {"every-15": 15.0, "every-30": 30.0, "every-60": 60.0}


def counted(start_s: float, end_s: float, scrape_s: float, per_s: float) -> Samples:
    return [(t, round(7 + per_s * (t - start_s), 6)) for t, _ in ramp(start_s, end_s, scrape_s)]


PAST = Past()
for pod, scrape_s in SCRAPES.items():
    record(PAST, pod, "", ramp(T0 - 900, END, scrape_s))
    PAST.add(CPU, labels(pod, "", cpu="total"), counted(T0 - 900, END, scrape_s, 0.25))
record(PAST, "young", ID["young"], ramp(T0 + 4000, END))
PAST.add(CPU, labels("young", ID["young"], cpu="total"), counted(T0 + 4000, END, 15, 0.5))
record(PAST, "ended", ID["ended"], ramp(T0, T0 + 3000))
PAST.add(CPU, labels("ended", ID["ended"], cpu="total"), counted(T0, T0 + 3000, 15, 0.5))
record(PAST, "idle", ID["idle"], ramp(T0, END))
PAST.add(CPU, labels("gone", "f" * 64, cpu="total"), counted(T0, END, 15, 0.5))
for container in ("chat", "proxy"):
    record(PAST, "served", ID["served"], ramp(T0, END), container=container)
for code, per_s in (("200", 2.0), ("500", 0.5)):
    PAST.add("http_requests", {"namespace": "ai", "pod": "served", "code": code}, counted(T0 - 900, END, 15, per_s))
    PAST.add("http_requests", {"namespace": "other", "pod": "served", "code": code}, counted(T0 - 900, END, 15, 99))


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


async def load_of(provider: PrometheusProvider, pod: str, step_s: float | None = 60.0) -> Series:
    [row] = (await provider.read("default", "ai", [pod], Span(7200, step_s), END)).rows
    return row.load


@pytest.mark.parametrize("pod", SCRAPES)
@pytest.mark.parametrize("step_s", [None, 60.0, 300.0, 600.0])
async def test_the_cores_in_use(provider: PrometheusProvider, pod: str, step_s: float | None) -> None:
    load = await load_of(provider, pod, step_s)
    step = step_s or 60.0
    assert load.times_s.tolist() == [t for t in range(T0 - 400, END + 1) if t % step == 0 and t > T0]
    assert load.values == pytest.approx(0.25, rel=1e-6)


async def test_an_instance_does_not_begin_idle(provider: PrometheusProvider) -> None:
    """Its first rates would be of windows that it fills in part, and come out low."""
    load = await load_of(provider, "young")
    assert T0 + 4000 + RATE_S <= load.times_s[0] < T0 + 4000 + RATE_S + 60
    assert load.values == pytest.approx(0.5, rel=1e-6)


async def test_the_load_of_the_dead_ends_with_their_last_step(provider: PrometheusProvider) -> None:
    load = await load_of(provider, "ended")
    assert T0 + 3000 <= load.last_s < T0 + 3060
    assert load.values[:-1] == pytest.approx(0.5, rel=1e-6)


async def test_without_a_counter_there_is_no_load(provider: PrometheusProvider) -> None:
    assert pairs(await load_of(provider, "idle")) == []


async def test_a_counter_alone_is_no_instance(provider: PrometheusProvider) -> None:
    assert (await provider.read("default", "ai", ["gone"], Span(7200, 60), END)).rows == ()


async def test_requests_are_summed_up_by_pod(provider: PrometheusProvider) -> None:
    """Prometheus 3 remarks that the name does not end as a counter's should: that is no warning."""
    pods = ["served", "young"]
    reading = await provider.read("default", "ai", pods, Span(7200, 60), END, load_metric="http_requests")
    loads = {(r.pod, r.container): r.load for r in reading.rows}
    assert loads.keys() == {("served", "chat"), ("served", "proxy"), ("young", "chat")}
    assert len(loads["served", "chat"]) == 120
    assert loads["served", "chat"].values == pytest.approx(2.5, rel=1e-6)
    assert pairs(loads["served", "proxy"]) == pairs(loads["served", "chat"])
    assert len(loads["young", "chat"]) == 0, "what was asked for instead of the cores counts alone"


async def test_an_unknown_counter_is_no_load(provider: PrometheusProvider) -> None:
    reading = await provider.read("default", "ai", ["served"], Span(7200, 60), END, load_metric="nothing_total")
    assert [len(r.load) for r in reading.rows] == [0, 0]


async def test_a_counter_s_name_is_a_name(provider: PrometheusProvider) -> None:
    with pytest.raises(ValueError, match="not a metric name"):
        await provider.read("default", "ai", ["served"], Span(7200, 60), END, load_metric='a"} or {b="')
