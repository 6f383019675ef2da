"""Read and prefilter run with the same arguments, for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.detection.samples import ReadRequest, SampleRange
from memroll.errors import PrometheusUnavailableError

if TYPE_CHECKING:
    from memroll.clients.prometheus.client import PrometheusClient
    from memroll.detection.samples import PrefilterResult, QueryResult


async def read(client: PrometheusClient, at_s: float = 1020.0) -> QueryResult:
    return await client.read("default", ReadRequest("ai", ["chat-1"], SampleRange(90.0, None), at_s))


async def prefilter(client: PrometheusClient, at_s: float = 1020.0) -> PrefilterResult:
    return await client.prefilter("default", "ai", ["chat-1"], [90.0], at_s)


async def error_of(client: PrometheusClient) -> PrometheusUnavailableError:
    with pytest.raises(PrometheusUnavailableError) as caught:
        await read(client)
    return caught.value
