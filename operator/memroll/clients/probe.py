"""One GET to one pod. Whatever it answers, or does not, it costs the time and the memory that were allowed.

aiohttp reads no proxy from the environment here, follows nothing, keeps no cookie and unpacks nothing.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import aiohttp

from memroll.errors import Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import AddrInfoType

Address = IPv4Address | IPv6Address

ANSWER_BYTES_MAX = 256 * 1024
"""A report is a quarter of that at the most."""
HEAD_BYTES_MAX = 4096
"""Of one header, of which there may be `HEADERS_MAX`."""
HEADERS_MAX = 64
BUFFER_BYTES = 16 * 1024
OK = 200
WORDS_MAX = 80


def is_a_pods(address: Address) -> bool:
    """Whether an address can be a pod's own: never this machine's, the cloud's metadata, or many at once."""
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    address = inner or address
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)


class PodReports:
    """Fetches reports. `allowed` says which addresses may be asked."""

    def __init__(self, allowed: Callable[[Address], bool] = is_a_pods) -> None:
        self._allowed = allowed

    async def report(self, ip: str, port: int, path: str, timeout_s: float) -> bytes:
        """Return the body of the answer. Raises Unanswered for any other than a small one in JSON."""
        try:
            address = ip_address(ip)
            if not self._allowed(address):
                raise Unanswered("NotAPod", f"{address} can't be a pod's own address")
            host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
            url = f"http://{host}:{port}{path}"  # of numbers alone: nothing is looked up
            async with asyncio.timeout(timeout_s):
                return await _fetched(url, timeout_s)
        except TimeoutError:
            raise Unanswered("Timeout", f"no whole answer in {timeout_s:.1f} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unanswered("Unreachable", f"no answer: {type(error).__name__}") from error


async def _fetched(url: str, timeout_s: float) -> bytes:
    connector = aiohttp.TCPConnector(force_close=True, limit=1, socket_factory=_small_socket)
    async with (
        aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            read_bufsize=BUFFER_BYTES,
            max_line_size=HEAD_BYTES_MAX,
            max_field_size=HEAD_BYTES_MAX,
            max_headers=HEADERS_MAX,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "memroll"},
        ) as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        _check(answer)
        return await _body(answer)


def _small_socket(info: AddrInfoType) -> socket.socket:
    """Let the kernel keep little: what has come is parsed at one go, and other rolls wait meanwhile."""
    family, kind, protocol, _, _ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    return made


def _check(answer: aiohttp.ClientResponse) -> None:
    """Refuse by its head what can't be a report."""
    if answer.status != OK:
        hint = ": it asks for a token, and memroll sends none" if answer.status in (401, 403) else ""
        raise Unanswered("Status", f"status {answer.status}{hint}")
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise Unanswered("Encoded", "the answer is packed, though that was not asked for")
    if answer.content_type != "application/json":
        raise Unanswered("NotAReport", f"the answer is not application/json but {_word(answer.content_type)}")
    if (answer.content_length or 0) > ANSWER_BYTES_MAX:
        raise Unanswered("TooLarge", _too_large())


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    read = bytearray()
    async for chunk in answer.content.iter_chunked(BUFFER_BYTES):
        read += chunk
        if len(read) > ANSWER_BYTES_MAX:
            raise Unanswered("TooLarge", _too_large())
    return bytes(read)


def _too_large() -> str:
    return f"the answer is larger than {ANSWER_BYTES_MAX // 1024} KiB"


def _word(text: str) -> str:
    return "".join(c for c in text[:WORDS_MAX] if c.isascii() and (c.isalnum() or c in "/+.-"))
