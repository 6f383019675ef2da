"""TCP proxy whose connections can be cut: the network between the operator and an API server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHUNK_BYTES = 65_536


class TcpProxy:
    """Proxy in front of one port of this host at a time. Without one, each new connection is closed at once."""

    def __init__(self, target_port: int | None) -> None:
        self.target_port = target_port
        self.refused = 0
        """Number of connections that were closed at once."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Close all connections, and each new one."""
        self.target_port = None
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        """Close all connections, and wait for their ends."""
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.target_port is None:
            self.refused += 1
            await _abort(writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            await _abort(writer)
            return
        both = {writer, server_writer}
        self._writers |= both
        try:
            with suppress(OSError):
                await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))
        finally:
            self._writers -= both
            for each in both:
                await _abort(each)


async def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()  # over TLS, the other side closes as well


@asynccontextmanager
async def proxying(target_port: int) -> AsyncIterator[tuple[TcpProxy, int]]:
    """Serve on a free port of the loopback address; yield the proxy and its port."""
    proxy = TcpProxy(target_port)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    try:
        yield proxy, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await proxy.close()
