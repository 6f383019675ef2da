"""Counting reverse proxy, a process of its own: the operator's requests to one server, counted by kind.

`python -m tests.bench.scale.proxy KIND UPSTREAM PORT [USAGE]`. GET /bench/counts returns the counts. With a file
of the usage of all pods, the proxy also answers for the metrics server.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.bench.scale.control_plane import TOKEN
from tests.bench.scale.traffic import COUNTS_PATH, Count, Traffic, api_kind, prometheus_kind

USAGE_PATH = "/apis/metrics.k8s.io/v1beta1/pods"
NOW = "NOW"
"""Word in the file of usage that the proxy replaces by the time."""
KINDS = {"api": api_kind, "prometheus": prometheus_kind}
CHUNK_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
PER_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive", "authorization"})


class CountingProxy:
    def __init__(self, kind: str, upstream: str, session: aiohttp.ClientSession, usage: str = "") -> None:
        self._usage = usage
        self._kind_of, self._is_api = KINDS[kind], kind == "api"
        self._upstream, self._session = upstream, session
        self.traffic = Traffic()

    async def counts(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(self.traffic.to_dict())

    async def usage(self, request: web.Request) -> web.Response:
        del request
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251 - a benchmark of real time
        text = self._usage.replace(NOW, now)
        self.traffic.add("list pods.metrics.k8s.io", Count(1, 0, 0, len(text), len(text)))
        return web.Response(text=text, content_type="application/json")

    async def forward(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        kind = self._kind_of(request.method, request.path_qs)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in PER_HOP}
        if self._is_api:
            headers["Authorization"] = f"Bearer {TOKEN}"
        url = self._upstream + request.path_qs
        async with self._session.request(
            request.method, url, data=body or None, headers=headers, allow_redirects=False
        ) as upstream:
            self.traffic.add(kind, Count(1, int(upstream.status >= 400), len(body)))
            return await self._relay(request, upstream, kind)

    async def _relay(self, request: web.Request, upstream: aiohttp.ClientResponse, kind: str) -> web.StreamResponse:
        kept = {name: value for name, value in upstream.headers.items() if name.lower() not in PER_HOP}
        response = web.StreamResponse(status=upstream.status, headers=kept)
        decoder = zlib.decompressobj(31) if upstream.headers.get("Content-Encoding") == "gzip" else None
        await response.prepare(request)
        async for chunk in upstream.content.iter_any():
            decoded = len(decoder.decompress(chunk)) if decoder else len(chunk)
            self.traffic.add(kind, Count(wire_bytes=len(chunk), decoded_bytes=decoded))
            await response.write(chunk)
        await response.write_eof()
        return response


def build_app(kind: str, upstream: str, session: aiohttp.ClientSession, usage: str = "") -> web.Application:
    """Return the application. The session must not decompress."""
    proxy = CountingProxy(kind, upstream, session, usage)
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_get(COUNTS_PATH, proxy.counts)
    if usage:
        app.router.add_get(USAGE_PATH, proxy.usage)
    app.router.add_route("*", "/{path:.*}", proxy.forward)
    return app


async def serve(kind: str, upstream: str, port: int, usage: str = "") -> None:
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0, ssl=False)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False) as session:
        app = build_app(kind, upstream, session, usage)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, auto_decompress=False)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    pods = Path(sys.argv[4]).read_text() if sys.argv[4:] else ""
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), pods))
