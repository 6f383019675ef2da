"""PodRolls as they are now, without their contents: a list of metadata confirms the records of the index.

The steps of rolls and the planning of new ones must not act on an index that may be late. A fresh list of all PodRolls
contains their evidence, though, 25 KiB each: for a few numbers of each, hundreds of MB in a large cluster. Two objects
of the same uid and resourceVersion are the same, so what the index has of the listed version is as good as the object.
Input: the index and the API server; output: records, or JSON of what the index does not have. Design note 0024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from memroll import clock
from memroll.controller.index_resync import MAX_SINGLE_READS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from memroll.clients.kube.custom_resources import ObjectVersion
    from memroll.controller.object_index import ObjectIndex
    from memroll.model.roll_record import RollRecord


class RollReader(Protocol):
    """Reads PodRolls from the API server."""

    async def list_versions(self, plural: str, namespace: str) -> tuple[ObjectVersion, ...]: ...
    def iterate_rolls(self, namespace: str) -> AsyncIterator[dict[str, Any]]: ...
    async def get_roll(self, namespace: str, name: str) -> dict[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class CurrentRolls:
    """Reads the PodRolls of a namespace, or of all if it is empty."""

    reader: RollReader
    index: ObjectIndex[RollRecord]

    def known(self, namespace: str) -> tuple[RollRecord, ...] | None:
        """Return the records of the index; None if it is too old."""
        return self.index.of_namespace(namespace) if self.index.is_current(clock.elapsed_s()) else None

    async def iterate(self, namespace: str, without_uid: str = "") -> AsyncIterator[RollRecord | dict[str, Any]]:
        """Yield the PodRolls but one: the record where the index has this version, else the object.

        Nothing that is read is put into the index: the watch enqueues what is new there.
        """
        index, reader = self.index, self.reader
        if not index.is_current(clock.elapsed_s()):
            async for raw in reader.iterate_rolls(namespace):
                yield raw
            return
        listed = [v for v in await reader.list_versions(index.kind, namespace) if v.uid != without_uid]
        known = [record for version in listed if (record := index.find(version)) is not None]
        known_uids = {record.uid for record in known}
        unknown = [version for version in listed if version.uid not in known_uids]
        if len(unknown) > MAX_SINGLE_READS:
            async for raw in reader.iterate_rolls(namespace):
                yield raw
            return
        for record in known:
            yield record
        for version in unknown:
            found = await reader.get_roll(version.namespace, version.name)
            if found is not None:
                yield found
