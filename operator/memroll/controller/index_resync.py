"""Resync of an index: list the metadata of all objects, remove what is gone, read what is new or has changed.

The watch reports no deletion of what vanished while it was down, and may lose an event. `manager` calls `resync_index`
every few minutes, after the watch has listed, and when this process becomes the leader.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from memroll.controller.object_index import is_older
from memroll.errors import MemrollError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from memroll.clients.kube.custom_resources import ObjectVersion
    from memroll.controller.object_index import ObjectIndex
    from memroll.model.object_record import ObjectRecord

logger = logging.getLogger(__name__)

Versions = dict[tuple[str, str], tuple[str, str]]
"""UID and resource version of objects, by namespace and name."""

MAX_SINGLE_READS = 20
"""Maximum number of objects that are read one by one; more are read by a list, in pages. Chosen by hand."""
WATCH_PAUSE_S = 1.0
"""Pause in seconds while the watch delivers the missing objects, chosen by hand."""


class ObjectReader(Protocol):
    """Reads objects of memroll's kinds."""

    async def list_versions(self, plural: str, namespace: str) -> tuple[ObjectVersion, ...]: ...
    def iterate_objects(self, plural: str, namespace: str) -> AsyncIterator[dict[str, Any]]: ...
    async def get_object(self, plural: str, namespace: str, name: str) -> dict[str, Any] | None: ...


async def resync_index(
    index: ObjectIndex[Any], reader: ObjectReader, namespaces: Sequence[str], elapsed_s: Callable[[], float]
) -> list[MemrollError]:
    """Compare an index with the API server; return the errors of the namespaces that could not be compared.

    `namespaces`: those that are watched; empty: all.
    """
    at_s, errors = elapsed_s(), []
    index.was_relisted = False
    for namespace in namespaces or ("",):
        try:
            await _resync_namespace(index, reader, namespace)
        except MemrollError as error:
            errors.append(error)
    if not errors:
        index.confirm(at_s)
    return errors


async def _resync_namespace(index: ObjectIndex[Any], reader: ObjectReader, namespace: str) -> None:
    before = index.versions()
    listed = await reader.list_versions(index.kind, namespace)
    _remove_unlisted(index, before, listed, namespace)
    restored = _find_restored(index, before, listed)
    stale = [*await _wait_for_watch(index, listed), *restored]
    if len(stale) > MAX_SINGLE_READS:
        async for raw in reader.iterate_objects(index.kind, namespace):
            index.put(index.decode(raw), is_restored=bool(restored))
        return
    for version in stale:
        found = await reader.get_object(index.kind, version.namespace, version.name)
        if found is not None:
            index.put(index.decode(found), is_restored=version in restored)


def _find_restored(
    index: ObjectIndex[ObjectRecord], before: Versions, listed: Sequence[ObjectVersion]
) -> list[ObjectVersion]:
    """Return the listed objects whose version is older than the one that was known before the list began."""
    now = index.versions()
    older = []
    for version in listed:
        key = (version.namespace, version.name)
        known = before.get(key)
        if known is not None and known == now.get(key) and is_older(version.resource_version, known[1]):
            older.append(version)
    return older


def _remove_unlisted(
    index: ObjectIndex[ObjectRecord],
    before: Versions,
    listed: Sequence[ObjectVersion],
    namespace: str,
) -> None:
    """Remove the objects that were known before the list began and are not in it. Later ones may be newer than it."""
    uids = {version.uid for version in listed}
    for (own_namespace, name), (uid, _) in before.items():
        if uid not in uids and namespace in ("", own_namespace):
            index.remove(own_namespace, name, uid)
            logger.info("%s %s/%s no longer exists", index.kind, own_namespace, name)


async def _wait_for_watch(index: ObjectIndex[Any], listed: Sequence[ObjectVersion]) -> list[ObjectVersion]:
    """Return what is missing in the index, once the watch delivers no more of it: at a start, it lists as well."""
    stale = index.find_stale(listed)
    while len(stale) > MAX_SINGLE_READS:
        await asyncio.sleep(WATCH_PAUSE_S)
        left = index.find_stale(stale)
        if len(left) >= len(stale):
            return left
        stale = left
    return stale
