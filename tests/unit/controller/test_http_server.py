"""The HTTP endpoints: metrics, health and readiness."""

from __future__ import annotations

from aiohttp.test_utils import TestClient, TestServer

from memroll import __version__
from memroll.clients.kube.lease_holder import Leadership
from memroll.controller import http_server
from memroll.reporting.metrics import Metrics


async def test_metrics_health_readiness_and_the_leader_are_served():
    problems = {"healthy": "", "ready": "not watching yet"}
    leadership = {"now": Leadership("nobody leads: nobody holds lease memroll")}
    app = http_server.build_app(
        Metrics().registry, lambda: problems["healthy"], lambda: problems["ready"], lambda: leadership["now"]
    )
    async with TestClient(TestServer(app)) as client:
        assert f'memroll_build_info{{version="{__version__}"}} 1.0' in await (await client.get("/metrics")).text()
        assert (await client.get("/healthz")).status == 200
        unready = await client.get("/readyz")
        assert (unready.status, await unready.text()) == (503, "not watching yet\n")
        problems["ready"] = ""
        assert (await client.get("/readyz")).status == 200
        nobody = await client.get("/leader")
        assert (nobody.status, await nobody.text()) == (503, "nobody leads: nobody holds lease memroll\n")
        assert (await client.get("/readyz")).status == 200, "a standby is Ready"
        leadership["now"] = Leadership("standby: memroll-1 leads", someone_leads=True)
        standby = await client.get("/leader")
        assert (standby.status, await standby.text()) == (200, "standby: memroll-1 leads\n")
