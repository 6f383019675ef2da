"""A pod that answers whatever it likes: a raw TCP server, because no HTTP library would send most of this."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Answer = Callable[["Pod", asyncio.StreamWriter], Awaitable[None]]

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


class Pod:
    """Serves one kind of answer. `asked` are the heads of the requests that came."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.asked, self.port, self.sent = answer, list[str](), 0, 0
        self.serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
                await self.answer(self, writer)
        finally:
            self.serving.discard(task)
            writer.close()

    async def stop(self) -> None:
        """Let go of whoever still waits."""
        waiting = tuple(self.serving)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        self.sent += len(data)
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def pod(answer: Answer) -> AsyncIterator[Pod]:
    served = Pod(answer)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        await served.stop()


def saying(body: bytes, head: str = "Content-Type: application/json", status: str = "200 OK") -> Answer:
    """Answer at once, as a well-behaved server does."""

    async def answer(pod: Pod, writer: asyncio.StreamWriter) -> None:
        await pod.send(writer, f"HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return answer


def report(**changes: Any) -> Answer:
    return saying(json.dumps(REPORT | changes).encode())


def endless(first: bytes, again: bytes, pause_s: float = 0.0) -> Answer:
    """Begin, and never stop."""

    async def answer(pod: Pod, writer: asyncio.StreamWriter) -> None:
        await pod.send(writer, first)
        while True:
            await pod.send(writer, again)
            await asyncio.sleep(pause_s)

    return answer


async def silent(_: Pod, writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def closing(pod: Pod, writer: asyncio.StreamWriter) -> None:
    await pod.send(writer, JSON + b"Content-Length: 5000\r\n\r\n{")


JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = JSON + b"Transfer-Encoding: chunked\r\n\r\n"
PACKED = gzip.compress(b" " * (64 << 20))
HOSTILE: dict[str, tuple[Answer, str]] = {
    "drips slowly": (endless(JSON + b"Content-Length: 100000\r\n\r\n", b" ", 0.05), "no whole answer in 1.0 s"),
    "never answers": (silent, "no whole answer in 1.0 s"),
    "drips its head": (endless(b"HTTP/1.1 200 OK\r\n", b"x", 0.05), "no whole answer in 1.0 s"),
    "says that it sends 1 GiB": (
        endless(JSON + b"Content-Length: 1073741824\r\n\r\n", b"x" * 65536),
        "larger than 256",
    ),
    "sends without end": (endless(JSON + b"\r\n", b"[" * 65536), "larger than 256 KiB"),
    "sends chunks without end": (endless(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"), "larger than 256 KiB"),
    "sends tiny chunks without end": (endless(CHUNKED, b"1\r\n \r\n" * 1000), ""),
    "sends headers without end": (endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 1000), "no answer: "),
    "sends one header without end": (endless(b"HTTP/1.1 200 OK\r\na: ", b"b" * 65536), "no answer: "),
    "sends a long status": (endless(b"HTTP/1.1 200 ", b"b" * 65536), "no answer: "),
    "only hints": (endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" * 100), "no "),
    "redirects": (saying(b"", "Location: http://127.0.0.1:1/", "302 Found"), "status 302"),
    "asks for a token": (
        saying(b"{}", status="401 Unauthorized"),
        "status 401: it asks for a token, and memroll sends",
    ),
    "answers HTML": (saying(b"<script>alert(1)</script>", "Content-Type: text/html"), "but text/html"),
    "packs a bomb": (
        saying(PACKED, "Content-Type: application/json\r\nContent-Encoding: gzip"),
        "the answer is packed",
    ),
    "nests deeply": (saying(b"[" * 200_000), "JSON that is too deep"),
    "nests objects deeply": (saying(b'{"a":' * 50_000), "JSON that is too deep"),
    "sends other JSON": (saying(b'["memroll-probe/1"]'), "not a report of the kind memroll-probe/1"),
    "sends no JSON": (saying(b"\xff\xfe\x00"), "the answer is not JSON"),
    "closes early": (closing, "no answer: ClientPayloadError"),
    "sends nonsense chunks": (saying(b"zz\r\n", "Transfer-Encoding: chunked\r\nContent-Type: application/json"), "no "),
    "is no HTTP": (endless(b"\x00\x01", b"\x02" * 1000), "no answer: "),
}
"""What a pod does, and what the evidence then says of it."""
