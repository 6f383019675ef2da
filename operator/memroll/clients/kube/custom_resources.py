"""MemoryPolicies and PodRolls as raw JSON objects. Callers parse them into models; no field is read here."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from memroll.api import API_VERSION, POLICY_PLURAL, ROLL_PLURAL
from memroll.clients.kube.api_client import build_path
from memroll.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.clients.kube.api_client import Json, KubeApi

PREFIX = f"/apis/{API_VERSION}"
PAGE_SIZE = 100
"""Objects per page of a list. A PodRoll holds up to about 25 KiB of evidence, so a page takes 2.5 MiB at most."""
KINDS = {POLICY_PLURAL: "MemoryPolicy", ROLL_PLURAL: "PodRoll"}


class CustomResources:
    """Reads and writes MemoryPolicies and PodRolls."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def list_policies(self, namespaces: Sequence[str] = ()) -> tuple[Json, ...]:
        """Return the policies of these namespaces; without any, those of all namespaces."""
        found = [await self._list(POLICY_PLURAL, namespace) for namespace in namespaces or ("",)]
        return tuple(raw for listed in found for raw in listed)

    async def get_policy(self, namespace: str, name: str) -> Json | None:
        return await self._get(POLICY_PLURAL, namespace, name)

    async def list_rolls(self, namespace: str) -> tuple[Json, ...]:
        """Return the PodRolls of a namespace; if it is empty, those of all namespaces."""
        return await self._list(ROLL_PLURAL, namespace)

    async def get_roll(self, namespace: str, name: str) -> Json | None:
        return await self._get(ROLL_PLURAL, namespace, name)

    async def create_roll(self, namespace: str, manifest: Json) -> Json:
        """Create a PodRoll; raise ConflictError if the name is taken."""
        body = {"apiVersion": API_VERSION, "kind": KINDS[ROLL_PLURAL], **manifest}
        return await self._api.request("POST", build_path(PREFIX, namespace, ROLL_PLURAL), body=body)

    async def delete_roll(self, namespace: str, name: str, uid: str = "") -> None:
        """Delete a PodRoll, if one exists; with a uid, only the PodRoll with this uid."""
        options: Json = {"preconditions": {"uid": uid}} if uid else {}
        with suppress(NotFoundError):
            await self._api.request("DELETE", build_path(PREFIX, namespace, ROLL_PLURAL, name), body=options)

    async def write_status(self, plural: str, namespace: str, name: str, resource_version: str, status: Json) -> Json:
        """Replace the whole status; raise ConflictError if the object changed since it was read.

        Not patched: a merge would keep fields that the new status no longer has.
        """
        metadata = {"namespace": namespace, "name": name, "resourceVersion": resource_version}
        body = {"apiVersion": API_VERSION, "kind": KINDS[plural], "metadata": metadata, "status": status}
        return await self._api.request("PUT", build_path(PREFIX, namespace, plural, name, "status"), body=body)

    async def _list(self, plural: str, namespace: str) -> tuple[Json, ...]:
        items = self._api.list_items(build_path(PREFIX, namespace, plural), limit=PAGE_SIZE)
        return tuple([raw async for raw in items])

    async def _get(self, plural: str, namespace: str, name: str) -> Json | None:
        try:
            return await self._api.request("GET", build_path(PREFIX, namespace, plural, name))
        except NotFoundError:
            return None
