"""The Deployment controller with rolling updates, as pkg/controller/deployment of Kubernetes 1.35 does them."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.contract.cluster.semantics import Refused
from tests.model.objects import (
    HASH_LABEL,
    Json,
    annotations_of,
    controller_uid,
    labels_of,
    name_of,
    reference,
    uid_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.server import Server

REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"


def sync_all(server: Server) -> None:
    with server.acting("deployment-controller"):
        for deployment in server.list("deployments"):
            _Sync(server, deployment).run()


def scaled(value: int | str, total: int, *, up: bool) -> int:
    """Read a count or a percentage, rounded as Kubernetes does."""
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * total / 100
    return math.ceil(share) if up else math.floor(share)


def replicas_of(obj: Json) -> int:
    return int(obj["spec"].get("replicas", 1))


def available_of(obj: Json) -> int:
    return int(obj.get("status", {}).get("availableReplicas", 0))


@dataclass
class _Sync:
    """One look at one Deployment."""

    server: Server
    top: Json

    @property
    def wanted(self) -> int:
        return replicas_of(self.top)

    @property
    def _fenceposts(self) -> tuple[int, int]:
        rolling = self.top["spec"].get("strategy", {}).get("rollingUpdate", {})
        surge = scaled(rolling.get("maxSurge", "25%"), self.wanted, up=True)
        unavailable = scaled(rolling.get("maxUnavailable", "25%"), self.wanted, up=False)
        return surge, unavailable or int(surge == 0)

    def run(self) -> None:
        new = self._newest()
        if any(annotations_of(r).get(DESIRED, str(self.wanted)) != str(self.wanted) for r in self._sets() if _live(r)):
            self._scale()
        else:
            new = self._made() if new is None else self._revised(new)
            if new is not None and not self._grown(new):
                self._shrunk(new)
        self._report()

    def _sets(self) -> list[Json]:
        """Return its ReplicaSets, the oldest first."""
        found = self.server.list("replicasets", self.top["metadata"]["namespace"])
        owned = [r for r in found if controller_uid(r) == uid_of(self.top)]
        return sorted(owned, key=lambda r: (r["metadata"]["creationTimestamp"], name_of(r)))

    def _newest(self) -> Json | None:
        return next((r for r in self._sets() if _same_template(r, self.top)), None)

    def _olds(self) -> list[Json]:
        return [r for r in self._sets() if not _same_template(r, self.top)]

    def _next_revision(self) -> int:
        return 1 + max((int(annotations_of(r).get(REVISION, 0)) for r in self._olds()), default=0)

    def _made(self) -> Json | None:
        """Create the ReplicaSet of the newest template, with as many pods as the surge leaves room for."""
        template = self.top["spec"]["template"]
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:9]
        labels = template["metadata"]["labels"] | {HASH_LABEL: digest}
        revision = str(self._next_revision())
        meta = {
            "name": f"{name_of(self.top)}-{digest}",
            "labels": labels,
            "annotations": self._marks() | {REVISION: revision},
            "ownerReferences": [reference(self.top)],
        }
        selector = {"matchLabels": self.top["spec"]["selector"]["matchLabels"] | {HASH_LABEL: digest}}
        spec = {"selector": selector, "template": _labelled(template, labels)}
        body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": spec}
        body["spec"] = spec | {"replicas": self._new_size(0)}
        try:
            made = self.server.create("replicasets", self.top["metadata"]["namespace"], body)
        except Refused:
            return None  # the namespace is going
        self._at_revision(revision)
        return made

    def _revised(self, new: Json) -> Json:
        """Give the newest ReplicaSet the highest revision: it may be an old one that was rolled back to."""
        revision = max(int(annotations_of(new).get(REVISION, 0)), self._next_revision())
        changed = self.server.update(
            "replicasets", new, {"metadata": {"annotations": self._marks() | {REVISION: str(revision)}}}
        )
        self._at_revision(str(revision))
        return changed

    def _at_revision(self, revision: str) -> None:
        self.top = self.server.update("deployments", self.top, {"metadata": {"annotations": {REVISION: revision}}})

    def _marks(self) -> dict[str, str]:
        return {DESIRED: str(self.wanted), MOST: str(self.wanted + self._fenceposts[0])}

    def _new_size(self, size: int) -> int:
        room = self.wanted + self._fenceposts[0] - sum(map(replicas_of, self._sets()))
        return size + max(0, min(room, self.wanted - size))

    def _grown(self, new: Json) -> bool:
        size = replicas_of(new)
        if size == self.wanted:
            return False
        return self._resize(new, self.wanted if size > self.wanted else self._new_size(size))

    def _shrunk(self, new: Json) -> None:
        """Scale old ReplicaSets down: first what is not available there, then what the new pods make up for."""
        least = self.wanted - self._fenceposts[1]
        missing = replicas_of(new) - available_of(new)
        room = sum(map(replicas_of, self._sets())) - least - missing
        if room <= 0:
            return
        self._cut(room, lambda old: replicas_of(old) - available_of(old))
        self._cut(sum(map(available_of, self._sets())) - least, replicas_of)

    def _cut(self, most: int, spare: Callable[[Json], int]) -> None:
        for old in self._olds():
            cut = max(0, min(most, spare(old), replicas_of(old)))
            most -= cut
            self._resize(old, replicas_of(old) - cut)

    def _resize(self, replica_set: Json, size: int) -> bool:
        change: Json = {"spec": {"replicas": size}, "metadata": {"annotations": self._marks()}}
        if size == replicas_of(replica_set):
            return False
        self.server.update("replicasets", replica_set, change)
        return True

    def _scale(self) -> None:
        """Answer a change of `replicas`: the only live ReplicaSet takes it, several share it by their sizes."""
        live = [r for r in self._sets() if _live(r)]
        new = self._newest()
        if len(live) <= 1:
            self._set(live[0], self.wanted)
        elif new is not None and self._saturated(new):
            for old in (r for r in self._olds() if _live(r)):
                self._set(old, 0)
        else:
            self._share(live)

    def _saturated(self, new: Json) -> bool:
        marked = annotations_of(new).get(DESIRED) == str(self.wanted)
        return marked and replicas_of(new) == available_of(new) == self.wanted

    def _share(self, live: list[Json]) -> None:
        allowed = self.wanted + self._fenceposts[0] if self.wanted else 0
        to_add = allowed - sum(map(replicas_of, live))
        live.sort(key=lambda r: r["metadata"]["creationTimestamp"], reverse=to_add > 0)
        live.sort(key=replicas_of, reverse=True)
        added, sizes = 0, {}
        for each in live:
            part = self._part(each, to_add, added) if to_add else 0
            sizes[name_of(each)] = replicas_of(each) + part
            added += part
        sizes[name_of(live[0])] = max(0, sizes[name_of(live[0])] + to_add - added)
        for each in live:
            self._set(each, sizes[name_of(each)])

    def _part(self, replica_set: Json, to_add: int, added: int) -> int:
        size = replicas_of(replica_set)
        before = int(annotations_of(replica_set).get(MOST, 0)) or 1
        share = math.floor(size * (self.wanted + self._fenceposts[0]) / before + 0.5) - size if self.wanted else -size
        return min(share, to_add - added) if to_add > 0 else max(share, to_add - added)

    def _set(self, replica_set: Json, size: int) -> None:
        change = {"spec": {"replicas": size}, "metadata": {"annotations": self._marks()}}
        self.server.update("replicasets", replica_set, change)

    def _report(self) -> None:
        sets, new = self._sets(), self._newest()
        current = self.server.find("deployments", self.top["metadata"]["namespace"], name_of(self.top))

        def total(word: str, among: list[Json]) -> int:
            return sum(int(r.get("status", {}).get(word, 0)) for r in among)

        status = {
            "observedGeneration": current["metadata"]["generation"],
            "replicas": total("replicas", sets),
            "updatedReplicas": total("replicas", [new] if new else []),
            "readyReplicas": total("readyReplicas", sets),
            "availableReplicas": total("availableReplicas", sets),
        }
        self.server.set_status("deployments", current, status)


def _live(replica_set: Json) -> bool:
    return replicas_of(replica_set) > 0


def _same_template(replica_set: Json, top: Json) -> bool:
    template = replica_set["spec"]["template"]
    labels = {k: v for k, v in labels_of(template).items() if k != HASH_LABEL}
    return bool(_labelled(template, labels) == top["spec"]["template"])


def _labelled(template: Json, labels: dict[str, str]) -> Json:
    return template | {"metadata": template["metadata"] | {"labels": labels}}
