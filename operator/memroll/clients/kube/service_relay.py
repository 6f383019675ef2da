"""Relay on the loopback address that passes queries on to a Service of the cluster, through the API server.

Called by `memroll scan`: outside of the cluster a Service has no address, and the client of Prometheus needs a URL. The
API server is queried with the user's own credentials, which it does not pass on. The path of the relay begins with a
random token, so that nobody else on this machine can query through it.
"""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from memroll.clients.kube.api_client import FORM_TYPE, ApiRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from memroll.clients.kube.api_client import KubeApi

LOOPBACK = "127.0.0.1"
MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""Maximum size of a request in bytes, chosen by hand: a query may contain thousands of pod names."""
CHUNK_BYTES = 256 * 1024
"""Size of the parts in which a response is passed on, in bytes; chosen by hand."""
TIMEOUT_S = 300.0
"""Timeout of a request in seconds; the client of Prometheus has shorter ones. Chosen by hand."""


@asynccontextmanager
async def relay_to(api: KubeApi, proxy_path: str) -> AsyncIterator[str]:
    """Relay to this path of the API server, such as that of a Service's proxy; yield the URL of the relay."""
    token = secrets.token_urlsafe(24)
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    relay = _Relay(api, proxy_path)
    app.router.add_route("*", f"/{token}/{{path:.*}}", relay.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http://{LOOPBACK}:{port}/{token}"
    finally:
        await runner.cleanup()


class _Relay:
    """Handler of the relay's requests."""

    def __init__(self, api: KubeApi, proxy_path: str) -> None:
        self._api = api
        self._proxy_path = proxy_path

    async def handle(self, request: web.Request) -> web.StreamResponse:
        form = {name: text for name, text in (await request.post()).items() if isinstance(text, str)}
        passed = ApiRequest(
            "POST" if request.method == "POST" else "GET",
            f"{self._proxy_path}/{request.match_info['path']}",
            dict(request.query),
            content_type=FORM_TYPE,
            form=form,
        )
        try:
            answer = await self._api.open(passed, aiohttp.ClientTimeout(total=TIMEOUT_S))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return web.Response(status=502, text=f"the API server does not answer: {type(error).__name__}")
        response = web.StreamResponse(status=answer.status)
        response.content_type = answer.response.content_type
        await response.prepare(request)
        async for chunk in answer.response.content.iter_chunked(CHUNK_BYTES):
            await response.write(chunk)
        await response.write_eof()
        return response
