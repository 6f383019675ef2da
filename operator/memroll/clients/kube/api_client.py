"""The one door to the API server: one call in, raw JSON out, foreign errors translated.

Typed models are kept out on purpose: one odd object would fail a whole list, and a write would be reported as
failed after the server did it. Only reads are tried again; a write that may have happened is the caller's to judge.
(aiohttp sends a PUT or DELETE once more when the connection drops: those must name a resourceVersion or a uid.)
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from memroll.clients.kube.json_access import mapping, mappings, text
from memroll.clients.kube.kubeconfig import missing_kubeconfig
from memroll.errors import ClusterUnavailable, Conflict, MemrollError, NotFound, Stalled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

Json = dict[str, Any]

READ_TIMEOUT_S = 5.0
LIST_TIMEOUT_S = 30.0
PAUSES_S = (0.1, 0.4)
"""Before the second and the third try of a read; up to as much again is added by chance."""
TRIES = len(PAUSES_S) + 1
TRY_LEAST_S = 2.0
"""What one try of a read gets at least, of the time for all: a connection that hangs must leave some for the next."""
MESSAGE_MAX = 300
RESTARTS_MAX = 3
EXPIRED = "Expired"
"""The reason for which a list must be begun anew."""
MERGE_PATCH = "application/merge-patch+json"
TEXT = "text"

_CONFLICT = 409
_EXPIRED = 410
_THROTTLED = 429
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `timeout_s` bounds all of it: tries, pauses and reading the answer."""

    method: str
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Json | None = None
    content_type: str = "application/json"
    timeout_s: float = READ_TIMEOUT_S
    text_bytes_max: int = 0
    """Above zero: a success is plain text, of which so much is read; it is the answer's only field, `TEXT`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said, whether it is a success or not."""

    status: int
    body: Json
    retry_after_s: float | None = None


def path_of(prefix: str, namespace: str = "", plural: str = "", name: str = "", subresource: str = "") -> str:
    """Build the path of an object or list: `path_of("/api/v1", "ai", "pods", "chat-0", "eviction")`."""
    parts = [prefix.rstrip("/")]
    parts += ["namespaces", quote(namespace, safe="")] if namespace else []
    parts += [quote(part, safe="") for part in (plural, name, subresource) if part]
    return "/".join(parts)


class Api:
    """Requests to one API server."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @classmethod
    async def connect(cls, kubeconfig: str | None = None) -> Api:
        """Use the named kubeconfig; without one the pod's service account, and outside of a pod `KUBECONFIG`."""
        configuration = Configuration()
        try:
            if kubeconfig or not _in_cluster(configuration):
                if nowhere := missing_kubeconfig(kubeconfig):
                    raise Stalled("NoCluster", f"no service account, and no kubeconfig: {nowhere}"[:MESSAGE_MAX])
                await load_kube_config(config_file=kubeconfig, client_configuration=configuration, persist_config=False)
            configuration.retries = None  # here None means none; False would be read as the number 0
            return cls(ApiClient(configuration))
        except (ConfigException, OSError) as error:
            message = f"no service account and no usable kubeconfig: {error}"
            raise Stalled("NoCluster", message[:MESSAGE_MAX]) from error

    async def close(self) -> None:
        await self._client.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
        timeout_s: float = READ_TIMEOUT_S,
    ) -> Json:
        """Return the JSON object of a successful answer; raise one of memroll's errors for any other."""
        a_try_s = timeout_s if method != "GET" else min(timeout_s, max(TRY_LEAST_S, timeout_s / TRIES))
        call = Call(method, path, query or {}, body, content_type, a_try_s)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        for pause_s in PAUSES_S if method == "GET" else ():
            trouble, wait_s = await self._tried(call)
            if isinstance(trouble, dict):
                return trouble
            wait_s = wait_s if wait_s is not None else pause_s * (1 + random.random())  # noqa: S311 - jitter
            if loop.time() + wait_s >= deadline:
                raise trouble
            await asyncio.sleep(wait_s)
            call = Call(method, path, call.query, body, content_type, min(a_try_s, deadline - loop.time()))
        return checked(call, await self.answer(call))

    async def _tried(self, call: Call) -> tuple[Json | ClusterUnavailable, float | None]:
        """Return the result, or a passing trouble with the pause that the server asks for."""
        try:
            answer = await self.answer(call)
        except ClusterUnavailable as error:
            return error, None
        try:
            return checked(call, answer), None
        except ClusterUnavailable as error:
            if error.reason == EXPIRED:
                raise
            return error, answer.retry_after_s

    async def answer(self, call: Call) -> Answer:
        """Send one request once, and return whatever the server answers."""
        try:
            async with asyncio.timeout(call.timeout_s):
                return await self._exchange(call)
        except TimeoutError as error:
            message = f"{call.method} {call.path}: no answer in {call.timeout_s:.1f} s"
            raise ClusterUnavailable("Timeout", message) from error
        except (aiohttp.ClientError, OSError, ConfigException) as error:  # the last: no token to read just now
            message = f"{call.method} {call.path}: {type(error).__name__} {error}"
            raise ClusterUnavailable("Unreachable", message[:MESSAGE_MAX]) from error
        except ValueError as error:
            message = f"{call.method} {call.path}: the answer is not JSON"
            raise ClusterUnavailable("ServerError", message) from error
        except RecursionError as error:  # objects of kinds without a schema may be nested as deeply as one likes
            message = f"{call.method} {call.path}: the answer is nested too deeply to be read"
            raise Stalled("Unreadable", message[:MESSAGE_MAX]) from error

    async def _exchange(self, call: Call) -> Answer:
        method, url, headers, _, _ = await self._client.param_serialize(
            call.method,
            call.path,
            query_params=list(call.query.items()),
            header_params={"Accept": _accepted(call), "Content-Type": call.content_type},
            auth_settings=["BearerToken"],
        )
        timeout = aiohttp.ClientTimeout(total=call.timeout_s)
        response = await self._client.call_api(method, url, headers, body=call.body, _request_timeout=timeout)
        ok = response.status < 400  # noqa: PLR2004 - HTTP's own border
        if ok and call.text_bytes_max:
            return Answer(response.status, {TEXT: await _text(response.response, call.text_bytes_max)})
        raw = await response.read()
        return Answer(response.status, _decoded(raw, strict=ok), _seconds(response.headers.get("Retry-After")))

    async def text(self, path: str, query: Mapping[str, str | int], *, bytes_max: int, timeout_s: float) -> str:
        """Return plain text, asked for once and read up to so many bytes; raises as `request` does."""
        call = Call("GET", path, query, timeout_s=timeout_s, text_bytes_max=bytes_max)
        return text(checked(call, await self.answer(call)), TEXT)

    async def pages(
        self, path: str, query: Mapping[str, str | int] | None = None, limit: int = 500
    ) -> AsyncIterator[Json]:
        """Yield the items of a list, page by page.

        A list whose continue token expires is begun anew; what was already yielded is not yielded again.
        """
        seen: set[str] = set()
        for restart in range(RESTARTS_MAX + 1):
            try:
                async for item in self._pages_once(path, dict(query or {}), limit):
                    uid = text(item, "metadata", "uid")
                    if not uid or uid not in seen:
                        seen.add(uid)
                        yield item
            except ClusterUnavailable as error:
                if error.reason != EXPIRED or restart == RESTARTS_MAX:
                    raise
            else:
                return

    async def _pages_once(self, path: str, query: dict[str, str | int], limit: int) -> AsyncIterator[Json]:
        query["limit"] = limit
        while True:
            page = await self.request("GET", path, query=query, timeout_s=LIST_TIMEOUT_S)
            for item in mappings(page, "items"):
                yield item
            token = text(page, "metadata", "continue")
            if not token:
                return
            query["continue"] = token


