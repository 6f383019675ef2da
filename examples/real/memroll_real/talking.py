"""JSON over HTTP, as programs talk to a service: over a connection of its own, or over one that is kept.

Standard library only, so that the load needs no image of its own.
"""

from __future__ import annotations

import http.client
import json
import select
import threading
import time
import urllib.error
import urllib.parse
from collections import defaultdict
from typing import Any

TIMEOUT_S = 30.0
REUSED_WITHIN_S = 1.5
"""So long after its last request a connection is not used again: idle for 2 s, gunicorn closes it, perhaps just now."""


class WrongAnswer(http.client.HTTPException):
    """An answer that is not the one to this question."""


class Kept:
    """Idle connections by address, the one that was used last first: so few of them grow old."""

    def __init__(self) -> None:
        self._idle: defaultdict[str, list[tuple[float, http.client.HTTPConnection]]] = defaultdict(list)
        self._lock = threading.Lock()

    def take(self, address: str) -> http.client.HTTPConnection:
        """Return a connection. A stale one, or one that the server has closed, is opened again by its next request."""
        with self._lock:
            idle = self._idle[address]
            since, connection = idle.pop() if idle else (0.0, http.client.HTTPConnection(address, timeout=TIMEOUT_S))
        if connection.sock is not None and (
            time.monotonic() - since > REUSED_WITHIN_S or select.select([connection.sock], [], [], 0)[0]
        ):
            connection.close()
        return connection

    def give_back(self, address: str, connection: http.client.HTTPConnection, sent_s: float) -> None:
        with self._lock:
            self._idle[address].append((sent_s, connection))


_KEPT = Kept()


def ask(url: str, body: object = None, *, headers: dict[str, str] | None = None, keep: bool = False) -> Any:  # noqa: ANN401 - JSON
    """GET, or POST with a body; return what was answered. Raises what urllib raises, and tries nothing again."""
    address, path = urllib.parse.urlsplit(url).netloc, url.partition("//")[2].partition("/")[2]
    connection = _KEPT.take(address) if keep else http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    sent = {"Content-Type": "application/json"} | ({} if keep else {"Connection": "close"}) | (headers or {})
    sent_s = time.monotonic()
    try:
        if body is None:
            connection.request("GET", f"/{path}", headers=sent)
        else:
            connection.request("POST", f"/{path}", json.dumps(body), sent)
        answer = connection.getresponse()
        content = answer.read()
    except BaseException:
        connection.close()
        raise
    if keep:
        _KEPT.give_back(address, connection, sent_s)
    else:
        connection.close()
    if answer.status >= http.client.BAD_REQUEST:
        raise urllib.error.HTTPError(url, answer.status, answer.reason, answer.headers, None)
    return json.loads(content)
