"""Hostile pods: raw TCP servers with responses that most HTTP libraries can't send."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    ResponseWriter = Callable[["HostilePod", asyncio.StreamWriter], Awaitable[None]]

REPORT: dict[str, Any] = {
    "schema": "memroll-probe/1",
    "uptimeSeconds": 3600,
    "process": {"pid": 1, "rssBytes": 200 << 20, "peakRssBytes": 210 << 20, "ussBytes": None, "threads": 4},
    "requests": {"total": 900, "inFlight": 2},
    "tracing": {"state": "tracing", "frames": 1, "tracedBytes": 130 << 20, "overheadBytes": 9 << 20},
    "growth": [
        {"file": "app/web.py", "line": 7, "bytes": 1 << 20, "blocks": 3},
        {"file": "app/cache.py", "line": 42, "bytes": 118 << 20, "blocks": 9000, "totalBytes": 119 << 20},
    ],
    "types": [
        {"type": "app.cache.Entry", "count": 9000, "growth": 8000, "rising": True, "referrers": ["dict of 'CACHE'"]},
        {"type": "str", "count": 10**6, "rising": False},
    ],
    "gc": {"uncollectable": 0},
}


class HostilePod:
    """Server with one kind of response. `request_heads`: heads of the received requests."""

    def __init__(self, write: ResponseWriter) -> None:
        self.write_response, self.request_heads, self.port, self.sent = write, list[str](), 0, 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                self.request_heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                await self.write_response(self, writer)
        finally:
            self.tasks.discard(task)
            writer.close()

    async def stop(self) -> None:
        """Cancel all connections."""
        waiting = tuple(self.tasks)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        self.sent += len(data)
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def serve_pod(write: ResponseWriter) -> AsyncIterator[HostilePod]:
    pod = HostilePod(write)
    server = await asyncio.start_server(pod.serve, "127.0.0.1", 0)
    pod.port = server.sockets[0].getsockname()[1]
    try:
        yield pod
    finally:
        server.close()
        await pod.stop()


def respond(body: bytes, head: str = "Content-Type: application/json", status: str = "200 OK") -> ResponseWriter:
    """Send one complete response at once."""

    async def write(pod: HostilePod, writer: asyncio.StreamWriter) -> None:
        await pod.send(writer, f"HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return write


def respond_with_report(**changes: Any) -> ResponseWriter:
    return respond(json.dumps(REPORT | changes).encode())


def endless(first: bytes, repeated: bytes, pause_s: float = 0.0) -> ResponseWriter:
    """Send a beginning, and then the same piece until the connection is closed."""

    async def write(pod: HostilePod, writer: asyncio.StreamWriter) -> None:
        await pod.send(writer, first)
        while True:
            await pod.send(writer, repeated)
            await asyncio.sleep(pause_s)

    return write


async def never_respond(_: HostilePod, writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def close_early(pod: HostilePod, writer: asyncio.StreamWriter) -> None:
    await pod.send(writer, JSON + b"Content-Length: 5000\r\n\r\n{")


JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = JSON + b"Transfer-Encoding: chunked\r\n\r\n"
COMPRESSED = gzip.compress(b" " * (64 << 20))
HOSTILE_RESPONSES: dict[str, tuple[ResponseWriter, str]] = {
    "drips slowly": (endless(JSON + b"Content-Length: 100000\r\n\r\n", b" ", 0.05), "no complete response in 1.0 s"),
    "never responds": (never_respond, "no complete response in 1.0 s"),
    "drips its headers": (endless(b"HTTP/1.1 200 OK\r\n", b"x", 0.05), "no complete response in 1.0 s"),
    "announces 1 GiB": (
        endless(JSON + b"Content-Length: 1073741824\r\n\r\n", b"x" * 65536),
        "larger than 256",
    ),
    "sends without end": (endless(JSON + b"\r\n", b"[" * 65536), "larger than 256 KiB"),
    "sends chunks without end": (endless(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"), "larger than 256 KiB"),
    "sends tiny chunks without end": (endless(CHUNKED, b"1\r\n \r\n" * 1000), ""),
    "sends headers without end": (endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 1000), "no response: "),
    "sends one header without end": (endless(b"HTTP/1.1 200 OK\r\na: ", b"b" * 65536), "no response: "),
    "sends a long status": (endless(b"HTTP/1.1 200 ", b"b" * 65536), "no response: "),
    "sends only early hints": (endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" * 100), "no "),
    "redirects": (respond(b"", "Location: http://127.0.0.1:1/", "302 Found"), "status 302"),
    "requires a token": (
        respond(b"{}", status="401 Unauthorized"),
        "status 401: it requires a token, and memroll sends",
    ),
    "responds with HTML": (respond(b"<script>alert(1)</script>", "Content-Type: text/html"), "but text/html"),
    "sends a compression bomb": (
        respond(COMPRESSED, "Content-Type: application/json\r\nContent-Encoding: gzip"),
        "the response is compressed",
    ),
    "nests deeply": (respond(b"[" * 200_000), "nested too deeply"),
    "nests objects deeply": (respond(b'{"a":' * 50_000), "nested too deeply"),
    "sends other JSON": (respond(b'["memroll-probe/1"]'), "not a report of the schema memroll-probe/1"),
    "sends no JSON": (respond(b"\xff\xfe\x00"), "the response is not JSON"),
    "closes early": (close_early, "no response: ClientPayloadError"),
    "sends nonsense chunks": (
        respond(b"zz\r\n", "Transfer-Encoding: chunked\r\nContent-Type: application/json"),
        "no ",
    ),
    "is no HTTP": (endless(b"\x00\x01", b"\x02" * 1000), "no response: "),
}
"""Hostile responses by name, each with a part of the reason in the evidence."""
