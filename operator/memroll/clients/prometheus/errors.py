"""Errors of a query: each failure becomes a PrometheusUnavailableError with a reason, the host and a remedy. Pure.

No message contains a foreign exception's text (it holds the whole URL) or a response's body, except for the error text
of Prometheus itself.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING

from requests import exceptions as foreign

from memroll.errors import PrometheusUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ERROR_CHARS = 200
"""Maximum length of the server's error text in a message, in characters; chosen by hand."""


class QueryErrorReason(StrEnum):
    """Reason of a failed query, for conditions, Events and metrics."""

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


PATH_REMEDY = "check the url's path: the query API is expected below it, at /api/v1/query"
TRANSIENT_STATUSES = frozenset({502, 503, 504})
_BY_STATUS = {
    400: (QueryErrorReason.BAD_QUERY, "check Prometheus' version and query limits"),
    401: (QueryErrorReason.UNAUTHORIZED, "check the connection's credentials"),
    403: (QueryErrorReason.FORBIDDEN, "allow the connection's user to query"),
    407: (QueryErrorReason.UNAUTHORIZED, "check the connection's credentials"),
    413: (QueryErrorReason.TOO_LARGE, "shorten the window"),
    422: (QueryErrorReason.BAD_QUERY, "shorten the window, or raise Prometheus' query limits"),
    429: (QueryErrorReason.UNREACHABLE, "it limits the rate of queries"),
    502: (QueryErrorReason.UNREACHABLE, "does Prometheus run behind it?"),
    503: (QueryErrorReason.UNREACHABLE, "is Prometheus starting or overloaded?"),
    504: (QueryErrorReason.UNREACHABLE, "is Prometheus overloaded?"),
}
_BY_CLASS = {
    3: (QueryErrorReason.REDIRECTED, "use the address that it redirects to"),
    5: (QueryErrorReason.UNREACHABLE, "see Prometheus' log"),
}
_OTHER_STATUS = (QueryErrorReason.BAD_RESPONSE, PATH_REMEDY)
_BY_TEXT = (
    (
        # Thanos, Mimir. Their limits are errors of the query, not of a store.
        re.compile(
            r"(?!.*(?:ResourceExhausted|exceeded (?:\w+ )*limit)).*(?:StoreAPI|Store Gateway|rpc error)", re.DOTALL
        ),
        frozenset({422, 500, 503}),
        (QueryErrorReason.PARTIAL_DATA, "a store did not respond, and partial data are not used: is every store up?"),
    ),
    (
        re.compile(r".*no org id", re.DOTALL),  # Mimir, Cortex
        frozenset({401}),
        (QueryErrorReason.UNAUTHORIZED, "set the tenant, in the connection's headers.X-Scope-OrgID"),
    ),
    (
        re.compile(r".*request or configuration is malformed", re.DOTALL),  # kube-rbac-proxy
        frozenset({400}),
        (QueryErrorReason.BAD_QUERY, "OpenShift's port 9092 requires queryParams.namespace in the connection"),
    ),
    (
        re.compile(r".*conflict(?:s with injected|ing label matcher)", re.DOTALL),  # prom-label-proxy
        frozenset({400}),
        (QueryErrorReason.BAD_QUERY, "the proxy permits another namespace only: use one connection per namespace"),
    ),
)
"""Reason and remedy by words in the body, where the status alone is ambiguous (design note 0020)."""
_BY_METHOD = {
    ("POST", 403): (
        QueryErrorReason.FORBIDDEN,
        "allow the connection's user to query, or set method: GET where a proxy does not permit POST",
    ),
    ("POST", 405): (QueryErrorReason.FORBIDDEN, "POST is not permitted: set method: GET in the connection"),
    ("POST", 501): (QueryErrorReason.FORBIDDEN, "POST is not permitted: set method: GET in the connection"),
    ("GET", 414): (QueryErrorReason.TOO_LARGE, "the URL is too long for it: set method: POST in the connection"),
    ("GET", 431): (QueryErrorReason.TOO_LARGE, "the URL is too long for it: set method: POST in the connection"),
}


class TransientError(PrometheusUnavailableError):
    """Error after which the session tries again, a few times."""


def timeout_error(host: str, timeout_s: float) -> PrometheusUnavailableError:
    text = f"{host} sent no complete response within {timeout_s:g} s: raise timeoutSeconds or shorten the window"
    return PrometheusUnavailableError(QueryErrorReason.QUERY_TIMEOUT, text)


def queue_error(host: str, queued_s: float) -> PrometheusUnavailableError:
    text = f"no query was sent to {host} for {queued_s:g} s: earlier ones are not answered, is it overloaded?"
    return PrometheusUnavailableError(QueryErrorReason.QUERY_TIMEOUT, text)


