"""JSON over HTTP, as a person or a program talks to a service: some requests in a row over one connection.

Standard library only, so that the load needs no image of its own.
"""

from __future__ import annotations

import http.client
import json
import sys
import urllib.error
import urllib.parse
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

TIMEOUT_S = 30.0
MOST_SHOWN = 2_000
"""So much of an answer that says why a request failed goes into the load's log."""


class WrongAnswer(http.client.HTTPException):
    """An answer that is not the one to this question."""


class Talk:
    """One connection, opened by the first request and kept until the end. Nothing is tried again."""

    def __init__(self, url: str) -> None:
        self._base = url.rstrip("/")
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def ask(self, path: str, body: object = None, **headers: str) -> Any:  # noqa: ANN401 - JSON
        """GET, or POST with a body; return what was answered. Raises what urllib raises."""
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        if body is None:
            self._connection.request("GET", path, headers=sent)
        else:
            self._connection.request("POST", path, json.dumps(body), sent)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= http.client.BAD_REQUEST:
            print(f"{self._base}{path}: {answer.status} {content[:MOST_SHOWN]!r}", file=sys.stderr, flush=True)
            raise urllib.error.HTTPError(f"{self._base}{path}", answer.status, answer.reason, answer.headers, None)
        return json.loads(content)
