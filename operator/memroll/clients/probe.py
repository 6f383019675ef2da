"""Client of the probe: fetches a pod's memory report with one GET, bounded in time and memory.

The evidence capture calls it. The pod is not trusted: no proxy from the environment, no redirects, no cookies, no
decompression.
"""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import aiohttp

from memroll.errors import ProbeUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import AddrInfoType

Address = IPv4Address | IPv6Address

MAX_REPORT_BYTES = 256 * 1024
"""Maximum size of a response body, in bytes: four times the largest report of the probe."""
MAX_HEADER_BYTES = 4096
"""Maximum size of one response header, in bytes."""
MAX_HEADERS = 64
"""Maximum number of response headers; chosen by hand."""
BUFFER_BYTES = 16 * 1024
"""Size of the receive buffers, in bytes, chosen by hand: at most that much is parsed at once."""
MAX_WORD_CHARS = 80
"""Maximum length of a content type in a message, in characters; chosen by hand."""


def can_be_pod_address(address: Address) -> bool:
    """Return whether an address can be a pod's own: not loopback, link-local (cloud metadata) or multicast."""
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    address = inner or address
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)


class ProbeClient:
    """Fetches memory reports from pods. `is_allowed` restricts the addresses."""

    def __init__(self, is_allowed: Callable[[Address], bool] = can_be_pod_address) -> None:
        self._is_allowed = is_allowed

    async def fetch_report(self, ip: str, port: int, path: str, timeout_s: float) -> bytes:
        """Return the body of the response; raise ProbeUnavailableError unless it is a small one of type JSON."""
        try:
            address = ip_address(ip)
            if not self._is_allowed(address):
                raise ProbeUnavailableError("NotAPod", f"{address} can't be a pod's own address")
            host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
            url = f"http://{host}:{port}{path}"  # an IP address: no DNS lookup
            async with asyncio.timeout(timeout_s):
                return await _fetch(url, timeout_s)
        except TimeoutError:
            raise ProbeUnavailableError("Timeout", f"no complete response in {timeout_s:.1f} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ProbeUnavailableError("Unreachable", f"no response: {type(error).__name__}") from error


async def _fetch(url: str, timeout_s: float) -> bytes:
    connector = aiohttp.TCPConnector(force_close=True, limit=1, socket_factory=_small_socket)
    async with (
        aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            read_bufsize=BUFFER_BYTES,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "memroll"},
        ) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        _check_head(response)
        return await _read_body(response)


def _small_socket(info: AddrInfoType) -> socket.socket:
    """Create a socket with a small buffer: parsing all received bytes at once blocks the event loop."""
    family, kind, protocol, _, _ = info
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    return sock


def _check_head(response: aiohttp.ClientResponse) -> None:
    """Raise ProbeUnavailableError if the response's status or headers exclude a report."""
    if response.status != HTTPStatus.OK:
        needs_token = response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        hint = ": it requires a token, and memroll sends none" if needs_token else ""
        raise ProbeUnavailableError("Status", f"status {response.status}{hint}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise ProbeUnavailableError("Encoded", "the response is compressed, although no compression was accepted")
    if response.content_type != "application/json":
        raise ProbeUnavailableError(
            "NotAReport", f"the response is not application/json but {_sanitize(response.content_type)}"
        )
    if (response.content_length or 0) > MAX_REPORT_BYTES:
        raise ProbeUnavailableError("TooLarge", _too_large_message())


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    read = bytearray()
    async for chunk in response.content.iter_chunked(BUFFER_BYTES):
        read += chunk
        if len(read) > MAX_REPORT_BYTES:
            raise ProbeUnavailableError("TooLarge", _too_large_message())
    return bytes(read)


def _too_large_message() -> str:
    return f"the response is larger than {MAX_REPORT_BYTES // 1024} KiB"


def _sanitize(text: str) -> str:
    return "".join(c for c in text[:MAX_WORD_CHARS] if c.isascii() and (c.isalnum() or c in "/+.-"))
