"""A reverse proxy before the real API server: passes everything through, injects faults by rule, keeps a ledger.

Each operator process gets a port of its own, so the ledger knows who sent what. What is written there as `status`
is what the API server really answered: a write whose answer was lost on the way is in it all the same.
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

    from tests.faults.background import Background
    from tests.faults.server import Json, Reply, Server

OWN_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "authorization"}
READS = ("GET", "HEAD")


@dataclass
class Exchange:
    """One request: who sent it, what the server did with it, and what the sender was told."""

    number: int
    process: str
    method: str
    path: str
    query: dict[str, str]
    body: Json
    raw: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    at: float = 0.0
    """When it came, by the monotonic clock."""
    status: int | None = None
    """The real server's answer; None: it never got there."""
    answer: Json = field(default_factory=dict, repr=False)
    done_at: float = 0.0
    """When the server had answered."""
    fault: str = ""

    @property
    def is_write(self) -> bool:
        return self.method not in READS

    @property
    def done(self) -> bool:
        """Whether the server carried it out."""
        return self.status is not None and self.status < 400

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch", "") in ("true", "1", "True")

    @property
    def target(self) -> str:
        """Return the path with its query."""
        return self.path + (f"?{urlencode(self.query)}" if self.query else "")


class Does(Protocol):
    """What a rule does to a request."""

    @property
    def name(self) -> str: ...
    async def __call__(self, proxy: ApiProxy, request: web.Request, exchange: Exchange) -> web.StreamResponse: ...


@dataclass
class Rule:
    """Which requests meet which fault: by pattern, by chance, so many times, until some time."""

    does: Does
    method: str = ""
    path: str = ""
    process: str = ""
    watches: bool = False
    """Only watches meet it; without it none does."""
    wanted: Callable[[Exchange], bool] = lambda _: True
    share: float = 1.0
    times: int | None = None
    until: float = float("inf")
    hits: int = 0

    def meets(self, exchange: Exchange, chance: random.Random) -> bool:
        fits = (
            self.watches == exchange.is_watch
            and self.process in ("", exchange.process)
            and re.fullmatch(self.method or ".*", exchange.method) is not None
            and re.search(self.path, exchange.target) is not None
            and (self.times is None or self.hits < self.times)
            and time.monotonic() < self.until
            and self.wanted(exchange)
        )
        if not fits or chance.random() >= self.share:
            return False
        self.hits += 1
        return True


class ApiProxy:
    """Serves plain HTTP, one port for each process; towards the real server it is the kubeconfig's user."""

    def __init__(self, background: Background, server: Server, seed: int = 1) -> None:
        self.rules: list[Rule] = []
        self.ledger: list[Exchange] = []
        self.page_size: int | None = None
        """When set, lists come in pages of this size, so that small ones have a continue token, too."""
        self.cut_at = 0.0
        """Watches that began before are cut: they would go on through any rule that came later."""
        self.server = server
        self._background = background
        self._chance = random.Random(seed)
        self._runners: list[web.AppRunner] = []

    def open(self, process: str, folder: Path) -> Path:
        """Open a port for one process; return the kubeconfig that leads there."""
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

    def writes(self, process: str = "") -> list[Exchange]:
        """Return the writes that the server carried out or refused, of one process or of all."""
        found = [e for e in list(self.ledger) if e.is_write and e.status is not None]
        return [e for e in found if process in ("", e.process)]

    async def _serve(self, request: web.Request, process: str) -> web.StreamResponse:
        raw = await request.read()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in OWN_HEADERS}
        exchange = Exchange(
            number=len(self.ledger), process=process, method=request.method, path=request.path,
            query=dict(parse_qsl(request.query_string, keep_blank_values=True)), body=_json(raw), raw=raw,
            headers=headers, at=time.monotonic(),
        )  # fmt: skip
        if self.page_size is not None and "limit" in exchange.query:
            exchange.query["limit"] = str(self.page_size)
        self.ledger.append(exchange)
        for rule in list(self.rules):
            if rule.meets(exchange, self._chance):
                exchange.fault = rule.does.name
                return await rule.does(self, request, exchange)
        return await self.passed(request, exchange)

    async def passed(self, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        """Pass a request through as it is."""
        if exchange.is_watch:
            return await streams.relay(self, request, exchange)
        return told(await self.forwarded(exchange))

    async def forwarded(self, exchange: Exchange) -> Reply:
        """Let the real server answer, and note it in the ledger."""
        reply = await self.server.send(exchange.method, exchange.target, exchange.headers, exchange.raw)
        exchange.answer, exchange.status = reply.json() if exchange.is_write else {}, reply.status
        exchange.done_at = time.monotonic()
        return reply


def told(reply: Reply) -> web.Response:
    """Answer with what the real server said."""
    kept = {k: v for k, v in reply.headers.items() if k.lower() in ("content-type", "retry-after")}
    return web.Response(status=reply.status, body=reply.body, headers=kept)


def _json(raw: bytes) -> Json:
    try:
        found = json.loads(raw) if raw else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
