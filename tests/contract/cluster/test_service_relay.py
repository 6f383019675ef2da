"""Relay to a Service through an API server: what reaches the server, and what comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest
import yaml
from aiohttp import web

from memroll.clients.kube.api_client import KubeApi
from memroll.clients.kube.service_relay import relay_to
from memroll.clients.prometheus.config import Connection
from memroll.errors import PrometheusUnavailableError
from memroll.inspection.prometheus_checks import query_connection
from memroll.inspection.prometheus_discovery import find_prometheus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROXY = "/api/v1/namespaces/monitoring/services/prom:80/proxy"
ANSWER = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, "7"]}]}}
SERVICE = {
    "metadata": {"namespace": "monitoring", "name": "prom", "uid": "1", "labels": {"app": "prometheus"}},
    "spec": {"ports": [{"name": "http", "port": 80}]},
}


class ApiServer:
    """API server with one Service, whose proxy answers queries."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.refused: set[str] = set()
        """Methods that the proxy forbids."""
        self.answer = ANSWER

    async def handle(self, request: web.Request) -> web.Response:
        if request.path.endswith("/services"):
            return web.json_response({"items": [SERVICE]})
        fields = {k: str(v) for k, v in (await request.post()).items()} | dict(request.query)
        self.requests.append((request.method, request.path, fields, request.headers.get("Authorization", "")))
        if request.method in self.refused:
            return web.json_response({"kind": "Status", "message": "services/proxy is forbidden"}, status=403)
        return web.json_response(self.answer)


@pytest.fixture
async def server() -> AsyncIterator[tuple[ApiServer, int]]:
    fake, app = ApiServer(), web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield fake, runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
async def api(server, tmp_path, monkeypatch) -> AsyncIterator[KubeApi]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server[1]}"}}],
        "users": [{"name": "u", "user": {"token": "secret-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    connected = await KubeApi.connect(str(file))
    yield connected
    await connected.close()


def query(url: str, method: str = "POST") -> float:
    with query_connection(Connection(url=url, method=method)) as ask:
        return ask('count(up{job="a&b"})')[0][1]


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_query_reaches_the_service_with_the_users_credentials(api, server, method):
    async with relay_to(api, PROXY) as url:
        assert await asyncio.to_thread(query, url, method) == 7
    (asked,) = server[0].requests
    assert asked[:2] == (method, f"{PROXY}/api/v1/query")
    assert asked[2]["query"] == 'count(up{job="a&b"})'
    assert asked[3] == "Bearer secret-token"


async def test_nothing_is_relayed_without_the_token(api, server):
    async with relay_to(api, PROXY) as url, aiohttp.ClientSession() as session:
        base = url.rpartition("/")[0]
        for path in ("/api/v1/query", "/wrong-token/api/v1/query", "/"):
            async with session.get(base + path) as response:
                assert response.status == 404
    assert server[0].requests == []


async def test_the_relay_ends_with_its_context(api):
    async with relay_to(api, PROXY) as url:
        pass
    with pytest.raises(PrometheusUnavailableError):
        await asyncio.to_thread(query, url)


async def test_a_service_with_memory_series_is_found(api):
    async with find_prometheus(api) as found:
        assert found.title == "Prometheus, Service monitoring/prom"
        assert found.connection.method == "POST"


async def test_get_is_used_where_post_is_forbidden(api, server):
    server[0].refused = {"POST"}
    async with find_prometheus(api) as found:
        assert found.connection.method == "GET"


async def test_a_service_without_memory_series_is_an_error_with_the_remedy(api, server):
    server[0].answer = {"status": "success", "data": {"resultType": "vector", "result": []}}
    tried: list[str] = []
    with pytest.raises(Exception, match=r"no Prometheus with memory series.*has no container_memory_rss.*--prometheus"):
        async with find_prometheus(api, tried.append):
            pass
    assert len(tried) == 1


async def test_forbidden_proxies_are_named(api, server):
    server[0].refused = {"POST", "GET"}
    with pytest.raises(Exception, match="403"):
        async with find_prometheus(api):
            pass
