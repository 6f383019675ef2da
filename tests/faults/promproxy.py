"""A proxy before the real Prometheus; each fault has a path of its own, so that many connections fail at once."""

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

    from tests.faults.background import Background

    Answer = Callable[["PromProxy", web.Request, dict[str, str]], Awaitable[web.StreamResponse]]

CLOCK_OFF_S = 3600.0
TIMES = ("time", "start", "end")
DRIP_S = 0.1
HANG_S = 60.0


async def good(proxy: PromProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    status, body = await proxy.asked(request, form)
    return web.json_response(body, status=status)


async def _cut_json(proxy: PromProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    _, body = await proxy.asked(request, form)
    whole = json.dumps(body)
    return web.Response(text=whole[: len(whole) * 2 // 3], content_type="application/json")


async def _html(proxy: PromProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    return web.Response(text="<html><body>Please log in</body></html>", content_type="text/html")


async def _drip(proxy: PromProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    _, body = await proxy.asked(request, form)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    end = time.monotonic() + HANG_S
    with suppress(ConnectionError):  # the client hangs up, as it should
        for byte in json.dumps(body).encode():
            if time.monotonic() > end:
                break
            await response.write(bytes([byte]))
            await asyncio.sleep(DRIP_S)
    return response


async def _hang(proxy: PromProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    await asyncio.sleep(HANG_S)
    return web.Response(status=504)


async def _empty(proxy: PromProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    kind = "matrix" if request.path.endswith("query_range") else "vector"
    return web.json_response({"status": "success", "data": {"resultType": kind, "result": []}})


async def _partial(proxy: PromProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    _, body = await proxy.asked(request, form)
    return web.json_response({**body, "warnings": ["No StoreAPIs matched for this query: store-1 is down"]})


async def _is_partial(proxy: PromProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    _, body = await proxy.asked(request, form)
    return web.json_response({**body, "isPartial": True})


async def _words(proxy: PromProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
    """Values that are no numbers."""
    _, body = await proxy.asked(request, form)
    for series in body.get("data", {}).get("result", []):
        for key in ("value", "values"):
            if key in series:
                series[key] = [series[key][0], "many"] if key == "value" else [[t, "many"] for t, _ in series[key]]
    return web.json_response(body)


def _says(status: int, text: str, **headers: str) -> Answer:
    async def answer(proxy: PromProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return answer


def _clock(off_s: float) -> Answer:
    """A Prometheus whose clock is off: it stored each sample under a time that is wrong by this much."""

    async def answer(proxy: PromProxy, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
        status, body = await proxy.asked(request, {k: _moved(k, v, -off_s) for k, v in form.items()})
        for series in body.get("data", {}).get("result", []):
            for sample in [series["value"]] if "value" in series else series.get("values", []):
                sample[0] += off_s
        return web.json_response(body, status=status)

    return answer


def _moved(name: str, value: str, by_s: float) -> str:
    return f"{float(value) + by_s:.3f}" if name in TIMES else value


FAULTS: dict[str, Answer] = {
    "cut-json": _cut_json,
    "html": _html,
    "drip": _drip,
    "hang": _hang,
    "empty": _empty,
    "unauthorized": _says(401, "Unauthorized", **{"WWW-Authenticate": "Basic"}),
    "forbidden": _says(403, "Forbidden"),
    "broken": _says(500, '{"status":"error","errorType":"internal","error":"disk full"}'),
    "starting": _says(503, "Service Unavailable"),
    "partial": _partial,
    "is-partial": _is_partial,
    "words": _words,
    "clock-behind": _clock(-CLOCK_OFF_S),
    "clock-ahead": _clock(CLOCK_OFF_S),
}
REFUSED = "refused"


class PromProxy:
    """Serves `/<fault>/api/v1/...`. `heal` makes all paths good. `refused` has a port of its own: closed until then."""

    def __init__(self, background: Background, url: str) -> None:
        self._background, self._real = background, url.rstrip("/")
        self._healed = False
        self.asked_for: dict[str, int] = {}
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

    def urls(self) -> dict[str, str]:
        """Return a connection's URL for each fault, and a good one."""
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
        self.asked_for[fault] = self.asked_for.get(fault, 0) + 1
        form = {**request.query, **{k: str(v) for k, v in (await request.post()).items()}}
        answer = good if self._healed else FAULTS.get(fault, good)
        return await answer(self, request, form)

    async def asked(self, request: web.Request, form: dict[str, str]) -> tuple[int, Any]:
        """Ask the real Prometheus the same."""
        url = f"{self._real}/{request.match_info['tail']}"
        async with self._session.post(url, data=form) as answer:
            return answer.status, await answer.json()
