"""Fake API server for tests: objects of any kind in memory, with the error responses that matter to memroll.

It supports resourceVersions, uids, merge and JSON patches, the status and eviction subresources, label selectors and
pages. A `Fault` makes it hang, reset the connection, or return an error.
"""

from __future__ import annotations

import asyncio
import copy
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.contract.cluster.api_semantics import RefusedError, apply_json_patch, apply_merge_patch, selects

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

PATH = re.compile(
    r"^(?P<prefix>/api/v1|/apis/[^/]+/[^/]+)(/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[^/]+)(/(?P<name>[^/]+))?(/(?P<sub>[^/]+))?$"
)
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Fault:
    """Fault instead of the response to matching requests; with `after`, the request is executed first."""

    kind: str
    """One of hang, reset, deep (JSON that is nested 100,000 times), or a status code as text."""
    method: str = ""
    path: str = ""
    times: int = 1
    after: bool = False
    message: str = "injected"
    headers: dict[str, str] = field(default_factory=dict)

    def hits(self, request: web.Request) -> bool:
        requested = f"{request.path}?{request.query_string}"
        return self.times > 0 and self.method in ("", request.method) and self.path in requested


@dataclass(frozen=True)
class At:
    prefix: str
    plural: str
    namespace: str
    name: str = ""
    sub: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.prefix, self.plural, self.namespace, self.name)


