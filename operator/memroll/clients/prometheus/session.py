"""HTTP session of one Prometheus connection: sends a query and returns the text of the response, within limits.

The client calls it from its threads. The underlying session is that of prometheus-api-client's PrometheusConnect. Its
query methods are not used: they put the query into the URL, have a timeout per byte instead of per response, follow
redirects, and drop Prometheus' warnings.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
import urllib3
from prometheus_api_client import PrometheusConnect

from memroll.clients.prometheus import errors, query_plan
from memroll.clients.prometheus.credentials import read_credentials
from memroll.clients.prometheus.http_adapter import NO_RETRY, PrometheusHttpAdapter
from memroll.clients.prometheus.promql import QueryScope
from memroll.clients.prometheus.response import touched_samples
from memroll.clients.prometheus.timeout import closing_after

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memroll.clients.prometheus.config import Connection
    from memroll.clients.prometheus.timeout import Timeout
    from memroll.errors import PrometheusUnavailableError

CONNECT_TIMEOUT_S = 5.0
"""Timeout for connecting, in seconds; chosen by hand."""
MAX_URL_CHARS = 8000
"""Maximum length of path and query of a URL, in characters: common proxies accept request lines of 8 KiB."""
MAX_URL_NAMES_BYTES = 4 * 1024
"""Maximum size of all pod names in a URL, in bytes; the rest is for other parts of the query. Chosen by hand."""
CHUNK_BYTES = 256 * 1024
"""Size of the parts in which a body is read, in bytes; chosen by hand."""
MAX_ERROR_BYTES = 16 * 1024
"""Maximum size of the body of an error response, in bytes; chosen by hand."""
RETRY_PAUSES_S = (0.5, 2.0)
"""Maximum random pauses between a transient error and the next try, in seconds; chosen by hand."""


@dataclass(frozen=True, slots=True)
class QueryCost:
    """Cost of one query."""

    response_bytes: int
    samples: int | None
    """Number of samples that the server touched; None if it does not report it."""


ObserveQuery = Callable[[QueryCost], None]
"""Function that is called with the cost of each query that was answered."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection."""

    max_body_bytes: int = 64 * 1024 * 1024
    """Maximum size of one response, in bytes."""
    max_concurrent: int = 4
    """Maximum number of reads that run at the same time; in the operator that of policies, `maxPoliciesAtOnce`."""


