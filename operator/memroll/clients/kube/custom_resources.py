"""MemoryPolicies and PodRolls as raw JSON objects. Callers parse them into models; no field is read here."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api import API_VERSION, POLICY_PLURAL, ROLL_PLURAL
from memroll.clients.kube.api_client import MERGE_PATCH, build_path
from memroll.clients.kube.json_access import get_str
from memroll.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from memroll.clients.kube.api_client import Json, KubeApi

PREFIX = f"/apis/{API_VERSION}"
PAGE_SIZE = 100
"""Objects per page of a list. A PodRoll holds up to about 25 KiB of evidence, so a page takes 2.5 MiB at most."""
METADATA_PAGE_SIZE = 500
"""Objects per page of a list of metadata, chosen by hand: a page of PodRolls has about 0.5 MiB."""
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Accepted content type of a list whose items have no fields but `metadata`."""
KINDS = {POLICY_PLURAL: "MemoryPolicy", ROLL_PLURAL: "PodRoll"}


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """Identity and version of an object."""

    namespace: str
    name: str
    uid: str
    resource_version: str


class CustomResources:
    """Reads and writes MemoryPolicies and PodRolls."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def list_policies(self, namespaces: Sequence[str] = (), selector: str = "") -> tuple[Json, ...]:
        """Return the policies of these namespaces that a label selector selects; without any, of all namespaces."""
        found = [await self._list(POLICY_PLURAL, namespace, selector) for namespace in namespaces or ("",)]
        return tuple(raw for listed in found for raw in listed)

    async def get_policy(self, namespace: str, name: str) -> Json | None:
        return await self._get(POLICY_PLURAL, namespace, name)

    async def list_rolls(self, namespace: str) -> tuple[Json, ...]:
        """Return the PodRolls of a namespace; if it is empty, those of all namespaces."""
        return await self._list(ROLL_PLURAL, namespace)

    def iterate_rolls(self, namespace: str) -> AsyncIterator[Json]:
        """Yield the PodRolls as `list_rolls` returns them, with no more than one page in memory."""
        return self.iterate_objects(ROLL_PLURAL, namespace)

    async def get_roll(self, namespace: str, name: str) -> Json | None:
        return await self._get(ROLL_PLURAL, namespace, name)

    async def create_roll(self, namespace: str, manifest: Json) -> Json:
        """Create a PodRoll; raise ConflictError if the name is taken."""
        body = {"apiVersion": API_VERSION, "kind": KINDS[ROLL_PLURAL], **manifest}
        return await self._api.request("POST", build_path(PREFIX, namespace, ROLL_PLURAL), body=body)

    async def delete_roll(self, namespace: str, name: str, uid: str = "", resource_version: str = "") -> None:
        """Delete a PodRoll, if one exists. Raise ConflictError if it has another uid or resource version."""
        given = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {field: value for field, value in given.items() if value}
        options: Json = {"preconditions": preconditions} if preconditions else {}
        with suppress(NotFoundError):
            await self._api.request("DELETE", build_path(PREFIX, namespace, ROLL_PLURAL, name), body=options)

    async def write_status(self, plural: str, namespace: str, name: str, resource_version: str, status: Json) -> Json:
        """Replace the whole status; raise ConflictError if the object changed since it was read.

        Not patched: a merge would keep fields that the new status no longer has.
        """
        metadata = {"namespace": namespace, "name": name, "resourceVersion": resource_version}
        body = {"apiVersion": API_VERSION, "kind": KINDS[plural], "metadata": metadata, "status": status}
        return await self._api.request("PUT", build_path(PREFIX, namespace, plural, name, "status"), body=body)

    async def patch_spec(
        self, plural: str, namespace: str, name: str, spec: Json, *, resource_version: str = ""
    ) -> Json:
        """Change fields of a spec; raise ConflictError if the object has another resource version by now."""
        version = {"metadata": {"resourceVersion": resource_version}} if resource_version else {}
        path = build_path(PREFIX, namespace, plural, name)
        return await self._api.request("PATCH", path, body={**version, "spec": spec}, content_type=MERGE_PATCH)

    async def list_versions(self, plural: str, namespace: str) -> tuple[ObjectVersion, ...]:
        """Return the versions of the objects of a namespace; if it is empty, those of all namespaces."""
        path = build_path(PREFIX, namespace, plural)
        items = self._api.list_items(path, limit=METADATA_PAGE_SIZE, accept=METADATA_ONLY)
        fields = ("namespace", "name", "uid", "resourceVersion")
        return tuple([ObjectVersion(*(get_str(raw, "metadata", field) for field in fields)) async for raw in items])

    def iterate_objects(self, plural: str, namespace: str) -> AsyncIterator[Json]:
        """Yield the objects of a namespace, or of all if it is empty, with no more than one page in memory."""
        return self._api.list_items(build_path(PREFIX, namespace, plural), limit=PAGE_SIZE)

    async def get_object(self, plural: str, namespace: str, name: str) -> Json | None:
        return await self._get(plural, namespace, name)

    def server_now(self) -> datetime | None:
        """Return the time of the API server, by its last response; None before the first one."""
        return self._api.server_now()

    async def _list(self, plural: str, namespace: str, selector: str = "") -> tuple[Json, ...]:
        query = {"labelSelector": selector} if selector else None
        items = self._api.list_items(build_path(PREFIX, namespace, plural), query, limit=PAGE_SIZE)
        return tuple([raw async for raw in items])

    async def _get(self, plural: str, namespace: str, name: str) -> Json | None:
        try:
            return await self._api.request("GET", build_path(PREFIX, namespace, plural, name))
        except NotFoundError:
            return None
