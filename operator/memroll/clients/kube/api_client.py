"""Client of the API server: sends one request and returns raw JSON, or raises one of memroll's errors.

Every other module of this package uses it. Typed models are kept out on purpose: one unexpected object would fail a
whole list, and a write would be reported as failed after the server did it. Only reads are retried: after a failed
write, only the caller can decide whether it happened. (aiohttp repeats a PUT or DELETE once when the connection drops,
so these must carry a resourceVersion or a uid.)
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.config import ConfigException
from multidict import CIMultiDict

from memroll import __version__
from memroll.clients.kube.api_errors import EXPIRED, MAX_MESSAGE_CHARS, unwrap_response
from memroll.clients.kube.connection import load_configuration
from memroll.clients.kube.json_access import get_dicts, get_str
from memroll.clients.kube.response_body import (
    PAGE_TOO_LARGE,
    ServerClock,
    decode_body,
    parse_retry_after,
    read_beginning,
    read_body,
    readable_error,
)
from memroll.errors import ClusterUnavailableError, NotFoundError, TerminalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime

    from kubernetes.aio.client.rest import RESTResponse

Json = dict[str, Any]

READ_TIMEOUT_S = 5.0
"""Default timeout of a request, all tries together, in seconds; chosen by hand."""
PAGE_SIZE = 100
"""Maximum number of objects per page of a list; chosen by hand, so that a page of common pods has 1 MiB at most."""
LIST_TIMEOUT_S = 30.0
"""Timeout for one page of a list, in seconds; chosen by hand."""
RETRY_PAUSES_S = (0.1, 0.4)
"""Pauses before the second and the third try of a read, in seconds; random jitter adds up to 100 %."""
MAX_TRIES = len(RETRY_PAUSES_S) + 1
MIN_TRY_S = 2.0
"""Minimum time for one try of a read, in seconds. A hanging connection must leave time for the next try."""
MAX_NAME_CHARS = 253
"""Maximum length of an object's name in Kubernetes, in characters."""
MAX_LIST_RESTARTS = 3
"""Maximum number of restarts of a list whose continue token expired; chosen by hand."""
USER_AGENT = f"memroll/{__version__}"
"""Client in audit logs; its first part is the manager in `metadata.managedFields`."""
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
MERGE_PATCH = "application/merge-patch+json"
TEXT_FIELD = "text"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request. `timeout_s` bounds connecting, sending and reading the response."""

    method: str
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Json | None = None
    content_type: str = JSON_TYPE
    timeout_s: float = READ_TIMEOUT_S
    form: Mapping[str, str] = field(default_factory=dict)
    """Fields of a form, the body of a request with the content type `FORM_TYPE`."""
    max_text_bytes: int = 0
    """Maximum bytes to read of a plain-text response, returned as the body's only field `TEXT_FIELD`. Zero: JSON."""
    accept: str = JSON_TYPE
    """Accepted content types of the response."""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """One HTTP response, successful or not."""

    status: int
    body: Json
    retry_after_s: float | None = None


def build_path(prefix: str, namespace: str = "", plural: str = "", name: str = "", subresource: str = "") -> str:
    """Build the path of an object or list: `build_path("/api/v1", "ai", "pods", "chat-0", "eviction")`.

    Raise NotFoundError for a name that no object can have: `.` and `..` would lead to another place in the path.
    """
    if not (_can_be_name(namespace) and _can_be_name(name)):
        shown = f"the name {name[:MAX_NAME_CHARS]!r} in namespace {namespace[:MAX_NAME_CHARS]!r}"
        raise NotFoundError("NotFound", f"no object has {shown}"[:MAX_MESSAGE_CHARS])
    parts = [prefix.rstrip("/")]
    parts += ["namespaces", quote(namespace, safe="")] if namespace else []
    parts += [quote(part, safe="") for part in (plural, name, subresource) if part]
    return "/".join(parts)


