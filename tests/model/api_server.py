"""API server of the model: objects, their versions, and admission.

Objects are never modified in place: a reader keeps the version that it has read.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.contract.cluster.api_semantics import RefusedError, apply_merge_patch
from tests.model.objects import Json, is_deleting, name_of, node_of, phase_of, uid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ObjectKey = tuple[str, str, str]
"""Plural, namespace, name."""


@dataclass(frozen=True, slots=True)
class Write:
    """Executed write. `after` is None for a deleted object."""

    actor: str
    verb: str
    plural: str
    before: Json | None
    after: Json | None

    @property
    def uid(self) -> str:
        obj = self.after or self.before
        assert obj is not None
        return uid_of(obj)


@dataclass
class ModelApiServer:
    """Store of objects. Controllers call it directly, clients through `api_client.py`."""

    objects: dict[ObjectKey, Json] = field(default_factory=dict)
    observers: list[Callable[[Write], None]] = field(default_factory=list)
    seconds: float = 0.0
    actor: str = "user"
    version: int = 1
    _created_count: int = 0

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def timestamp(self) -> str:
        """Return the time in the API server's format, in whole seconds."""
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    @contextmanager
    def act_as(self, actor: str) -> Iterator[None]:
        """Attribute the writes in the block to an actor, for the observers."""
        before, self.actor = self.actor, actor
        try:
            yield
        finally:
            self.actor = before

    def get(self, plural: str, namespace: str, name: str) -> Json | None:
        return self.objects.get((plural, namespace, name))

    def find(self, plural: str, namespace: str, name: str) -> Json:
        found = self.get(plural, namespace, name)
        if found is None:
            raise RefusedError(404, "NotFound", f'{plural} "{name}" not found')
        return found

    def list(self, plural: str, namespace: str = "") -> list[Json]:
        """Return objects in the order of their names, as etcd does."""
        return [self.objects[k] for k in sorted(self.objects) if k[0] == plural and namespace in ("", k[1])]

    def create(self, plural: str, namespace: str, obj: Json) -> Json:
        self._admit(plural, namespace)
        self._created_count += 1
        given = obj["metadata"]
        # Uids break ties, so their order must not be that of the creation.
        name = given.get("name") or f"{given['generateName']}{_suffix(self._created_count)}"
        key = (plural, namespace, name)
        if key in self.objects:
            raise RefusedError(409, "AlreadyExists", f'{plural} "{name}" already exists')
        metadata = given | {"name": name, "uid": str(uuid.uuid5(uuid.NAMESPACE_OID, str(self._created_count)))}
        metadata |= {"creationTimestamp": self.timestamp(), "generation": 1} | (
            {"namespace": namespace} if namespace else {}
        )
        return self._store("create", key, None, obj | {"metadata": metadata})

    def update(self, plural: str, old: Json, change: Json) -> Json:
        """Apply a merge patch to an object; one that changes nothing is no write, as in the real API server."""
        new: Json = apply_merge_patch(old, change)
        if new == old:
            return old
        if new.get("spec") != old.get("spec"):
            new["metadata"] = new["metadata"] | {"generation": old["metadata"]["generation"] + 1}
        return self._store("update", self._key(plural, old), old, new)

    def set_status(self, plural: str, old: Json, status: Json) -> Json:
        """Replace the whole status."""
        if old.get("status") == status:
            return old
        return self._store("status", self._key(plural, old), old, old | {"status": status})

    def delete(self, plural: str, old: Json, verb: str = "delete") -> None:
        """Delete an object; a running pod or a namespace only gets a deletion timestamp."""
        key = self._key(plural, old)
        is_graceful = plural == "namespaces" or (
            plural == "pods" and node_of(old) and phase_of(old) not in ("Succeeded", "Failed")
        )
        if not is_graceful:
            self._remove(verb, key, old)
        elif not is_deleting(old):
            meta = old["metadata"] | {"deletionTimestamp": self.timestamp()}
            self._store(verb, key, old, old | {"metadata": meta})

    def remove(self, plural: str, old: Json) -> None:
        """Remove an object at once, as the kubelet does with a pod that it has stopped."""
        self._remove("remove", self._key(plural, old), old)

    def _admit(self, plural: str, namespace: str) -> None:
        """Refuse a creation in a terminating namespace, or beyond a quota."""
        if not namespace:
            return
        if is_deleting(self.find("namespaces", "", namespace)):
            causes = [{"reason": "NamespaceTerminating", "message": "namespace is being terminated"}]
            raise RefusedError(403, "Forbidden", f"namespace {namespace} is being terminated", causes=causes)
        for quota in self.list("resourcequotas", namespace) if plural == "pods" else ():
            hard = int(quota["spec"]["hard"]["pods"])
            used = sum(1 for p in self.list("pods", namespace) if phase_of(p) not in ("Succeeded", "Failed"))
            if used + 1 > hard:
                counts = f"requested: pods=1, used: pods={used}, limited: pods={hard}"
                raise RefusedError(403, "Forbidden", f"pods is forbidden: exceeded quota: {name_of(quota)}, {counts}")

    def _key(self, plural: str, obj: Json) -> ObjectKey:
        return plural, obj["metadata"].get("namespace", ""), name_of(obj)

    def _store(self, verb: str, key: ObjectKey, before: Json | None, after: Json) -> Json:
        self.version += 1
        after = after | {"metadata": after["metadata"] | {"resourceVersion": str(self.version)}}
        self.objects[key] = after
        self._notify(Write(self.actor, verb, key[0], before, after))
        return after

    def _remove(self, verb: str, key: ObjectKey, old: Json) -> None:
        self.version += 1
        del self.objects[key]
        self._notify(Write(self.actor, verb, key[0], old, None))

    def _notify(self, write: Write) -> None:
        for observer in self.observers:
            observer(write)


def _suffix(number: int) -> str:
    """Return a number as five letters."""
    letters = "bcdfghjklmnpqrstvwxz"
    return "".join(letters[number // len(letters) ** place % len(letters)] for place in range(4, -1, -1))
