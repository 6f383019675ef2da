"""What can go wrong with a query, as PrometheusUnavailable with a reason, a host and a remedy. Pure.

No message repeats a foreign exception's text (it holds the whole URL) or an answer's body, but for the error
that a Prometheus words itself.
"""

from __future__ import annotations

import json
import socket
import ssl
from enum import StrEnum
from typing import TYPE_CHECKING

from requests import exceptions as foreign

from memroll.errors import PrometheusUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN_ERROR = 200


class Reason(StrEnum):
    CONNECTION_REFUSED = "ConnectionRefused"
    TLS_VERIFY_FAILED = "TLSVerifyFailed"
    UNAUTHORIZED = "Unauthorized"
    FORBIDDEN = "Forbidden"
    BAD_QUERY = "BadQuery"
    QUERY_TIMEOUT = "QueryTimeout"
    PARTIAL_DATA = "PartialData"
    BAD_RESPONSE = "BadResponse"
    TOO_LARGE = "TooLarge"
    REDIRECTED = "Redirected"
    UNREACHABLE = "Unreachable"


PASSING = frozenset({502, 503, 504})
_BY_STATUS = {
    400: (Reason.BAD_QUERY, "check Prometheus' version and query limits"),
    401: (Reason.UNAUTHORIZED, "check the connection's credentials"),
    403: (Reason.FORBIDDEN, "let the connection's user query"),
    407: (Reason.UNAUTHORIZED, "check the connection's credentials"),
    413: (Reason.TOO_LARGE, "shorten the window"),
    422: (Reason.BAD_QUERY, "shorten the window, or raise Prometheus' query limits"),
    429: (Reason.UNREACHABLE, "it limits the rate of queries"),
    502: (Reason.UNREACHABLE, "does Prometheus run behind it?"),
    503: (Reason.UNREACHABLE, "is Prometheus starting or overloaded?"),
    504: (Reason.UNREACHABLE, "is Prometheus overloaded?"),
}
_BY_CLASS = {
    3: (Reason.REDIRECTED, "give the address that it redirects to"),
    5: (Reason.UNREACHABLE, "see Prometheus' own log"),
}
_OTHERWISE = (Reason.BAD_RESPONSE, "check the url's path: the query API is expected below it, at /api/v1/query")


class Passing(PrometheusUnavailable):
    """Worth one more try at once."""


def timed_out(host: str, within_s: float) -> PrometheusUnavailable:
    text = f"{host} gave no whole answer within {within_s:g} s: raise timeoutSeconds or shorten the window"
    return PrometheusUnavailable(Reason.QUERY_TIMEOUT, text)


def too_large(host: str, max_bytes: int) -> PrometheusUnavailable:
    text = f"{host} sent more than {max_bytes} bytes: shorten the window or scrape less often"
    return PrometheusUnavailable(Reason.TOO_LARGE, text)


def of_exception(host: str, error: Exception) -> PrometheusUnavailable:
    """Translate what the HTTP library raised."""
    causes = list(_causes(error))
    tls = next((c for c in causes if isinstance(c, ssl.SSLError)), None)
    if tls is not None or isinstance(error, foreign.SSLError):
        text = f"TLS with {host} failed ({_tls_detail(tls)}): check tls.caFile, certFile and serverName"
        return PrometheusUnavailable(Reason.TLS_VERIFY_FAILED, text)
    if any(isinstance(c, ConnectionRefusedError) for c in causes):
        text = f"{host} refused the connection: does Prometheus run there, and is the port right?"
        return Passing(Reason.CONNECTION_REFUSED, text)
    if any(isinstance(c, socket.gaierror) for c in causes):
        return Passing(Reason.UNREACHABLE, f"{host} can't be resolved: check the host name and DNS")
    if isinstance(error, foreign.ConnectTimeout):
        return Passing(Reason.UNREACHABLE, f"{host} does not accept connections: check the network policy")
    if isinstance(error, (foreign.ContentDecodingError, foreign.InvalidHeader)):
        return PrometheusUnavailable(Reason.BAD_RESPONSE, f"{host} sent what HTTP does not allow: is it Prometheus?")
    text = f"{host} broke the connection off: is Prometheus restarting, or does it want a client certificate?"
    return Passing(Reason.UNREACHABLE, text)


def of_status(host: str, status: int, error: ErrorAnswer) -> PrometheusUnavailable:
    """Translate an HTTP status other than 200."""
    if error.kind == "timeout":
        reason, remedy = Reason.QUERY_TIMEOUT, "shorten the window, or raise Prometheus' query timeout"
        return PrometheusUnavailable(reason, f"{host} answered HTTP {status}{error}: {remedy}")
    reason, remedy = _BY_STATUS.get(status) or _BY_CLASS.get(status // 100) or _OTHERWISE
    kind = Passing if status in PASSING else PrometheusUnavailable
    return kind(reason, f"{host} answered HTTP {status}{error}: {remedy}")


class ErrorAnswer:
    """What Prometheus says of an error, in its own words; empty for any other body."""

    def __init__(self, kind: str = "", text: str = "") -> None:
        self.kind = kind
        self._text = text

    @classmethod
    def of(cls, body: str) -> ErrorAnswer:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(content, dict) or content.get("status") != "error":
            return cls()
        kind, text = content.get("errorType"), content.get("error")
        return cls(kind if isinstance(kind, str) else "", text if isinstance(text, str) else "")

    def __str__(self) -> str:
        shown = "".join(c if c.isprintable() else " " for c in self._text[:SHOWN_ERROR])
        return f" ({shown})" if shown else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what an error wraps, however its library stores it."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]


def _tls_detail(error: ssl.SSLError | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    reason = getattr(error, "reason", None)
    return reason.lower().replace("_", " ") if isinstance(reason, str) else "the server broke it off"
