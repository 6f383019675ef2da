"""VictoriaMetrics hides the samples of the last 30 s by default: queries request them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.detection.samples import ReadRequest, SampleRange
from tests.contract.prometheus.sample_history import SampleHistory, Samples, pairs, record
from tests.contract.prometheus.stores import VICTORIA_METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRAPE_S = 5
STEP_S = 10.0


def now_s() -> float:
    return round(datetime.now(UTC).timestamp(), 3)  # noqa: TID251 - the server hides samples by the wall clock


@pytest.fixture(scope="module")
def recent() -> Samples:
    """Return samples of the last ten minutes, of rising memory. The newest is two seconds old."""
    newest_s = now_s() - 2
    return [(round(newest_s - n * SCRAPE_S, 3), float(1_000_000 - n)) for n in range(120, -1, -1)]


@pytest.fixture(scope="module")
def client(recent: Samples, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusClient]:
    past = SampleHistory()
    record(past, "chat-1", "a" * 64, recent)
    past.add("connections", {"namespace": "ai", "pod": "chat-1"}, recent)
    with VICTORIA_METRICS.serving(past, tmp_path_factory.mktemp("store")) as address:
        made = PrometheusClient(Connections(connections={"default": Connection(url=f"http://{address}")}))
        yield made
        made.close()


async def test_a_prefilter_has_the_newest_sample_and_its_time(client: PrometheusClient, recent: Samples) -> None:
    [row] = (await client.prefilter("default", "ai", ["chat-1"], (300.0,), now_s())).rows
    assert (row.last_s, row.rss_bytes) == recent[-1]


async def test_a_gauge_has_its_newest_value(client: PrometheusClient, recent: Samples) -> None:
    newest_s, newest = recent[-1]
    assert await client.read_gauge("default", "ai", "chat-1", "connections", newest_s - 1) == newest


async def test_the_newest_steps_repeat_no_earlier_one(client: PrometheusClient, recent: Samples) -> None:
    read = await client.read("default", ReadRequest("ai", ["chat-1"], SampleRange(300.0, STEP_S), now_s()))
    values = [value for _, value in pairs(read.rows[0].rss)]
    assert values == sorted(set(values))
    assert values[-1] == recent[-1][1]
