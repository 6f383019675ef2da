"""Watches through the proxy: forwarded until one side closes the connection, or the proxy does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.api_proxy import ApiProxy, RequestRecord

POLL_S = 0.2
"""Interval in seconds at which an idle watch checks for its end."""


async def relay(
    proxy: ApiProxy, request: web.Request, record: RequestRecord, cut_after_s: float = float("inf")
) -> web.StreamResponse:
    """Forward a watch; after `cut_after_s` close it, in the middle of a line if there is one."""
    server = proxy.server
    timeout = aiohttp.ClientTimeout(total=None, sock_read=None)
    try:
        async with server.session.get(
            server.url + record.path_and_query, headers=record.headers, timeout=timeout
        ) as source:
            record.status = source.status
            response = web.StreamResponse(
                status=source.status, headers={"Content-Type": source.headers["Content-Type"]}
            )
            await response.prepare(request)
            end = time.monotonic() + cut_after_s
            await _copy(
                source.content, response, request, lambda: time.monotonic() >= end or record.received_at < proxy.cut_at
            )
            return response
    except (aiohttp.ClientError, ConnectionError):
        return abort(request)


async def _copy(
    source: aiohttp.StreamReader, response: web.StreamResponse, request: web.Request, must_end: Callable[[], bool]
) -> None:
    while not source.at_eof():
        if request.transport is None or request.transport.is_closing():
            return
        try:
            async with asyncio.timeout(POLL_S):
                chunk = await source.readany()
        except TimeoutError:
            chunk = b""
        if must_end():
            await response.write(chunk[: len(chunk) // 2] or b"{")
            abort(request)
            return
        if chunk:
            await response.write(chunk)


def abort(request: web.Request) -> web.Response:
    """Close the connection at once; the returned response is not sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