def _accepted(call: Call) -> str:
    """Say what is wanted; a refusal is JSON in any case."""
    return "text/plain, application/json" if call.text_bytes_max else "application/json"


async def _text(response: aiohttp.ClientResponse, bytes_max: int) -> str:
    """Read the beginning of a body, and drop the connection where there is more."""
    raw = bytearray()
    async for chunk in response.content.iter_any():
        raw += chunk
        if len(raw) >= bytes_max:
            response.close()
            break
    return bytes(raw[:bytes_max]).decode(errors="replace")


def _in_cluster(configuration: Configuration) -> bool:
    """Fill in the pod's service account, if this runs in a pod; its token is read again each minute."""
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException:
        return False
    return True


def checked(call: Call, answer: Answer) -> Json:
    """Return the body of a success; raise what any other answer means."""
    error = error_of(call, answer)
    if error is not None:
        raise error
    return answer.body


def error_of(call: Call, answer: Answer) -> MemrollError | None:
    """Say in memroll's errors what an answer means; None for a success."""
    status = answer.status
    if status < 400:  # noqa: PLR2004 - HTTP's own border
        return None
    said = text(answer.body, "message") or f"status {status}"
    message = f"{call.method} {call.path}: {said}"[:MESSAGE_MAX]
    later = 5.0 if answer.retry_after_s is None else answer.retry_after_s
    if status == 404:  # noqa: PLR2004 - its meaning is the reason below
        return NotFound("NotFound", message)
    if status == _CONFLICT:
        return Conflict(text(answer.body, "reason") or "Conflict", message, later)
    if status == _EXPIRED:
        return ClusterUnavailable(EXPIRED, message, later)
    if status == _THROTTLED:
        return ClusterUnavailable("TooManyRequests", message, later)
    if status >= _SERVER_ERROR:
        return ClusterUnavailable("ServerError", message, later)
    return Stalled("Forbidden" if status in (401, 403) else "Rejected", message)


def causes(answer: Answer) -> frozenset[str]:
    """Return the machine-readable causes of a refusal."""
    return frozenset(text(cause, "reason") for cause in mappings(answer.body, "details", "causes"))


def _decoded(raw: bytes, *, strict: bool) -> Json:
    """Read the body. A refusal may come from a proxy and be any text; a success must be JSON."""
    try:
        return mapping(json.loads(raw)) if raw else {}
    except (ValueError, RecursionError):
        if strict:
            raise
        return {"message": raw[:MESSAGE_MAX].decode(errors="replace")}


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isascii() and header.isdigit() else None
