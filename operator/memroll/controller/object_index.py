"""Index of the MemoryPolicies and PodRolls of the cluster: small records, fed by the watch, checked by the resync.

`manager` feeds it; the controllers read it instead of listing the objects at each reconcile. It is used while it was
compared with the API server not long ago, see `is_current`; otherwise the controllers list. What acts reads its object
again, and PodRolls are counted by a fresh list before one is created. Design note 0024.

All methods but `decode` are called in memroll's event loop. `decode` keeps no state: the watch calls it in its thread.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from memroll.api.decode import decode_or_none
from memroll.clients.kube.json_access import get_int, get_str
from memroll.model.object_record import ObjectRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from memroll.clients.kube.custom_resources import ObjectVersion

logger = logging.getLogger(__name__)

MAX_AGE_S = 900.0
"""Maximum time in seconds since the index was compared with the API server, chosen by hand: two resyncs may fail."""


@dataclass(frozen=True, slots=True)
class InvalidRecord(ObjectRecord):
    """Object that can't be decoded. It is known, so that it is not read at each resync."""

    is_ignored: bool
    """True if nothing is to be done for it."""

    @property
    def has_ended(self) -> bool:
        return self.is_ignored


R = TypeVar("R", bound=ObjectRecord)


class ObjectIndex(Generic[R]):
    """Records of one kind, by namespace and name.

    `ignore_invalid`: nothing is to be done for an object that can't be decoded.
    """

    def __init__(self, kind: str, decode: Callable[[dict[str, Any]], R], *, ignore_invalid: bool = False) -> None:
        self.kind = kind
        self._ignore_invalid = ignore_invalid
        self._decode = decode
        self._records: dict[str, dict[str, R | InvalidRecord]] = {}
        self._confirmed_at_s: float | None = None
        self.was_relisted = False
        """True after the watch has begun to list, until the next resync."""

    def decode(self, raw: dict[str, Any]) -> R | InvalidRecord:
        """Build the record of an object."""
        record = decode_or_none(raw, self._decode)
        if record is not None:
            return record
        namespace, name, uid, version = (
            get_str(raw, "metadata", field) for field in ("namespace", "name", "uid", "resourceVersion")
        )
        logger.warning("%s %s/%s is invalid", self.kind, namespace, name)
        generation, deleting = get_int(raw, "metadata", "generation"), get_str(raw, "metadata", "deletionTimestamp")
        return InvalidRecord(namespace, name, uid, version, generation, bool(deleting), self._ignore_invalid)

    def put(self, record: R | InvalidRecord, *, is_restored: bool = False) -> bool:
        """Store a record; return whether the object is new, its spec has changed, or it is being deleted.

        A record of an older version is dropped: a list or a response may arrive after a newer event of the watch. With
        `is_restored` it is stored: after a restore of etcd, versions begin again at those of the backup. The status
        does not count as a change: memroll writes it.
        """
        known = self._get(record.namespace, record.name)
        if known is not None and not is_restored and is_older(record.resource_version, known.resource_version):
            return False
        self._records.setdefault(record.namespace, {})[record.name] = record
        is_known = known is not None and (known.uid, known.generation) == (record.uid, record.generation)
        return not is_known or record.deleting

    def remove(self, namespace: str, name: str, uid: str) -> bool:
        """Remove an object; return whether it was in progress, or not known. An object of another uid stays."""
        known = self._get(namespace, name)
        if known is None:
            return True
        if known.uid != uid:
            return False
        records = self._records[namespace]
        del records[name]
        if not records:
            del self._records[namespace]
        return not known.has_ended

    def remove_missing(self, namespace: str, name: str) -> None:
        """Remove an object that the API server does not have."""
        known = self._get(namespace, name)
        if known is not None:
            self.remove(namespace, name, known.uid)

    def _get(self, namespace: str, name: str) -> R | InvalidRecord | None:
        return self._records.get(namespace, {}).get(name)

    def of_namespace(self, namespace: str) -> tuple[R, ...]:
        """Return the valid records of a namespace."""
        return tuple(r for r in self._records.get(namespace, {}).values() if not isinstance(r, InvalidRecord))

    @property
    def namespaces(self) -> tuple[str, ...]:
        return tuple(self._records)

    def in_progress(self) -> Iterator[R | InvalidRecord]:
        """Yield the records of all namespaces that have not ended."""
        return (r for records in self._records.values() for r in records.values() if not r.has_ended)

    def __len__(self) -> int:
        return sum(map(len, self._records.values()))

    def versions(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Return the uid and the resource version of all objects, by namespace and name."""
        return {
            (r.namespace, r.name): (r.uid, r.resource_version)
            for records in self._records.values()
            for r in records.values()
        }

    def find_stale(self, listed: Iterable[ObjectVersion]) -> list[ObjectVersion]:
        """Return the listed objects that are missing here, or have a newer version."""
        return [v for v in listed if self._is_stale(v)]

    def _is_stale(self, listed: ObjectVersion) -> bool:
        known = self._get(listed.namespace, listed.name)
        if known is None:
            return True
        return not _is_version(known, listed) and not is_older(listed.resource_version, known.resource_version)

    def find(self, version: ObjectVersion) -> R | None:
        """Return the record of an object of exactly this version; None if it is not known, or invalid."""
        known = self._get(version.namespace, version.name)
        if known is None or isinstance(known, InvalidRecord):
            return None
        return known if _is_version(known, version) else None

    def has(self, namespace: str, name: str, uid: str) -> bool:
        """Return whether this object is known, in any version."""
        known = self._get(namespace, name)
        return known is not None and known.uid == uid

    def is_newer(self, namespace: str, name: str, uid: str, version: str) -> bool:
        """Return whether the index has a newer version of an object than this one, or another object of its name."""
        known = self._get(namespace, name)
        return known is not None and (known.uid != uid or is_older(version, known.resource_version))

    def confirm(self, at_s: float) -> None:
        """Record that the index was the same as the API server's list at this time."""
        self._confirmed_at_s = at_s

    def age_s(self, now_s: float) -> float:
        """Return the seconds since the index was compared with the API server; infinite if it never was."""
        return float("inf") if self._confirmed_at_s is None else now_s - self._confirmed_at_s

    def is_current(self, now_s: float) -> bool:
        """Return whether the index may be used instead of a list."""
        return self.age_s(now_s) <= MAX_AGE_S


def is_older(version: str, other: str) -> bool:
    """Return whether a resource version is older than another one of the same kind of object.

    They are numbers that grow, and clients may compare them since Kubernetes 1.35. Any other text counts as newer.
    """
    return version.isdecimal() and other.isdecimal() and int(version) < int(other)


def _is_version(record: ObjectRecord, version: ObjectVersion) -> bool:
    """Return whether a record is that of this object in this version."""
    return (record.uid, record.resource_version) == (version.uid, version.resource_version)