class PrometheusSession:
    """Session used by several threads at once. It is replaced when one of the connection's files changes."""

    def __init__(self, connection: Connection, limits: Limits, observe: ObserveQuery = lambda _: None) -> None:
        self._connection = connection
        self._credentials = read_credentials(connection)
        self._limits = limits
        self._observe = observe
        self._http = _http_session(connection)
        if self._credentials.header:
            self._http.headers["Authorization"] = self._credentials.header
        self._client = PrometheusConnect(connection.url, session=self._http, retry=NO_RETRY, method=connection.method)
        # Replaces the adapter that the client mounts on the URL, and those of the schemes, which requests would use
        # if it normalizes the URL differently.
        adapter = PrometheusHttpAdapter(connection.tls.server_name, limits.max_concurrent)
        for prefix in (connection.url, "http://", "https://"):
            self._http.mount(prefix, adapter)

    @property
    def host(self) -> str:
        return self._connection.host

    @property
    def match_labels(self) -> Mapping[str, str]:
        """Labels that every queried series must have."""
        return self._connection.match_labels

    @property
    def max_names_bytes(self) -> int:
        """Maximum size of all pod names in a query, in bytes."""
        return MAX_URL_NAMES_BYTES if self._connection.method == "GET" else query_plan.MAX_NAMES_BYTES

    def scope(self, namespace: str) -> QueryScope:
        """Return the scope of queries about a namespace."""
        return QueryScope(namespace, self.match_labels)

    def query(self, query: str, at_s: float | None, timeout: Timeout) -> str:
        """Return the text of the response; raise PrometheusUnavailableError for every failure.

        The timeout starts now, and includes the retries after transient errors.
        """
        timeout.start()
        for max_pause_s in RETRY_PAUSES_S:
            try:
                return self._query_once(query, at_s, timeout)
            except errors.TransientError:
                pause_s = random.uniform(max_pause_s / 5, max_pause_s)  # noqa: S311 - jitter
                if timeout.remaining_s <= 2 * pause_s:
                    raise
            time.sleep(pause_s)
        return self._query_once(query, at_s, timeout)

    def close(self) -> None:
        self._client.close()

    def _query_once(self, query: str, at_s: float | None, timeout: Timeout) -> str:
        if timeout.is_expired() or timeout.is_abandoned:
            raise self._timeout_error(timeout)
        try:
            with self._send(query, at_s, timeout) as response:
                return self._read_text(response, timeout)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            late = timeout.is_expired() or isinstance(error, requests.ReadTimeout)
            translated = self._timeout_error(timeout) if late else errors.from_exception(self.host, error)
        raise translated  # outside of the handler, so that no traceback contains the foreign exception's text

    def _timeout_error(self, timeout: Timeout) -> PrometheusUnavailableError:
        return errors.timeout_error(self.host, timeout.timeout_s)

    def _send(self, query: str, at_s: float | None, timeout: Timeout) -> requests.Response:
        remaining_s = timeout.remaining_s + 0.001  # requests takes zero for no timeout
        request = self._request(_query_fields(query, at_s, remaining_s))
        limits_s = (min(CONNECT_TIMEOUT_S, remaining_s), remaining_s)
        return self._http.send(request, timeout=limits_s, allow_redirects=False, stream=True)

    def _request(self, fields: Mapping[str, str]) -> requests.PreparedRequest:
        method, url = self._connection.method, f"{self._client.url}/api/v1/query"
        parameters = self._connection.query_params
        if method == "POST":
            return self._http.prepare_request(requests.Request(method, url, data=fields, params=parameters))
        request = self._http.prepare_request(requests.Request(method, url, params={**parameters, **fields}))
        if len(request.path_url) > MAX_URL_CHARS:
            raise errors.url_too_long_error(self.host, len(request.path_url), MAX_URL_CHARS)
        return request

    def _read_text(self, response: requests.Response, timeout: Timeout) -> str:
        ok = response.status_code == HTTPStatus.OK
        max_bytes = self._limits.max_body_bytes if ok else MAX_ERROR_BYTES
        body = _read_body(response, max_bytes, timeout)
        if timeout.is_expired():  # a body that the timeout cut off also gets here
            raise self._timeout_error(timeout)
        if ok and len(body) > max_bytes:
            raise errors.too_large_error(self.host, max_bytes)
        text = body.decode("utf-8", errors="replace")
        if not ok:
            error = errors.ErrorResponse.of(self._credentials.redact(text))
            raise errors.from_status(self.host, self._connection.method, response.status_code, error)
        self._observe(QueryCost(len(body), touched_samples(text)))
        return text


def _query_fields(query: str, at_s: float | None, timeout_s: float) -> dict[str, str]:
    """Return the parameters of a query. Servers ignore those of other servers (design note 0020)."""
    fields = {
        "query": query,
        "timeout": f"{timeout_s:.3f}",
        # Thanos: fail if a store is missing; one of two replicas; no downsampled data. Its frontend drops `0s`.
        "partial_response": "false",
        "dedup": "true",
        "max_source_resolution": "1s",
        # VictoriaMetrics: also the newest samples. By default it hides those of the last 30 s.
        "latency_offset": "1ms",
        # Prometheus: the number of samples that the query touches, for a metric.
        "stats": "all",
    }
    return fields if at_s is None else {**fields, "time": f"{at_s:.3f}"}


def _http_session(connection: Connection) -> requests.Session:
    """Return a session that uses nothing from the environment: no proxy, no netrc, no other CA bundle."""
    tls = connection.tls
    session = requests.Session()
    session.trust_env = False
    session.headers.update(connection.headers)
    # Compression would cost more than the cluster's network does, and the size limit counts the bytes received.
    session.headers.update({"Accept": "application/json", "Accept-Encoding": "identity"})
    session.verify = str(tls.ca_file) if tls.ca_file else not tls.insecure_skip_verify
    if tls.cert_file and tls.key_file:
        session.cert = (str(tls.cert_file), str(tls.key_file))
    if tls.insecure_skip_verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the administrator set insecureSkipVerify
    return session


def _read_body(response: requests.Response, max_bytes: int, timeout: Timeout) -> bytearray:
    """Read until the end, the timeout, or more than `max_bytes`."""
    body = bytearray()
    with closing_after(response.raw.shutdown, timeout.remaining_s):
        for chunk in response.iter_content(CHUNK_BYTES):
            body += chunk
            if len(body) > max_bytes or timeout.is_expired():
                break
    return body
