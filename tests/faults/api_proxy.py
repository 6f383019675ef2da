"""Reverse proxy of the real API server: forwards requests, injects faults by rule, and keeps a request log.

Each operator process has a separate port, so the log has the sender of each request. `status` in the log is the API
server's real response, even if the fault was that the sender did not receive it.
"""

from __future__ import annotations

import json
import random
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlencode

import yaml
from aiohttp import web

from tests.faults import streams

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.api_server import ApiServerClient, Json, RawResponse
    from tests.faults.background_loop import BackgroundLoop

CONNECTION_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "authorization"}
READS = ("GET", "HEAD")


@dataclass
class RequestRecord:
    """One request, with its sender, the server's response, and the injected fault."""

    number: int
    process: str
    method: str
    path: str
    query: dict[str, str]
    body: Json
    raw: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    received_at: float = 0.0
    """Time of receipt, by the monotonic clock."""
    status: int | None = None
    """Status of the real server's response; None if the request was not forwarded."""
    response: Json = field(default_factory=dict, repr=False)
    responded_at: float = 0.0
    """Time of the server's response, by the monotonic clock."""
    fault: str = ""

    @property
    def is_write(self) -> bool:
        return self.method not in READS

    @property
    def succeeded(self) -> bool:
        """Return whether the server executed the request."""
        return self.status is not None and self.status < 400

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch", "") in ("true", "1", "True")

    @property
    def path_and_query(self) -> str:
        return self.path + (f"?{urlencode(self.query)}" if self.query else "")


class FaultAction(Protocol):
    """Action of a rule on a request."""

    @property
    def name(self) -> str: ...
    async def __call__(self, proxy: ApiProxy, request: web.Request, record: RequestRecord) -> web.StreamResponse: ...


@dataclass
class FaultRule:
    """Fault for requests that match; applied at random with a ratio, up to a number of times, until a time."""

    action: FaultAction
    method: str = ""
    path: str = ""
    process: str = ""
    watches: bool = False
    """True: applies only to watches; False: to all other requests."""
    predicate: Callable[[RequestRecord], bool] = lambda _: True
    ratio: float = 1.0
    times: int | None = None
    until: float = float("inf")
    hits: int = 0

    def applies_to(self, record: RequestRecord, rng: random.Random) -> bool:
        matches = (
            self.watches == record.is_watch
            and self.process in ("", record.process)
            and re.fullmatch(self.method or ".*", record.method) is not None
            and re.search(self.path, record.path_and_query) is not None
            and (self.times is None or self.hits < self.times)
            and time.monotonic() < self.until
            and self.predicate(record)
        )
        if not matches or rng.random() >= self.ratio:
            return False
        self.hits += 1
        return True


class ApiProxy:
    """Serves plain HTTP on one port for each process, and forwards as the kubeconfig's user."""

    def __init__(self, background: BackgroundLoop, server: ApiServerClient, seed: int = 1) -> None:
        self.rules: list[FaultRule] = []
        self.request_log: list[RequestRecord] = []
        self.page_size: int | None = None
        """Page size of lists, so that small ones also have a continue token; None: as requested."""
        self.cut_at = 0.0
        """Watches that began before this time are closed: no later rule would apply to them."""
        self.server = server
        self._background = background
        self._rng = random.Random(seed)
        self._runners: list[web.AppRunner] = []

    def open_port(self, process: str, folder: Path) -> Path:
        """Open a port for one process, and return a kubeconfig for it."""
        port = self._background.run(self._open(process))
        user: dict[str, Any] = {"name": "faults", "user": {"token": "none"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [user],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "faults"}}],
            "current-context": "proxy",
        }
        file = folder / f"kubeconfig-{process}.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        return file

    async def _open(self, process: str) -> int:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, process)

        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{tail:.*}", serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners.append(runner)
        return int(runner.addresses[0][1])

    def close(self) -> None:
        for runner in self._runners:
            self._background.run(runner.cleanup())

    def cut_watches(self) -> None:
        self.cut_at = time.monotonic()

    def find_writes(self, process: str = "") -> list[RequestRecord]:
        """Return the writes that the server executed or refused, of one process or of all."""
        found = [e for e in list(self.request_log) if e.is_write and e.status is not None]
        return [e for e in found if process in ("", e.process)]

    async def _serve(self, request: web.Request, process: str) -> web.StreamResponse:
        raw = await request.read()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in CONNECTION_HEADERS}
        record = RequestRecord(
            number=len(self.request_log), process=process, method=request.method, path=request.path,
            query=dict(parse_qsl(request.query_string, keep_blank_values=True)), body=_parse_json(raw), raw=raw,
            headers=headers, received_at=time.monotonic(),
        )  # fmt: skip
        if self.page_size is not None and "limit" in record.query:
            record.query["limit"] = str(self.page_size)
        self.request_log.append(record)
        for rule in list(self.rules):
            if rule.applies_to(record, self._rng):
                record.fault = rule.action.name
                return await rule.action(self, request, record)
        return await self.pass_through(request, record)

    async def pass_through(self, request: web.Request, record: RequestRecord) -> web.StreamResponse:
        """Forward a request without a fault."""
        if record.is_watch:
            return await streams.relay(self, request, record)
        return build_response(await self.forward(record))

    async def forward(self, record: RequestRecord) -> RawResponse:
        """Send a request to the real server, and add the response to its record."""
        reply = await self.server.send(record.method, record.path_and_query, record.headers, record.raw)
        record.response, record.status = reply.json() if record.is_write else {}, reply.status
        record.responded_at = time.monotonic()
        return reply


def build_response(reply: RawResponse) -> web.Response:
    """Build a response from that of the real server."""
    headers = {k: v for k, v in reply.headers.items() if k.lower() in ("content-type", "retry-after")}
    return web.Response(status=reply.status, body=reply.body, headers=headers)


def _parse_json(raw: bytes) -> Json:
    try:
        found = json.loads(raw) if raw else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
