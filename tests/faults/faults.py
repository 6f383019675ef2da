"""What can happen to a request on its way: each a value for `Rule.does`."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from tests.faults import streams
from tests.faults.apiproxy import told

if TYPE_CHECKING:
    from tests.faults.apiproxy import ApiProxy, Exchange

REASONS = {401: "Unauthorized", 410: "Expired", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}


@dataclass(frozen=True)
class Answers:
    """The request is refused before the server sees it, as an overloaded server or a proxy before it would."""

    status: int
    retry_after_s: int | None = None

    @property
    def name(self) -> str:
        return str(self.status)

    async def __call__(self, proxy: ApiProxy, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.status,
                "reason": REASONS.get(self.status, ""), "message": "injected"}  # fmt: skip
        return web.json_response(body, status=self.status, headers=headers)


@dataclass(frozen=True)
class Hangs:
    """Nothing comes back for longer than anybody waits; `after` the server did the work."""

    seconds: float = 45.0
    after: bool = False

    @property
    def name(self) -> str:
        return "late" if self.after else "hang"

    async def __call__(self, proxy: ApiProxy, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        if self.after:
            await proxy.forwarded(exchange)
        await asyncio.sleep(self.seconds)
        return streams.hung_up(request)


@dataclass(frozen=True)
class Drops:
    """The connection is cut; `after` the server did the work, whose answer is lost."""

    after: bool = False

    @property
    def name(self) -> str:
        return "lost answer" if self.after else "drop"

    async def __call__(self, proxy: ApiProxy, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        if self.after:
            await proxy.forwarded(exchange)
        return streams.hung_up(request)


@dataclass(frozen=True)
class CutsWatch:
    """A watch breaks off after a while, in the middle of a line."""

    after_s: float = 2.0
    name: str = "cut watch"

    async def __call__(self, proxy: ApiProxy, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        return await streams.relay(proxy, request, exchange, self.after_s)


@dataclass(frozen=True)
class WatchGone:
    """A watch whose version is too old: 410 as an event of the stream, as the real server says it."""

    name: str = "410 event"

    async def __call__(self, proxy: ApiProxy, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        gone = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
                "message": "too old resource version: 1 (2)"}  # fmt: skip
        await response.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
        return response


@dataclass
class Holds:
    """Keep a request (with `after`: its answer) until `let_go`; then drop it, or with `forward` pass it on late."""

    after: bool = False
    forward: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    _end: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def name(self) -> str:
        return "held after" if self.after else "held before"

    async def __call__(self, proxy: ApiProxy, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        reply = await proxy.forwarded(exchange) if self.after else None
        self._loop = asyncio.get_running_loop()
        self.reached.set()
        await self._end.wait()
        if reply is None and self.forward:
            reply = await proxy.forwarded(exchange)
        return streams.hung_up(request) if reply is None else told(reply)

    def let_go(self) -> None:
        assert self._loop is not None, "nothing was held yet"
        self._loop.call_soon_threadsafe(self._end.set)
