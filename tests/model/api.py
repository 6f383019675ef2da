"""The model's API server behind memroll's own client: the adapter on top of it is the real one.

Each request is carried out at one moment. `door` may make it wait for that moment, or let the process die there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import MERGE_PATCH, READ_TIMEOUT_S, Answer, Api, Call, checked
from tests.contract.cluster.semantics import Refused, merged, selects
from tests.model.evictions import evict
from tests.model.objects import Json, labels_of, uid_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from tests.model.server import Server

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
    sub: str

    @classmethod
    def of(cls, path: str) -> _Path:
        found = _PATH.fullmatch(path)
        if found is None:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        parts = {k: v or "" for k, v in found.groupdict().items()}
        return cls(parts["plural"], parts["namespace"], parts["name"], parts["sub"])


def carry_out(server: Server, call: Call) -> Answer:
    """Do what a request asks for, and answer as the API server does."""
    try:
        body = _carried_out(server, _Path.of(call.path), call)
    except Refused as refused:
        details: Json = refused.body.get("details", {})  # type: ignore[assignment] # what it holds is not typed there
        return Answer(refused.status, refused.body, details.get("retryAfterSeconds"))
    return Answer(201 if call.method == "POST" else 200, body)


def _carried_out(server: Server, at: _Path, call: Call) -> Json:
    body = call.body or {}
    match call.method, bool(at.name):
        case "GET", False:
            selector = str(call.query.get("labelSelector", ""))
            return {"items": [o for o in server.list(at.plural, at.namespace) if selects(selector, labels_of(o))]}
        case "GET", True:
            return server.find(at.plural, at.namespace, at.name)
        case "POST", _ if at.sub == "eviction":
            return evict(server, at.namespace, at.name, body, dry=call.query.get("dryRun") == "All")
        case "POST", _:
            return server.create(at.plural, at.namespace, body)
        case _:
            pass
    old = server.find(at.plural, at.namespace, at.name)
    match call.method:
        case "PUT":
            return _put(server, at, old, body)
        case "PATCH":
            return _patch(server, at, old, body, call.content_type)
        case "DELETE":
            _same_uid(old, body.get("preconditions", {}).get("uid"))
            server.delete(at.plural, old)
            return {"kind": "Status", "status": "Success"}
        case _:
            raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def _put(server: Server, at: _Path, old: Json, body: Json) -> Json:
    _same_version(old, body["metadata"])
    if at.sub == "status":
        return server.set_status(at.plural, old, body.get("status", {}))
    return server.update(at.plural, old, {k: v for k, v in body.items() if k != "metadata"})


def _patch(server: Server, at: _Path, old: Json, body: Json, content_type: str) -> Json:
    """Patch an object; its version is looked at before its uid, which is a field that can't change."""
    meta = body.get("metadata", {})
    _same_version(old, meta)
    if meta.get("uid", uid_of(old)) != uid_of(old):
        raise Refused(422, "Invalid", "metadata.uid: Invalid value: field is immutable")
    if at.sub == "status":
        change = body.get("status", {})
        status = old.get("status", {})
        return server.set_status(
            at.plural,
            old,
            _merged_by_type(status, change) if content_type == STRATEGIC_PATCH else merged(status, change),
        )
    assert content_type in (MERGE_PATCH, STRATEGIC_PATCH)
    kept = {k: v for k, v in meta.items() if k not in ("uid", "resourceVersion")}
    return server.update(at.plural, old, body | ({"metadata": kept} if "metadata" in body else {}))


def _merged_by_type(status: Json, change: Json) -> Json:
    """Merge as a strategic patch does with the conditions of a pod: by their types."""
    new: Json = merged(status, {k: v for k, v in change.items() if k != "conditions"})
    given = {c["type"]: c for c in change.get("conditions", ())}
    kept = [merged(c, given.pop(c["type"], {})) for c in status.get("conditions", ())]
    return new | {"conditions": [*kept, *given.values()]}


def _same_version(old: Json, meta: Json) -> None:
    version = meta.get("resourceVersion")
    if version and version != old["metadata"]["resourceVersion"]:
        raise Refused(409, "Conflict", "the object has been modified; please apply your changes to the latest version")


def _same_uid(old: Json, uid: str | None) -> None:
    if uid and uid != uid_of(old):
        raise Refused(409, "Conflict", f"Precondition failed: UID in precondition: {uid}, UID in object meta")


class ModelApi(Api):
    """memroll's client with the model at its other end; nothing is tried twice, since nothing fails by chance."""

    def __init__(self, server: Server, door: Callable[[Call], Awaitable[Answer]] | None = None) -> None:
        self._server = server
        self._door = door

    async def close(self) -> None:
        """There is no connection."""

    async def answer(self, call: Call) -> Answer:
        return await self._door(call) if self._door else carry_out(self._server, call)

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
        call = Call(method, path, query or {}, body, content_type, timeout_s)
        return checked(call, await self.answer(call))

    async def text(self, path: str, query: Mapping[str, str | int], *, bytes_max: int, timeout_s: float) -> str:
        checked(call := Call("GET", path, query), await self.answer(call))
        return "a line\n"

    async def pages(
        self, path: str, query: Mapping[str, str | int] | None = None, limit: int = 500
    ) -> AsyncIterator[Json]:
        for item in (await self.request("GET", path, query=query))["items"]:
            yield item
