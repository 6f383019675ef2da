"""The same question in every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.analysis.reading import Span
from memroll.errors import PrometheusUnavailable

if TYPE_CHECKING:
    from memroll.analysis.reading import Reading, Screening
    from memroll.prometheus.provider import PrometheusProvider


async def read(provider: PrometheusProvider, at_s: float = 1020.0) -> Reading:
    return await provider.read("default", "ai", ["chat-1"], Span(90.0, None), at_s)


async def screen(provider: PrometheusProvider, at_s: float = 1020.0) -> Screening:
    return await provider.screen("default", "ai", ["chat-1"], [90.0], at_s)


async def trouble_of(provider: PrometheusProvider) -> PrometheusUnavailable:
    with pytest.raises(PrometheusUnavailable) as caught:
        await read(provider)
    return caught.value
