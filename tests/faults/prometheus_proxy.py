"""Proxy of the real Prometheus; each fault has a separate path, so that many connections fail concurrently."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.faults.background_loop import BackgroundLoop

    Handler = Callable[["PrometheusProxy", web.Request, dict[str, str]], Awaitable[web.StreamResponse]]

CLOCK_OFFSET_S = 3600.0
TIMES = ("time", "start", "end")
DRIP_S = 0.1
HANG_S = 60.0


async def serve_good(proxy: PrometheusProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    status, body = await proxy.query(request, form)
    return web.json_response(body, status=status)


async def _cut_json(proxy: PrometheusProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    _, body = await proxy.query(request, form)
    text = json.dumps(body)
    return web.Response(text=text[: len(text) * 2 // 3], content_type="application/json")


async def _html(proxy: PrometheusProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    return web.Response(text="<html><body>Please log in</body></html>", content_type="text/html")


async def _drip(proxy: PrometheusProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    _, body = await proxy.query(request, form)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    end = time.monotonic() + HANG_S
    with suppress(ConnectionError):  # the client closes the connection, as expected
        for byte in json.dumps(body).encode():
            if time.monotonic() > end:
                break
            await response.write(bytes([byte]))
            await asyncio.sleep(DRIP_S)
    return response


async def _hang(proxy: PrometheusProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    await asyncio.sleep(HANG_S)
    return web.Response(status=504)


async def _empty(proxy: PrometheusProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    kind = "matrix" if request.path.endswith("query_range") else "vector"
    return web.json_response({"status": "success", "data": {"resultType": kind, "result": []}})


async def _partial(proxy: PrometheusProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    _, body = await proxy.query(request, form)
    return web.json_response({**body, "warnings": ["No StoreAPIs matched for this query: store-1 is down"]})


async def _is_partial(proxy: PrometheusProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    _, body = await proxy.query(request, form)
    return web.json_response({**body, "isPartial": True})


async def _non_numeric(proxy: PrometheusProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    """Respond with values that are no numbers."""
    _, body = await proxy.query(request, form)
    for series in body.get("data", {}).get("result", []):
        for key in ("value", "values"):
            if key in series:
                series[key] = [series[key][0], "many"] if key == "value" else [[t, "many"] for t, _ in series[key]]
    return web.json_response(body)


def _respond_with(status: int, text: str, **headers: str) -> Handler:
    async def handle(proxy: PrometheusProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return handle


def _shift_clock(offset_s: float) -> Handler:
    """Return the handler of a Prometheus with a wrong clock: the time of each sample has this offset."""

    async def handle(proxy: PrometheusProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
        status, body = await proxy.query(request, {k: _shift_time(k, v, -offset_s) for k, v in form.items()})
        for series in body.get("data", {}).get("result", []):
            for sample in [series["value"]] if "value" in series else series.get("values", []):
                sample[0] += offset_s
        return web.json_response(body, status=status)

    return handle


def _shift_time(name: str, value: str, by_s: float) -> str:
    return f"{float(value) + by_s:.3f}" if name in TIMES else value


FAULTS: dict[str, Handler] = {
    "cut-json": _cut_json,
    "html": _html,
    "drip": _drip,
    "hang": _hang,
    "empty": _empty,
    "unauthorized": _respond_with(401, "Unauthorized", **{"WWW-Authenticate": "Basic"}),
    "forbidden": _respond_with(403, "Forbidden"),
    "broken": _respond_with(500, '{"status":"error","errorType":"internal","error":"disk full"}'),
    "starting": _respond_with(503, "Service Unavailable"),
    "partial": _partial,
    "is-partial": _is_partial,
    "words": _non_numeric,
    "clock-behind": _shift_clock(-CLOCK_OFFSET_S),
    "clock-ahead": _shift_clock(CLOCK_OFFSET_S),
}
REFUSED = "refused"


class PrometheusProxy:
    """Serves `/<fault>/api/v1/...`; `heal` ends all faults. `refused` has a separate port, closed until then."""

    def __init__(self, background: BackgroundLoop, url: str) -> None:
        self._background, self._real = background, url.rstrip("/")
        self._healed = False
        self.query_counts: dict[str, int] = {}
        self._runners: list[web.AppRunner] = []
        self._session = background.run(self._open_session())
        self.port = background.run(self._listen(0))
        self._closed_port = background.run(self._listen(0))
        background.run(self._runners.pop().cleanup())

    async def _open_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30))

    async def _listen(self, port: int) -> int:
        app = web.Application()
        app.router.add_route("*", "/{fault}/{tail:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self._runners.append(runner)
        return int(runner.addresses[0][1])

    def get_urls(self) -> dict[str, str]:
        """Return the URL of a connection for each fault, and of one without."""
        found = {name: f"http://127.0.0.1:{self.port}/{name}" for name in (*FAULTS, "good")}
        return {**found, REFUSED: f"http://127.0.0.1:{self._closed_port}/good"}

    def heal(self) -> None:
        self._healed = True
        self._background.run(self._listen(self._closed_port))

    def close(self) -> None:
        for runner in self._runners:
            self._background.run(runner.cleanup())
        self._background.run(self._session.close())

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        fault = request.match_info["fault"]
        self.query_counts[fault] = self.query_counts.get(fault, 0) + 1
        form = {**request.query, **{k: str(v) for k, v in (await request.post()).items()}}
        handle = serve_good if self._healed else FAULTS.get(fault, serve_good)
        return await handle(self, request, form)

    async def query(self, request: web.Request, form: dict[str, str]) -> tuple[int, Any]:
        """Send the same query to the real Prometheus."""
        url = f"{self._real}/{request.match_info['tail']}"
        async with self._session.post(url, data=form) as response:
            return response.status, await response.json()
