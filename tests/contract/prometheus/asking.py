"""The same question in every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.detection.samples import Span
from memroll.errors import PrometheusUnavailable

if TYPE_CHECKING:
    from memroll.clients.prometheus.client import PrometheusProvider
    from memroll.detection.samples import Reading, Screening


async def read(provider: PrometheusProvider, at_s: float = 1020.0) -> Reading:
    return await provider.read("default", "ai", ["chat-1"], Span(90.0, None), at_s)


async def screen(provider: PrometheusProvider, at_s: float = 1020.0) -> Screening:
    return await provider.screen("default", "ai", ["chat-1"], [90.0], at_s)


async def trouble_of(provider: PrometheusProvider) -> PrometheusUnavailable:
    with pytest.raises(PrometheusUnavailable) as caught:
        await read(provider)
    return caught.value
