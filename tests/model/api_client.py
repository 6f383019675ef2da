"""memroll's API client connected to the model's API server; the classes that use the client are the real ones.

The execution of a request is atomic. An interceptor can delay it, or kill the process before or after it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import (
    MERGE_PATCH,
    READ_TIMEOUT_S,
    ApiRequest,
    ApiResponse,
    KubeApi,
    unwrap_response,
)
from tests.contract.cluster.api_semantics import RefusedError, apply_merge_patch, selects
from tests.model.evictions import evict
from tests.model.objects import Json, labels_of, uid_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from tests.model.api_server import ModelApiServer

STRATEGIC_PATCH = "application/strategic-merge-patch+json"
_PATH = re.compile(
    r"(?:/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)


@dataclass(frozen=True, slots=True)
class _Path:
    plural: str
    namespace: str
    name: str
    subresource: str

    @classmethod
    def of(cls, path: str) -> _Path:
        found = _PATH.fullmatch(path)
        if found is None:
            raise RefusedError(404, "NotFound", "the server could not find the requested resource")
        parts = {k: v or "" for k, v in found.groupdict().items()}
        return cls(parts["plural"], parts["namespace"], parts["name"], parts["sub"])


def execute(server: ModelApiServer, request: ApiRequest) -> ApiResponse:
    """Execute a request, and respond as the API server does."""
    try:
        body = _execute(server, _Path.of(request.path), request)
    except RefusedError as error:
        details: Json = error.body.get("details", {})  # type: ignore[assignment] # its values are not typed
        return ApiResponse(error.status, error.body, details.get("retryAfterSeconds"))
    return ApiResponse(201 if request.method == "POST" else 200, body)


def _execute(server: ModelApiServer, path: _Path, request: ApiRequest) -> Json:
    body = request.body or {}
    match request.method, bool(path.name):
        case "GET", False:
            selector = str(request.query.get("labelSelector", ""))
            return {"items": [o for o in server.list(path.plural, path.namespace) if selects(selector, labels_of(o))]}
        case "GET", True:
            return server.find(path.plural, path.namespace, path.name)
        case "POST", _ if path.subresource == "eviction":
            return evict(server, path.namespace, path.name, body, dry_run=request.query.get("dryRun") == "All")
        case "POST", _:
            return server.create(path.plural, path.namespace, body)
        case _:
            pass
    old = server.find(path.plural, path.namespace, path.name)
    match request.method:
        case "PUT":
            return _put(server, path, old, body)
        case "PATCH":
            return _patch(server, path, old, body, request.content_type)
        case "DELETE":
            _check_uid(old, body.get("preconditions", {}).get("uid"))
            server.delete(path.plural, old)
            return {"kind": "Status", "status": "Success"}
        case _:
            raise RefusedError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
            )


def _put(server: ModelApiServer, path: _Path, old: Json, body: Json) -> Json:
    _check_version(old, body["metadata"])
    if path.subresource == "status":
        return server.set_status(path.plural, old, body.get("status", {}))
    return server.update(path.plural, old, {k: v for k, v in body.items() if k != "metadata"})


def _patch(server: ModelApiServer, path: _Path, old: Json, body: Json, content_type: str) -> Json:
    """Patch an object; the API server checks its version before its uid, which is an immutable field."""
    meta = body.get("metadata", {})
    _check_version(old, meta)
    if meta.get("uid", uid_of(old)) != uid_of(old):
        raise RefusedError(422, "Invalid", "metadata.uid: Invalid value: field is immutable")
    if path.subresource == "status":
        change = body.get("status", {})
        status = old.get("status", {})
        return server.set_status(
            path.plural,
            old,
            _merge_conditions(status, change) if content_type == STRATEGIC_PATCH else apply_merge_patch(status, change),
        )
    assert content_type in (MERGE_PATCH, STRATEGIC_PATCH)
    kept = {k: v for k, v in meta.items() if k not in ("uid", "resourceVersion")}
    return server.update(path.plural, old, body | ({"metadata": kept} if "metadata" in body else {}))


def _merge_conditions(status: Json, change: Json) -> Json:
    """Merge conditions by their types, as a strategic merge patch does."""
    new: Json = apply_merge_patch(status, {k: v for k, v in change.items() if k != "conditions"})
    given = {c["type"]: c for c in change.get("conditions", ())}
    kept = [apply_merge_patch(c, given.pop(c["type"], {})) for c in status.get("conditions", ())]
    return new | {"conditions": [*kept, *given.values()]}


def _check_version(old: Json, meta: Json) -> None:
    version = meta.get("resourceVersion")
    if version and version != old["metadata"]["resourceVersion"]:
        raise RefusedError(
            409, "Conflict", "the object has been modified; please apply your changes to the latest version"
        )


def _check_uid(old: Json, uid: str | None) -> None:
    if uid and uid != uid_of(old):
        raise RefusedError(409, "Conflict", f"Precondition failed: UID in precondition: {uid}, UID in object meta")


class ModelApi(KubeApi):
    """memroll's API client for the model; without retries, because nothing fails at random."""

    def __init__(
        self, server: ModelApiServer, interceptor: Callable[[ApiRequest], Awaitable[ApiResponse]] | None = None
    ) -> None:
        self._server = server
        self._interceptor = interceptor

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def send(self, request: ApiRequest) -> ApiResponse:
        return await self._interceptor(request) if self._interceptor else execute(self._server, request)

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
        request = ApiRequest(method, path, query or {}, body, content_type, timeout_s)
        return unwrap_response(request, await self.send(request))

    async def get_text(self, path: str, query: Mapping[str, str | int], *, max_bytes: int, timeout_s: float) -> str:
        unwrap_response(request := ApiRequest("GET", path, query), await self.send(request))
        return "a line\n"

    async def list_items(
        self, path: str, query: Mapping[str, str | int] | None = None, limit: int = 500, *, accept: str = ""
    ) -> AsyncIterator[Json]:
        for item in (await self.request("GET", path, query=query))["items"]:
            yield item