def too_large_error(host: str, max_bytes: int) -> PrometheusUnavailableError:
    text = f"{host} sent more than {max_bytes} bytes: shorten the window or scrape less often"
    return PrometheusUnavailableError(QueryErrorReason.TOO_LARGE, text)


def url_too_long_error(host: str, length: int, max_length: int) -> PrometheusUnavailableError:
    text = (
        f"a query of {host} by GET has a URL of {length} characters, and at most {max_length} are sent: "
        "set method: POST, or use fewer matchLabels and queryParams"
    )
    return PrometheusUnavailableError(QueryErrorReason.TOO_LARGE, text)


def from_exception(host: str, error: Exception) -> PrometheusUnavailableError:
    """Translate an exception of the HTTP library."""
    causes = list(_causes(error))
    tls = next((c for c in causes if isinstance(c, ssl.SSLError)), None)
    if tls is not None or isinstance(error, foreign.SSLError):
        text = f"TLS with {host} failed ({_tls_detail(tls)}): check tls.caFile, certFile and serverName"
        return PrometheusUnavailableError(QueryErrorReason.TLS_VERIFY_FAILED, text)
    if any(isinstance(c, ConnectionRefusedError) for c in causes):
        text = f"{host} refused the connection: does Prometheus run there, and is the port right?"
        return TransientError(QueryErrorReason.CONNECTION_REFUSED, text)
    if any(isinstance(c, socket.gaierror) for c in causes):
        return TransientError(QueryErrorReason.UNREACHABLE, f"{host} can't be resolved: check the host name and DNS")
    if isinstance(error, foreign.ConnectTimeout):
        return TransientError(
            QueryErrorReason.UNREACHABLE, f"{host} does not accept connections: check the network policy"
        )
    if isinstance(error, (foreign.ContentDecodingError, foreign.InvalidHeader)):
        return PrometheusUnavailableError(QueryErrorReason.BAD_RESPONSE, f"{host} sent invalid HTTP: is it Prometheus?")
    text = f"{host} closed the connection: is Prometheus restarting, or does it require a client certificate?"
    return TransientError(QueryErrorReason.UNREACHABLE, text)


def from_status(host: str, method: str, status: int, error: ErrorResponse) -> PrometheusUnavailableError:
    """Translate an HTTP status other than 200."""
    if error.kind == "timeout":
        reason, remedy = QueryErrorReason.QUERY_TIMEOUT, "shorten the window, or raise Prometheus' query timeout"
        return PrometheusUnavailableError(reason, f"{host} returned HTTP {status}{error}: {remedy}")
    reason, remedy = _explain(method, status, error)
    kind = TransientError if status in TRANSIENT_STATUSES else PrometheusUnavailableError
    return kind(reason, f"{host} returned HTTP {status}{error}: {remedy}")


def _explain(method: str, status: int, error: ErrorResponse) -> tuple[QueryErrorReason, str]:
    """Return reason and remedy, by the most specific of text, method and status."""
    for words, statuses, explanation in _BY_TEXT:
        if status in statuses and words.match(error.body):
            return explanation
    if status == HTTPStatus.BAD_REQUEST and not error.is_prometheus:
        return _OTHER_STATUS  # VictoriaMetrics' response to an unknown path; or not a store at all
    found = _BY_METHOD.get((method, status)) or _BY_STATUS.get(status) or _BY_CLASS.get(status // 100)
    return found or _OTHER_STATUS


class ErrorResponse:
    """Error type and text from the body of an error response; empty for a body of another format.

    `body` is only compared with known words: no message contains it.
    """

    def __init__(self, body: str, *, is_prometheus: bool = False, kind: str = "", text: str = "") -> None:
        self.body = body
        self.is_prometheus = is_prometheus
        self.kind = kind
        self._text = text

    @classmethod
    def of(cls, body: str) -> ErrorResponse:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            return cls(body)
        if not isinstance(content, dict) or content.get("status") != "error":
            return cls(body)
        kind, text = content.get("errorType"), content.get("error")
        kind, text = (found if isinstance(found, str) else "" for found in (kind, text))
        return cls(text, is_prometheus=True, kind=kind, text=text)

    def __str__(self) -> str:
        shown = "".join(c if c.isprintable() else " " for c in self._text[:MAX_ERROR_CHARS])
        return f" ({shown})" if shown else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors that it wraps, wherever its library stores them."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        current = queue.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        queue += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]


def _tls_detail(error: ssl.SSLError | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    reason = getattr(error, "reason", None)
    return reason.lower().replace("_", " ") if isinstance(reason, str) else "the server closed the connection"
