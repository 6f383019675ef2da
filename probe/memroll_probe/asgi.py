"""`app = Probe(app)` for ASGI: counts requests and answers those to the probe's own path; forwards the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from memroll_probe.messages import Request
from memroll_probe.wrapper import Wrapper, wrap

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from memroll_probe.messages import Response
    from memroll_probe.state import ProbeState

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

SEEN_KEY = "memroll_probe.seen"


def Probe(app: App, state: ProbeState | None = None) -> App:  # noqa: N802 - frameworks expect a class here
    """Return the application with the probe around it, or the application itself if the probe is off."""
    return wrap(app, state, AsgiMiddleware)


class AsgiMiddleware(Wrapper["App"]):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if SEEN_KEY in scope:  # another probe is around this one
            await self.app(scope, receive, send)
            return
        scope[SEEN_KEY] = True
        if kind not in ("http", "websocket"):  # lifespan: the service still starts, and must not be slowed down
            await self.app(scope, receive, send)
            return
        self._state.ensure_started(_running_loop())
        await (self._http if kind == "http" else self._websocket)(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._state.settings.port and self._endpoint.has_route(path := _path(scope)):
            await _send(await self._respond(scope, path), send)
            return
        requests = self._state.requests
        requests.begin_request()
        try:
            await self.app(scope, receive, send)
        finally:
            requests.end_request()

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        requests = self._state.requests
        requests.open_websocket()
        try:
            await self.app(scope, receive, send)
        finally:
            requests.close_websocket()

    async def _respond(self, scope: Scope, path: str) -> Response:
        """Return the response without blocking the event loop."""
        endpoint = self._endpoint
        request = Request(scope["method"], path, _decode(scope.get("query_string", b"")), _authorization(scope))
        try:
            if (rejection := endpoint.reject(request)) is not None:
                return rejection
            return await asyncio.wait_for(asyncio.wrap_future(endpoint.start(request)), endpoint.timeout_s)
        except Exception as error:  # noqa: BLE001 - the probe must not harm the service
            return endpoint.failure_response(request, error)


async def _send(response: Response, send: Send) -> None:
    headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in response.all_headers()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _path(scope: Scope) -> str:
    """Return the path below the application's mount point. Some servers include the mount point, others do not."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def _authorization(scope: Scope) -> str:
    return next((_decode(value) for name, value in scope.get("headers", ()) if name.lower() == b"authorization"), "")


def _decode(raw: bytes) -> str:
    return raw.decode("latin-1")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # another library's loop: then its tasks are not counted
        return None
