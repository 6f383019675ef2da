"""Faults of a request: implementations of `FaultAction`."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from tests.faults import streams
from tests.faults.api_proxy import build_response

if TYPE_CHECKING:
    from tests.faults.api_proxy import ApiProxy, RequestRecord

REASONS = {401: "Unauthorized", 410: "Expired", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}


@dataclass(frozen=True)
class RespondWithStatus:
    """Responds with an error instead of forwarding, as an overloaded server or a proxy would."""

    status: int
    retry_after_s: int | None = None

    @property
    def name(self) -> str:
        return str(self.status)

    async def __call__(self, proxy: ApiProxy, request: web.Request, record: RequestRecord) -> web.StreamResponse:
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.status,
                "reason": REASONS.get(self.status, ""), "message": "injected"}  # fmt: skip
        return web.json_response(body, status=self.status, headers=headers)


@dataclass(frozen=True)
class Hang:
    """Sends no response for longer than any timeout; with `after`, the server executes the request first."""

    seconds: float = 45.0
    after: bool = False

    @property
    def name(self) -> str:
        return "late" if self.after else "hang"

    async def __call__(self, proxy: ApiProxy, request: web.Request, record: RequestRecord) -> web.StreamResponse:
        if self.after:
            await proxy.forward(record)
        await asyncio.sleep(self.seconds)
        return streams.abort(request)


@dataclass(frozen=True)
class CloseConnection:
    """Closes the connection; with `after`, the server executes the request first, and the response is lost."""

    after: bool = False

    @property
    def name(self) -> str:
        return "lost response" if self.after else "drop"

    async def __call__(self, proxy: ApiProxy, request: web.Request, record: RequestRecord) -> web.StreamResponse:
        if self.after:
            await proxy.forward(record)
        return streams.abort(request)


@dataclass(frozen=True)
class CutWatch:
    """Closes a watch after a while, in the middle of a line."""

    after_s: float = 2.0
    name: str = "cut watch"

    async def __call__(self, proxy: ApiProxy, request: web.Request, record: RequestRecord) -> web.StreamResponse:
        return await streams.relay(proxy, request, record, self.after_s)


@dataclass(frozen=True)
class ExpireWatch:
    """Sends a 410 as an event of a watch, as the real server does if the version is too old."""

    name: str = "410 event"

    async def __call__(self, proxy: ApiProxy, request: web.Request, record: RequestRecord) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        gone = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
                "message": "too old resource version: 1 (2)"}  # fmt: skip
        await response.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
        return response


@dataclass
class HoldRequest:
    """Holds a request, or with `after` its response, until `resume`; then drops it, or forwards it with `forward`."""

    after: bool = False
    forward: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    _resumed: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def name(self) -> str:
        return "held after" if self.after else "held before"

    async def __call__(self, proxy: ApiProxy, request: web.Request, record: RequestRecord) -> web.StreamResponse:
        reply = await proxy.forward(record) if self.after else None
        self._loop = asyncio.get_running_loop()
        self.reached.set()
        await self._resumed.wait()
        if reply is None and self.forward:
            reply = await proxy.forward(record)
        return streams.abort(request) if reply is None else build_response(reply)

    def resume(self) -> None:
        assert self._loop is not None, "no request is held"
        self._loop.call_soon_threadsafe(self._resumed.set)