class FakeApi:
    """Store of objects, faults and log of requests. `port` is set while it serves."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str, str], Json] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, Json]] = []
        self.tokens: list[str] = []
        self.agents: set[str] = set()
        self.users: set[str] = set()
        """Users that requests impersonate."""
        self.groups: set[tuple[str, ...]] = set()
        """Groups of a request that impersonates some."""
        self.evictions: dict[str, str] = {}
        """Obstacle of the eviction by pod name (blocked, throttled, two-budgets)."""
        self.evicted: list[str] = []
        self.logs: dict[str, bytes] = {}
        """Log by pod name."""
        self.user_uid = ""
        """Uid that a SelfSubjectReview returns: that of the caller's ServiceAccount."""
        self.denied: set[tuple[str, str]] = set()
        """Verbs and resources that a SelfSubjectAccessReview denies."""
        self.documents: dict[str, Json] = {}
        """Responses to GET requests for other paths, such as `/version`."""
        self.port = 0
        self._version = 0
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self._closing.set()
        if self._runner:
            await self._runner.cleanup()

    # Access for tests.

    def add(self, path: str, obj: Json) -> Json:
        """Create an object at the path of its list."""
        return self._create(_at(path), obj)

    def get(self, path: str) -> Json:
        return self.objects[_at(path).key]

    def touch(self, path: str, change: Callable[[Json], None]) -> None:
        """Change an object as another client would."""
        obj = self.get(path)
        change(obj)
        self._stamp(obj)

    def remove(self, path: str) -> None:
        del self.objects[_at(path).key]

    def calls(self, method: str, path: str = "") -> list[str]:
        return [p for m, p, _ in self.requests if m == method and path in p]

    # HTTP.

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else {}
        self.requests.append((request.method, f"{request.path}?{request.query_string}", body))
        self.tokens.append(request.headers.get("Authorization", ""))
        self.agents.add(request.headers.get("User-Agent", ""))
        self.users |= {request.headers["Impersonate-User"]} if "Impersonate-User" in request.headers else set()
        groups = tuple(request.headers.getall("Impersonate-Group", []))
        self.groups |= {groups} if groups else set()
        fault = next((f for f in self.faults if f.hits(request)), None)
        if fault and not fault.after:
            return await self._fail(request, fault)
        if request.path.endswith("/log"):
            return web.Response(body=self.logs.get(_at(request.path).name, b""), content_type="text/plain")
        if request.path in self.documents:
            return web.json_response(self.documents[request.path])
        try:
            response = self._respond(request, body)
            if "as=PartialObjectMetadataList" in request.headers.get("Accept", ""):
                response = response | {"items": [{"metadata": item["metadata"]} for item in response["items"]]}
            status = 201 if request.method == "POST" else 200
        except RefusedError as refused:
            response, status = refused.body, refused.status
        if fault:
            return await self._fail(request, fault)
        headers = {"Retry-After": "10"} if response.get("message", "") == "throttled" else {}
        return web.json_response(response, status=status, headers=headers)

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        fault.times -= 1
        if fault.kind == "hang":
            await self._closing.wait()
        if fault.kind in ("hang", "reset"):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if fault.kind == "deep":
            return web.Response(text="[" * 100_000 + "]" * 100_000, content_type="application/json")
        body = {"kind": "Status", "message": fault.message, "code": int(fault.kind)}
        return web.json_response(body, status=int(fault.kind), headers=fault.headers)

    def _respond(self, request: web.Request, body: Json) -> Json:
        at = _at(request.path)
        match request.method, bool(at.name), at.sub:
            case "GET", False, _:
                return self._list(at, request.query)
            case "GET", True, _:
                return self._find(at)
            case "POST", False, _:
                return self._review(body) if at.plural.endswith("reviews") else self._create(at, body)
            case "POST", True, "eviction":
                return self._evict(at, body, dry_run=bool(request.query.get("dryRun")))
            case "PUT", True, _:
                return self._put(at, body)
            case "PATCH", True, _:
                return self._patch(at, body, request.content_type)
            case "DELETE", True, _:
                return self._delete(at, body)
            case _:
                raise RefusedError(405, "MethodNotAllowed", "this method is not allowed on this resource")

    def _find(self, at: At) -> Json:
        if at.key not in self.objects:
            raise RefusedError(404, "NotFound", f'{at.plural} "{at.name}" not found')
        return self.objects[at.key]

    def _list(self, at: At, query: Any) -> Json:
        keys = sorted(k for k in self.objects if k[:2] == at.key[:2] and at.namespace in ("", k[2]))
        found = [self.objects[k] for k in keys]
        found = [o for o in found if selects(query.get("labelSelector", ""), o["metadata"].get("labels") or {})]
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 0)) or len(found)
        rest = {"continue": str(start + limit)} if start + limit < len(found) else {}
        return {"kind": "List", "metadata": rest, "items": found[start : start + limit]}

    def _review(self, body: Json) -> Json:
        wanted = body.get("spec", {}).get("resourceAttributes", {})
        resource = "/".join(part for part in (wanted.get("resource"), wanted.get("subresource")) if part)
        allowed = (wanted.get("verb"), resource) not in self.denied
        return {**body, "status": {"userInfo": {"uid": self.user_uid}, "allowed": allowed}}

    def _create(self, at: At, body: Json) -> Json:
        obj = copy.deepcopy(body)
        metadata = obj.setdefault("metadata", {})
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", _rfc3339(START + timedelta(seconds=self._version)))
        if at.namespace:
            metadata["namespace"] = at.namespace
        key = (*at.key[:3], metadata["name"])
        if key in self.objects:
            raise RefusedError(409, "AlreadyExists", f'{at.plural} "{metadata["name"]}" already exists')
        self.objects[key] = obj
        self._stamp(obj)
        return obj

    def _put(self, at: At, body: Json) -> Json:
        old = self._find(at)
        self._same(old, body.get("metadata", {}))
        if at.sub == "status":
            old["status"] = body.get("status")
        else:
            kept = {k: old["metadata"][k] for k in ("uid", "creationTimestamp")}
            old.update({**body, "metadata": body["metadata"] | kept})
        self._stamp(old)
        return old

    def _patch(self, at: At, body: Any, content_type: str) -> Json:
        old = self._find(at)
        if content_type == "application/json-patch+json":
            new = apply_json_patch(old, body)
        else:
            self._same(old, body.get("metadata", {}))
            new = apply_merge_patch(old, body)
        if new == old:
            return old
        old.clear()
        old.update(new)
        self._stamp(old)
        return old

    def _delete(self, at: At, body: Json) -> Json:
        old = self._find(at)
        self._precondition(old, body)
        del self.objects[at.key]
        return {"kind": "Status", "status": "Success"}

    def _evict(self, at: At, body: Json, *, dry_run: bool) -> Json:
        pod = self._find(at)
        self._precondition(pod, body.get("deleteOptions", {}))
        match self.evictions.get(at.name):
            case "blocked":
                message = "Cannot evict pod as it would violate the pod's disruption budget."
                raise RefusedError(
                    429, "TooManyRequests", message, causes=[{"reason": "DisruptionBudget", "message": "1"}]
                )
            case "throttled":
                raise RefusedError(429, "TooManyRequests", "throttled")
            case "two-budgets":
                message = (
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
                )
                raise RefusedError(500, "InternalError", message)
            case _:
                pass
        if dry_run:
            return {"kind": "Status", "status": "Success"}
        self.evicted.append(at.name)
        pod["metadata"]["deletionTimestamp"] = _rfc3339(START)
        self._stamp(pod)
        return {"kind": "Status", "status": "Success"}

    def _precondition(self, obj: Json, options: Json) -> None:
        expected_uid = options.get("preconditions", {}).get("uid")
        if expected_uid and expected_uid != obj["metadata"]["uid"]:
            raise RefusedError(409, "Conflict", f"Precondition failed: UID in precondition: {expected_uid}")
        version = options.get("preconditions", {}).get("resourceVersion")
        if version and version != obj["metadata"]["resourceVersion"]:
            raise RefusedError(409, "Conflict", f"Precondition failed: resourceVersion in precondition: {version}")

    def _same(self, old: Json, metadata: Json) -> None:
        version = metadata.get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            raise RefusedError(409, "Conflict", "the object has been modified")
        if metadata.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            raise RefusedError(422, "Invalid", "metadata.uid: Invalid value: field is immutable")

    def _stamp(self, obj: Json) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)


def _at(path: str) -> At:
    found = PATH.fullmatch(path)
    if not found:
        raise RefusedError(404, "NotFound", "the server could not find the requested resource")
    parts = {k: v or "" for k, v in found.groupdict().items()}
    return At(parts["prefix"], parts["plural"], parts["namespace"], parts["name"], parts["sub"])


def _rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
