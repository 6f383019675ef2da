"""`app = Probe(app)` for ASGI: counts requests and answers the probe's own path; the rest goes through unchanged."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from memroll_probe.exchange import Request
from memroll_probe.wrapper import Wrapper, around

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from memroll_probe.exchange import Response
    from memroll_probe.watch import Watch

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

SEEN = "memroll_probe.seen"


def Probe(app: App, watch: Watch | None = None) -> App:  # noqa: N802 - stands where frameworks expect a class
    """Return the application with the probe around it; switched off, the application itself."""
    return around(app, watch, Middleware)


class Middleware(Wrapper["App"]):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if SEEN in scope:  # there is a probe around this one
            await self.app(scope, receive, send)
            return
        scope[SEEN] = True
        if kind not in ("http", "websocket"):  # lifespan: the service still starts, which is not to be made slower
            await self.app(scope, receive, send)
            return
        self._watch.wake(_running_loop())
        await (self._http if kind == "http" else self._websocket)(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._watch.settings.port and self._endpoint.is_mine(path := _path(scope)):
            await _send(await self._answer(scope, path), send)
            return
        traffic = self._watch.traffic
        traffic.request_begins()
        try:
            await self.app(scope, receive, send)
        finally:
            traffic.request_ends()

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        traffic = self._watch.traffic
        traffic.websocket_opens()
        try:
            await self.app(scope, receive, send)
        finally:
            traffic.websocket_closes()

    async def _answer(self, scope: Scope, path: str) -> Response:
        """Answer without holding up the event loop."""
        endpoint = self._endpoint
        request = Request(scope["method"], path, _text(scope.get("query_string", b"")), _authorization(scope))
        try:
            if (refused := endpoint.refused(request)) is not None:
                return refused
            return await asyncio.wait_for(asyncio.wrap_future(endpoint.begin(request)), endpoint.patience_s)
        except Exception as error:  # noqa: BLE001 - the probe must not harm the service
            return endpoint.in_trouble(request, error)


async def _send(response: Response, send: Send) -> None:
    headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in response.all_headers()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _path(scope: Scope) -> str:
    """Return the path below where the application is mounted; servers differ in whether they leave that in."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def _authorization(scope: Scope) -> str:
    return next((_text(value) for name, value in scope.get("headers", ()) if name.lower() == b"authorization"), "")


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # another library's loop: the tasks are not told then
        return None
