"""The API server of the model: objects, their versions, and what it refuses.

Objects are never changed in place: whoever has read one keeps what was read.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.contract.cluster.semantics import Refused, merged
from tests.model.objects import Json, is_deleting, name_of, node_of, phase_of, uid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Key = tuple[str, str, str]
"""Plural, namespace, name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write that was carried out. `after` is None for an object that is gone."""

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
class Server:
    """The store. What controllers write goes in here directly, what clients ask comes through `api.py`."""

    objects: dict[Key, Json] = field(default_factory=dict)
    watchers: list[Callable[[Change], None]] = field(default_factory=list)
    seconds: float = 0.0
    actor: str = "user"
    version: int = 1
    _made: int = 0

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def stamp(self) -> str:
        """Return the time as the API server writes it: to the second."""
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    @contextmanager
    def acting(self, actor: str) -> Iterator[None]:
        """Let what follows be done by someone, so that a watcher knows who did it."""
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
            raise Refused(404, "NotFound", f'{plural} "{name}" not found')
        return found

    def list(self, plural: str, namespace: str = "") -> list[Json]:
        """Return objects in the order of their names, as etcd holds them."""
        return [self.objects[k] for k in sorted(self.objects) if k[0] == plural and namespace in ("", k[1])]

    def create(self, plural: str, namespace: str, obj: Json) -> Json:
        self._admit(plural, namespace)
        self._made += 1
        given = obj["metadata"]
        # the names must differ, the uids must not be in the order of their making: they break ties
        name = given.get("name") or f"{given['generateName']}{_suffix(self._made)}"
        key = (plural, namespace, name)
        if key in self.objects:
            raise Refused(409, "AlreadyExists", f'{plural} "{name}" already exists')
        made = given | {"name": name, "uid": str(uuid.uuid5(uuid.NAMESPACE_OID, str(self._made)))}
        made |= {"creationTimestamp": self.stamp(), "generation": 1} | ({"namespace": namespace} if namespace else {})
        return self._store("create", key, None, obj | {"metadata": made})

    def update(self, plural: str, old: Json, change: Json) -> Json:
        """Change an object by a merge patch; what changes nothing is no write, as with the real one."""
        new: Json = merged(old, change)
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
        """Delete an object; a pod that runs is only marked, and goes when its kubelet has stopped it."""
        key = self._key(plural, old)
        lingers = plural == "namespaces" or (
            plural == "pods" and node_of(old) and phase_of(old) not in ("Succeeded", "Failed")
        )
        if not lingers:
            self._remove(verb, key, old)
        elif not is_deleting(old):
            meta = old["metadata"] | {"deletionTimestamp": self.stamp()}
            self._store(verb, key, old, old | {"metadata": meta})

    def remove(self, plural: str, old: Json) -> None:
        """Take an object away at once, as the kubelet does with a pod that it has stopped."""
        self._remove("remove", self._key(plural, old), old)

    def _admit(self, plural: str, namespace: str) -> None:
        """Refuse what a terminating namespace or an exhausted quota does not take."""
        if not namespace:
            return
        if is_deleting(self.find("namespaces", "", namespace)):
            causes = [{"reason": "NamespaceTerminating", "message": "namespace is being terminated"}]
            raise Refused(403, "Forbidden", f"namespace {namespace} is being terminated", causes=causes)
        for quota in self.list("resourcequotas", namespace) if plural == "pods" else ():
            hard = int(quota["spec"]["hard"]["pods"])
            used = sum(1 for p in self.list("pods", namespace) if phase_of(p) not in ("Succeeded", "Failed"))
            if used + 1 > hard:
                counts = f"requested: pods=1, used: pods={used}, limited: pods={hard}"
                raise Refused(403, "Forbidden", f"pods is forbidden: exceeded quota: {name_of(quota)}, {counts}")

    def _key(self, plural: str, obj: Json) -> Key:
        return plural, obj["metadata"].get("namespace", ""), name_of(obj)

    def _store(self, verb: str, key: Key, before: Json | None, after: Json) -> Json:
        self.version += 1
        after = after | {"metadata": after["metadata"] | {"resourceVersion": str(self.version)}}
        self.objects[key] = after
        self._tell(Change(self.actor, verb, key[0], before, after))
        return after

    def _remove(self, verb: str, key: Key, old: Json) -> None:
        self.version += 1
        del self.objects[key]
        self._tell(Change(self.actor, verb, key[0], old, None))

    def _tell(self, change: Change) -> None:
        for watcher in self.watchers:
            watcher(change)


def _suffix(number: int) -> str:
    """Write a number in five letters."""
    letters = "bcdfghjklmnpqrstvwxz"
    return "".join(letters[number // len(letters) ** place % len(letters)] for place in range(4, -1, -1))
