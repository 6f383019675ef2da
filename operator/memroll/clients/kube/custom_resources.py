"""MemoryPolicies and PodRolls as raw objects. Their models are the callers'; no field is read here."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from memroll.api import API_VERSION
from memroll.clients.kube.api_client import path_of
from memroll.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.clients.kube.api_client import Api, Json

PREFIX = f"/apis/{API_VERSION}"
PAGE = 100
"""A PodRoll holds up to some 25 KiB of evidence: what a page takes in memory is bounded."""
POLICIES = "memorypolicies"
ROLLS = "podrolls"
KINDS = {POLICIES: "MemoryPolicy", ROLLS: "PodRoll"}


class Records:
    """Reads and writes the two kinds."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def policies(self, namespaces: Sequence[str] = ()) -> tuple[Json, ...]:
        """Return the policies of some namespaces, or of all when none is named."""
        found = [await self._listed(POLICIES, namespace) for namespace in namespaces or ("",)]
        return tuple(raw for listed in found for raw in listed)

    async def policy(self, namespace: str, name: str) -> Json | None:
        return await self._one(POLICIES, namespace, name)

    async def rolls(self, namespace: str) -> tuple[Json, ...]:
        """Return the rolls of a namespace, or of all namespaces when it is empty."""
        return await self._listed(ROLLS, namespace)

    async def roll(self, namespace: str, name: str) -> Json | None:
        return await self._one(ROLLS, namespace, name)

    async def create_roll(self, namespace: str, manifest: Json) -> Json:
        """Create a PodRoll; one of that name that exists already is a Conflict."""
        body = {"apiVersion": API_VERSION, "kind": KINDS[ROLLS], **manifest}
        return await self._api.request("POST", path_of(PREFIX, namespace, ROLLS), body=body)

    async def delete_roll(self, namespace: str, name: str, uid: str = "") -> None:
        """Delete a PodRoll; with a uid only that very one. One that is gone already is fine."""
        options: Json = {"preconditions": {"uid": uid}} if uid else {}
        with suppress(NotFound):
            await self._api.request("DELETE", path_of(PREFIX, namespace, ROLLS, name), body=options)

    async def write_status(self, plural: str, namespace: str, name: str, resource_version: str, status: Json) -> Json:
        """Replace the whole status; raise Conflict when the object has changed since it was read.

        Replaced, not patched: a merge would keep the fields that the new status has dropped.
        """
        metadata = {"namespace": namespace, "name": name, "resourceVersion": resource_version}
        body = {"apiVersion": API_VERSION, "kind": KINDS[plural], "metadata": metadata, "status": status}
        return await self._api.request("PUT", path_of(PREFIX, namespace, plural, name, "status"), body=body)

    async def _listed(self, plural: str, namespace: str) -> tuple[Json, ...]:
        pages = self._api.pages(path_of(PREFIX, namespace, plural), limit=PAGE)
        return tuple([raw async for raw in pages])

    async def _one(self, plural: str, namespace: str, name: str) -> Json | None:
        try:
            return await self._api.request("GET", path_of(PREFIX, namespace, plural, name))
        except NotFound:
            return None
