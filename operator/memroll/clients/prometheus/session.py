"""One Prometheus connection, opened: a query in, the text of a 200 answer out, within a deadline and a size.

The session is that of prometheus-api-client's PrometheusConnect. Its query methods are not used: they put the
query in the URL, wait per byte rather than per answer, follow redirects and drop Prometheus' warnings.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests
import urllib3
from prometheus_api_client import PrometheusConnect

from memroll.clients.prometheus import errors
from memroll.clients.prometheus.credentials import credentials_of
from memroll.clients.prometheus.http_adapter import NO_RETRY, Adapter
from memroll.clients.prometheus.timeout import hanging_up

if TYPE_CHECKING:
    from memroll.clients.prometheus.config import Connection
    from memroll.clients.prometheus.timeout import Deadline
    from memroll.errors import PrometheusUnavailable

CONNECT_S = 5.0
CHUNK_BYTES = 256 * 1024
ERROR_BYTES_MAX = 16 * 1024
PAUSE_S = (0.1, 0.5)
"""Between a failure that may pass and the second try."""
HTTP_OK = 200


@dataclass(frozen=True, slots=True)
class Limits:
    body_bytes: int = 64 * 1024 * 1024
    """Of one answer."""
    at_once: int = 2
    """Reads of one connection that run at the same time."""


class PrometheusSession:
    """Used by several threads at once; a connection whose files changed gets a new one."""

    def __init__(self, connection: Connection, limits: Limits) -> None:
        self._connection = connection
        self._credentials = credentials_of(connection)
        self._limits = limits
        self._http = _http_session(connection)
        if self._credentials.header:
            self._http.headers["Authorization"] = self._credentials.header
        self._client = PrometheusConnect(connection.url, session=self._http, retry=NO_RETRY, method="POST")
        # The client mounts an adapter of its own on the URL: this one takes its place, and those of the schemes,
        # which would step in where requests writes the URL in another way.
        adapter = Adapter(connection.tls.server_name, limits.at_once)
        for prefix in (connection.url, "http://", "https://"):
            self._http.mount(prefix, adapter)

    @property
    def host(self) -> str:
        return self._connection.host

    def ask(self, query: str, at_s: float | None, deadline: Deadline) -> str:
        """Return the answer's text. Every failure is a PrometheusUnavailable."""
        try:
            return self._try(query, at_s, deadline)
        except errors.Passing:
            pause_s = random.uniform(*PAUSE_S)  # noqa: S311 - spreads load, guards nothing
            if deadline.left_s <= 2 * pause_s:
                raise
        time.sleep(pause_s)
        return self._try(query, at_s, deadline)

    def close(self) -> None:
        self._client.close()

    def _try(self, query: str, at_s: float | None, deadline: Deadline) -> str:
        if deadline.passed():
            raise self._timed_out(deadline)
        try:
            with self._post(query, at_s, deadline) as response:
                return self._text_of(response, deadline)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            late = deadline.passed() or isinstance(error, requests.ReadTimeout)
            trouble = self._timed_out(deadline) if late else errors.of_exception(self.host, error)
        raise trouble  # outside the handler, so that no traceback drags the foreign text along

    def _timed_out(self, deadline: Deadline) -> PrometheusUnavailable:
        return errors.timed_out(self.host, deadline.after_s)

    def _post(self, query: str, at_s: float | None, deadline: Deadline) -> requests.Response:
        left_s = deadline.left_s + 0.001  # zero would mean "for ever"
        form = {
            "query": query,
            "timeout": f"{left_s:.3f}",
            # Thanos: fail rather than leave a store out; one of two replicas; no downsampled data. Others ignore it.
            "partial_response": "false",
            "dedup": "true",
            "max_source_resolution": "0s",
        }
        if at_s is not None:
            form["time"] = f"{at_s:.3f}"
        return self._http.post(
            f"{self._client.url}/api/v1/query",
            data=form,
            params=self._connection.query_params,
            timeout=(min(CONNECT_S, left_s), left_s),
            allow_redirects=False,
            stream=True,
        )

    def _text_of(self, response: requests.Response, deadline: Deadline) -> str:
        ok = response.status_code == HTTP_OK
        max_bytes = self._limits.body_bytes if ok else ERROR_BYTES_MAX
        body = _body(response, max_bytes, deadline)
        if deadline.passed():  # also how a body looks that the deadline cut off
            raise self._timed_out(deadline)
        if ok and len(body) > max_bytes:
            raise errors.too_large(self.host, max_bytes)
        text = body.decode("utf-8", errors="replace")
        if not ok:
            error = errors.ErrorAnswer.of(self._credentials.redact(text))
            raise errors.of_status(self.host, response.status_code, error)
        return text


def _http_session(connection: Connection) -> requests.Session:
    """Return a session that takes nothing from the environment: no proxy, no netrc, no other CA bundle."""
    tls = connection.tls
    session = requests.Session()
    session.trust_env = False
    session.headers.update(connection.headers)
    # Compressing numbers costs both sides more than the cluster's network does, and the cap counts what is sent.
    session.headers.update({"Accept": "application/json", "Accept-Encoding": "identity"})
    session.verify = str(tls.ca_file) if tls.ca_file else not tls.insecure_skip_verify
    if tls.cert_file and tls.key_file:
        session.cert = (str(tls.cert_file), str(tls.key_file))
    if tls.insecure_skip_verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the admin asked for it in writing
    return session


def _body(response: requests.Response, max_bytes: int, deadline: Deadline) -> bytearray:
    """Read until the end, the deadline, or one byte too many."""
    body = bytearray()
    with hanging_up(response.raw.shutdown, deadline.left_s):
        for chunk in response.iter_content(CHUNK_BYTES):
            body += chunk
            if len(body) > max_bytes or deadline.passed():
                break
    return body
