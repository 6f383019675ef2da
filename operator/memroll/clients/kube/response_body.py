"""Response bodies of the API server: read up to a size, and decoded to JSON. `api_client` calls these functions.

Tenants write the objects of a list, so that a page of it can have any size: 500 pods with 256 KiB of annotations each
have 128 MiB. A page that is too large is requested again with fewer objects.
"""

from __future__ import annotations

import gc
import json
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from memroll import clock
from memroll.clients.kube.json_access import get_dict, get_str
from memroll.errors import TerminalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from datetime import datetime

    import aiohttp

MAX_PAGE_BYTES = 2 * 2**20
"""Maximum size of a page with more than one object, in bytes: 2 MiB of pods are decoded in 30 ms, measured; of the
smallest objects and lists, which pods can't consist of, in 60 ms. The decoder holds the interpreter's lock meanwhile:
no thread and no other task goes on."""
MAX_OBJECT_BYTES = 64 * 2**20
"""Maximum size of any other body, in bytes: 20 times the 3 MiB that the API server accepts in a request."""
MAX_ERROR_CHARS = 300
"""Maximum length of an error response that is not JSON, in characters; chosen by hand."""
MAX_ERROR_BYTES = 64 * 1024
"""Maximum size of an error response to a request for a stream, in bytes; chosen by hand."""
PAGE_TOO_LARGE = "PageTooLarge"
"""Error reason of a page with more than `MAX_PAGE_BYTES`: it must be requested again with fewer objects."""


async def read_body(response: aiohttp.ClientResponse, query: Mapping[str, str | int]) -> bytes:
    """Read a whole body; close the connection and raise TerminalError if it is too large."""
    is_page = int(query.get("limit", 1)) > 1
    max_bytes = MAX_PAGE_BYTES if is_page else MAX_OBJECT_BYTES
    raw = await read_beginning(response, max_bytes + 1)
    if len(raw) > max_bytes:
        reason = PAGE_TOO_LARGE if is_page else "Unreadable"
        raise TerminalError(reason, f"the response is larger than {max_bytes // 2**20} MiB")
    return raw


async def read_beginning(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read the beginning of a body, and close the connection if there is more."""
    raw = bytearray()
    async for chunk in response.content.iter_any():
        raw += chunk
        if len(raw) >= max_bytes:
            response.close()
            break
    return bytes(memoryview(raw)[:max_bytes])


async def read_lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the lines of a body that stays open; raise TerminalError for a line that is too long."""
    pending = bytearray()
    async for chunk in response.content.iter_any():
        pending += chunk
        if b"\n" in chunk:
            *lines, pending = pending.split(b"\n")
            for line in lines:
                yield bytes(line)
        if len(pending) > MAX_PAGE_BYTES:
            raise TerminalError("Unreadable", f"a line is longer than {MAX_PAGE_BYTES // 2**20} MiB")


def decode_body(raw: bytes, *, strict: bool) -> dict[str, Any]:
    """Decode a body. An error response may come from a proxy and hold any text; a success must be JSON."""
    try:
        return get_dict(_parse(raw)) if raw else {}
    except (ValueError, RecursionError):
        if strict:
            raise
        return {"message": raw[:MAX_ERROR_CHARS].decode(errors="replace")}


def readable_error(body: dict[str, Any], secrets: Iterable[str]) -> dict[str, Any]:
    """Return an error response whose message is neither a page of HTML nor holds a secret."""
    message = get_str(body, "message")
    if message.lstrip().startswith("<"):
        message = "a page of HTML, not a response of an API server"
    for secret in secrets:
        message = message.replace(secret, "***")
    return body | {"message": message} if message else body


def _parse(raw: bytes) -> object:
    """Parse JSON without the garbage collector, which takes up to five times as long as the parser.

    It would search all new objects for cycles again and again, and JSON has none.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return json.loads(raw)
    finally:
        if was_enabled:
            gc.enable()


def parse_retry_after(header: str | None) -> float | None:
    return float(header) if header and header.isascii() and header.isdigit() else None


class ServerClock:
    """Clock of a server, by the date of its last response."""

    def __init__(self) -> None:
        self._header, self._at_s = "", 0.0

    def observe(self, header: str) -> None:
        self._header, self._at_s = header, clock.elapsed_s()

    def now(self) -> datetime | None:
        """Return the server's time now; None if its last response had no valid date."""
        date = parse_date(self._header)
        return None if date is None else date + timedelta(seconds=clock.elapsed_s() - self._at_s)


def parse_date(header: str) -> datetime | None:
    """Parse the header Date of a response; None for anything else."""
    try:
        date = parsedate_to_datetime(header)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