def _can_be_name(part: str) -> bool:
    """Return whether a part of a path can be a name. It may come from an annotation or an owner reference."""
    return part not in (".", "..") and len(part) <= MAX_NAME_CHARS and part.isascii()


class KubeApi:
    """Connection to one API server."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._client.user_agent = USER_AGENT
        self._server_clock = ServerClock()
        self._impersonation: tuple[tuple[str, str], ...] = ()

    @classmethod
    async def connect(cls, kubeconfig: str | None = None, context: str | None = None) -> KubeApi:
        """Connect with the given kubeconfig; default: the pod's service account, outside of a pod `KUBECONFIG`."""
        configuration = await load_configuration(kubeconfig, context)
        try:
            return cls(ApiClient(configuration))
        except OSError as error:  # a certificate's file can't be read
            message = f"no usable kubeconfig: a certificate or key is not valid: {error}"
            raise TerminalError("NoCluster", message[:MAX_MESSAGE_CHARS]) from error

    def impersonate(self, user: str, groups: Sequence[str] = ()) -> None:
        """Send all requests in the name of another user, which the API server permits to few."""
        self._impersonation = (("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups))

    def server_now(self) -> datetime | None:
        """Return the time by the API server's clock, from its last response; None if that had no valid date."""
        return self._server_clock.now()

    async def close(self) -> None:
        await self._client.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Json | None = None,
        content_type: str = JSON_TYPE,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> Json:
        """Return the JSON object of a successful response; raise one of memroll's errors for any other."""
        return await self._execute(ApiRequest(method, path, query or {}, body, content_type, timeout_s))

    async def _execute(self, request: ApiRequest) -> Json:
        """Send a request, a read up to three times; its timeout is that of all tries together."""
        is_read, timeout_s = request.method == "GET", request.timeout_s
        try_s = min(timeout_s, max(MIN_TRY_S, timeout_s / MAX_TRIES)) if is_read else timeout_s
        request = replace(request, timeout_s=try_s)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        for pause_s in RETRY_PAUSES_S if is_read else ():
            result, wait_s = await self._try_once(request)
            if isinstance(result, dict):
                return result
            wait_s = wait_s if wait_s is not None else pause_s * (1 + random.random())  # noqa: S311 - jitter
            if loop.time() + wait_s >= deadline:
                raise result
            await asyncio.sleep(wait_s)
            request = replace(request, timeout_s=min(try_s, deadline - loop.time()))
        return unwrap_response(request, await self.send(request))

    async def _try_once(self, request: ApiRequest) -> tuple[Json | ClusterUnavailableError, float | None]:
        """Return the result, or a temporary error with the pause that the server requires."""
        try:
            response = await self.send(request)
        except ClusterUnavailableError as error:
            return error, None
        try:
            return unwrap_response(request, response), None
        except ClusterUnavailableError as error:
            if error.reason == EXPIRED:
                raise
            return error, response.retry_after_s

    async def send(self, request: ApiRequest) -> ApiResponse:
        """Send a request once and return the response, also an unsuccessful one."""
        try:
            async with asyncio.timeout(request.timeout_s):
                return await self._exchange(request)
        except TimeoutError as error:
            message = f"{request.method} {request.path}: no response within {request.timeout_s:.1f} s"
            raise ClusterUnavailableError("Timeout", message) from error
        except (aiohttp.ClientError, OSError, ConfigException) as error:  # the last: the token can't be read right now
            message = f"{request.method} {request.path}: {type(error).__name__} {error}"
            raise ClusterUnavailableError("Unreachable", message[:MAX_MESSAGE_CHARS]) from error
        except ValueError as error:
            message = f"{request.method} {request.path}: the response is not JSON"
            raise ClusterUnavailableError("ServerError", message) from error
        except RecursionError as error:  # custom resources without a schema have no limit of nesting
            message = f"{request.method} {request.path}: the response is nested too deeply"
            raise TerminalError("Unreadable", message[:MAX_MESSAGE_CHARS]) from error

    async def _exchange(self, request: ApiRequest) -> ApiResponse:
        response = await self.open(request, aiohttp.ClientTimeout(total=request.timeout_s))
        self._server_clock.observe(response.headers.get("Date") or "")
        ok = response.status < HTTPStatus.BAD_REQUEST
        if ok and request.max_text_bytes:
            text = await read_beginning(response.response, request.max_text_bytes)
            return ApiResponse(response.status, {TEXT_FIELD: text.decode(errors="replace")})
        raw = await read_body(response.response, request.query)
        retry_after_s = parse_retry_after(response.headers.get("Retry-After"))
        body = decode_body(raw, strict=ok)
        return ApiResponse(response.status, body if ok else readable_error(body, self._secrets()), retry_after_s)

    def _secrets(self) -> list[str]:
        """Return the credentials, which a proxy may repeat in its error."""
        configuration = self._client.configuration
        tokens = [str(key).removeprefix("Bearer ") for key in configuration.api_key.values()]
        return [secret for secret in (*tokens, configuration.password) if secret]

    async def open(self, request: ApiRequest, limits: aiohttp.ClientTimeout) -> RESTResponse:
        """Send a request, and return the response with its body unread."""
        # An error response is JSON in any case.
        accept = f"text/plain, {JSON_TYPE}" if request.max_text_bytes else request.accept
        method, url, headers, _, _ = await self._client.param_serialize(
            request.method,
            request.path,
            query_params=list(request.query.items()),
            header_params={"Accept": accept, "Content-Type": request.content_type},
            auth_settings=["BearerToken"],
        )
        # One header for each group: a mapping would keep the last one only.
        headers = CIMultiDict([*headers.items(), *self._impersonation]) if self._impersonation else headers
        fields = list(request.form.items())
        return await self._client.call_api(method, url, headers, request.body, fields, _request_timeout=limits)

    async def get_text(self, path: str, query: Mapping[str, str | int], *, max_bytes: int, timeout_s: float) -> str:
        """Return the first `bytes_max` bytes of a plain-text resource. Not retried; raises as `request` does."""
        request = ApiRequest("GET", path, query, timeout_s=timeout_s, max_text_bytes=max_bytes)
        return get_str(unwrap_response(request, await self.send(request)), TEXT_FIELD)

    async def list_items(
        self,
        path: str,
        query: Mapping[str, str | int] | None = None,
        limit: int = PAGE_SIZE,
        *,
        accept: str = JSON_TYPE,
    ) -> AsyncIterator[Json]:
        """Yield the items of a list, page by page.

        A list whose continue token expires is restarted; items that were already yielded are skipped.
        """
        seen: set[str] = set()
        for restart in range(MAX_LIST_RESTARTS + 1):
            try:
                async for item in self._list_once(path, dict(query or {}), limit, accept):
                    uid = get_str(item, "metadata", "uid")
                    if not uid or uid not in seen:
                        seen.add(uid)
                        yield item
            except ClusterUnavailableError as error:
                if error.reason != EXPIRED or restart == MAX_LIST_RESTARTS:
                    raise
            else:
                return

    async def _list_once(self, path: str, query: dict[str, str | int], limit: int, accept: str) -> AsyncIterator[Json]:
        query["limit"] = limit
        while True:
            try:
                page = await self._execute(
                    ApiRequest("GET", path, dict(query), timeout_s=LIST_TIMEOUT_S, accept=accept)
                )
            except TerminalError as error:
                if error.reason != PAGE_TOO_LARGE:
                    raise
                query["limit"] = max(1, int(query["limit"]) // 4)
                continue
            if "items" not in page:
                raise ClusterUnavailableError("ServerError", f"GET {path}: the response is not JSON of a list")
            items, token = get_dicts(page, "items"), get_str(page, "metadata", "continue")
            for item in items:
                yield item
            page, items, item = {}, [], {}  # a page of pods has 6 MB: not two at once
            if not token:
                return
            query |= {"continue": token, "limit": min(limit, 2 * int(query["limit"]))}
