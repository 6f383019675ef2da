"""The HTTP endpoints: metrics, health and readiness."""

from __future__ import annotations

from aiohttp.test_utils import TestClient, TestServer

from memroll import __version__
from memroll.controller import http_server
from memroll.reporting.metrics import Metrics


async def test_metrics_health_and_readiness_are_served():
    problems = {"healthy": "", "ready": "not watching yet"}
    app = http_server.build_app(Metrics().registry, lambda: problems["healthy"], lambda: problems["ready"])
    async with TestClient(TestServer(app)) as client:
        assert f'memroll_build_info{{version="{__version__}"}} 1.0' in await (await client.get("/metrics")).text()
        assert (await client.get("/healthz")).status == 200
        unready = await client.get("/readyz")
        assert (unready.status, await unready.text()) == (503, "not watching yet\n")
        problems["ready"] = ""
        assert (await client.get("/readyz")).status == 200
