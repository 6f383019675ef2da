"""The watch of pods and a real HTTP server: events, errors, and a stream that ends or breaks."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from memroll.clients.kube import pod_watch
from memroll.clients.kube.pod_watch import KubePodWatcher
from memroll.errors import ClusterUnavailableError, TerminalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from memroll.clients.kube.api_client import KubeApi

POD = {"metadata": {"namespace": "ai", "name": "chat-0", "uid": "u1"}, "status": {"phase": "Running"}}
BOOKMARK = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}


class Stream:
    """Server that sends prepared bytes to each watch, then keeps it open or ends it."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.is_kept_open = False
        self.status = 200
        self.queries: list[dict[str, str]] = []
        self.port = 0
        self.closing = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        if self.status != 200:
            return web.json_response({"message": "pods is forbidden"}, status=self.status)
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in self.chunks:
            await response.write(chunk)
        if self.is_kept_open:
            await self.closing.wait()
        return response


@pytest.fixture
async def server() -> AsyncIterator[Stream]:
    stream = Stream()
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/ai/pods", stream.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stream.port = runner.addresses[0][1]
    yield stream
    stream.closing.set()
    await runner.cleanup()


def event(type_: str, obj: Any) -> bytes:
    return json.dumps({"type": type_, "object": obj}).encode() + b"\n"


async def read(api: KubeApi) -> list[tuple[str, bool]]:
    changes = KubePodWatcher(api).watch_pods("ai", "app=chat")
    return [(change.pod.key.name, change.is_deleted) async for change in changes]


async def test_events_are_decoded_whatever_the_chunks(api: KubeApi, server: Stream) -> None:
    text = event("ADDED", POD) + json.dumps(BOOKMARK).encode() + b"\n" + event("MODIFIED", POD) + event("DELETED", POD)
    for size in (1, 7, len(text)):
        server.chunks = [text[i : i + size] for i in range(0, len(text), size)]
        assert await read(api) == [("chat-0", False), ("chat-0", False), ("chat-0", True)]
    assert server.queries[0]["labelSelector"] == "app=chat"
    assert server.queries[0]["watch"] == "true"
    assert server.queries[0]["resourceVersion"] == "0", "from the cache of the API server, whatever its etcd is"


@pytest.mark.parametrize(
    "odd", [b"null\n", b"[]\n", b"no json\n", b"\n", event("ADDED", {"metadata": 1}), event("NEW", POD)]
)
async def test_an_odd_event_is_left_out(api: KubeApi, server: Stream, odd: bytes) -> None:
    server.chunks = [odd + event("ADDED", POD)]
    assert await read(api) == [("chat-0", False)]


async def test_a_missing_permission_is_terminal(api: KubeApi, server: Stream) -> None:
    server.status = 403
    with pytest.raises(TerminalError, match="pods is forbidden"):
        await read(api)


async def test_an_error_event_and_a_silent_server_end_the_watch(api: KubeApi, server: Stream, monkeypatch: Any) -> None:
    server.chunks = [event("ERROR", {"message": "too old resource version", "code": 410})]
    with pytest.raises(ClusterUnavailableError, match="too old"):
        await read(api)
    monkeypatch.setattr(pod_watch, "IDLE_TIMEOUT_S", 0.1)
    server.chunks, server.is_kept_open = [event("ADDED", POD)], True
    with pytest.raises(ClusterUnavailableError, match="the watch of pods in ai ended"):
        await read(api)


async def test_a_line_without_an_end_is_not_kept_in_memory(api: KubeApi, server: Stream) -> None:
    server.chunks = [b"x" * 2**20] * 8
    with pytest.raises(TerminalError, match="a line is longer than"):
        await read(api)
