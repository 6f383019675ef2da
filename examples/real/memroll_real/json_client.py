"""JSON client that sends several requests over one HTTP connection. Used by the visits of the load.

Standard library only, so that the load needs no separate image.
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
MAX_LOGGED_BYTES = 2_000
"""Maximum number of bytes of an error response that are written to the load's log."""


class UnexpectedResponseError(http.client.HTTPException):
    """Response that does not belong to the request, or lacks expected content."""


class JsonConnection:
    """HTTP connection that is opened by the first request and kept until the end. Requests are not retried."""

    def __init__(self, url: str) -> None:
        self._base = url.rstrip("/")
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def request(self, path: str, body: object = None, **headers: str) -> Any:  # noqa: ANN401 - JSON
        """Send a GET request, or a POST request with a body; return the decoded response. Raises urllib's errors."""
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        if body is None:
            self._connection.request("GET", path, headers=sent)
        else:
            self._connection.request("POST", path, json.dumps(body), sent)
        response = self._connection.getresponse()
        content = response.read()
        if response.status >= http.client.BAD_REQUEST:
            print(f"{self._base}{path}: {response.status} {content[:MAX_LOGGED_BYTES]!r}", file=sys.stderr, flush=True)
            raise urllib.error.HTTPError(
                f"{self._base}{path}", response.status, response.reason, response.headers, None
            )
        return json.loads(content)
