"""Watches through the proxy: passed on as they come, until one side ends or the proxy cuts them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.apiproxy import ApiProxy, Exchange

LOOK_S = 0.2
"""How often an idle watch looks whether it is to end."""


async def relay(
    proxy: ApiProxy, request: web.Request, exchange: Exchange, cut_after_s: float = float("inf")
) -> web.StreamResponse:
    """Pass a watch on; after `cut_after_s` cut it, in the middle of a line where there is one."""
    server = proxy.server
    timeout = aiohttp.ClientTimeout(total=None, sock_read=None)
    try:
        async with server.session.get(
            server.url + exchange.target, headers=exchange.headers, timeout=timeout
        ) as source:
            exchange.status = source.status
            response = web.StreamResponse(
                status=source.status, headers={"Content-Type": source.headers["Content-Type"]}
            )
            await response.prepare(request)
            end = time.monotonic() + cut_after_s
            await _copy(
                source.content, response, request, lambda: time.monotonic() >= end or exchange.at < proxy.cut_at
            )
            return response
    except (aiohttp.ClientError, ConnectionError):
        return hung_up(request)


async def _copy(
    source: aiohttp.StreamReader, response: web.StreamResponse, request: web.Request, ends: Callable[[], bool]
) -> None:
    while not source.at_eof():
        if request.transport is None or request.transport.is_closing():
            return
        try:
            async with asyncio.timeout(LOOK_S):
                chunk = await source.readany()
        except TimeoutError:
            chunk = b""
        if ends():
            await response.write(chunk[: len(chunk) // 2] or b"{")
            hung_up(request)
            return
        if chunk:
            await response.write(chunk)


def hung_up(request: web.Request) -> web.Response:
    """Cut the connection at once; the response that is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
