"""Deployment controller with rolling updates, as pkg/controller/deployment of Kubernetes 1.35."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.contract.cluster.api_semantics import RefusedError
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

    from tests.model.api_server import ModelApiServer

REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"


def sync_all(server: ModelApiServer) -> None:
    with server.act_as("deployment-controller"):
        for deployment in server.list("deployments"):
            _Sync(server, deployment).run()


def resolve_count(value: int | str, total: int, *, up: bool) -> int:
    """Return a count, or a percentage of the total, rounded as Kubernetes does."""
    if isinstance(value, int):
        return value
    part = int(value.removesuffix("%")) * total / 100
    return math.ceil(part) if up else math.floor(part)


def replicas_of(obj: Json) -> int:
    return int(obj["spec"].get("replicas", 1))


def available_of(obj: Json) -> int:
    return int(obj.get("status", {}).get("availableReplicas", 0))


@dataclass
class _Sync:
    """Synchronization of one Deployment."""

    server: ModelApiServer
    deployment: Json

    @property
    def desired(self) -> int:
        return replicas_of(self.deployment)

    @property
    def _fenceposts(self) -> tuple[int, int]:
        rolling = self.deployment["spec"].get("strategy", {}).get("rollingUpdate", {})
        surge = resolve_count(rolling.get("maxSurge", "25%"), self.desired, up=True)
        unavailable = resolve_count(rolling.get("maxUnavailable", "25%"), self.desired, up=False)
        return surge, unavailable or int(surge == 0)

    def run(self) -> None:
        new = self._newest()
        if any(
            annotations_of(r).get(DESIRED, str(self.desired)) != str(self.desired)
            for r in self._sets()
            if _has_replicas(r)
        ):
            self._scale()
        else:
            new = self._create_newest() if new is None else self._update_revision(new)
            if new is not None and not self._scale_up(new):
                self._scale_down_old_sets(new)
        self._write_status()

    def _sets(self) -> list[Json]:
        """Return the Deployment's ReplicaSets, the oldest first."""
        found = self.server.list("replicasets", self.deployment["metadata"]["namespace"])
        owned = [r for r in found if controller_uid(r) == uid_of(self.deployment)]
        return sorted(owned, key=lambda r: (r["metadata"]["creationTimestamp"], name_of(r)))

    def _newest(self) -> Json | None:
        return next((r for r in self._sets() if _same_template(r, self.deployment)), None)

    def _old_sets(self) -> list[Json]:
        return [r for r in self._sets() if not _same_template(r, self.deployment)]

    def _next_revision(self) -> int:
        return 1 + max((int(annotations_of(r).get(REVISION, 0)) for r in self._old_sets()), default=0)

    def _create_newest(self) -> Json | None:
        """Create the ReplicaSet of the newest template, with as many pods as maxSurge permits."""
        template = self.deployment["spec"]["template"]
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:9]
        labels = template["metadata"]["labels"] | {HASH_LABEL: digest}
        revision = str(self._next_revision())
        meta = {
            "name": f"{name_of(self.deployment)}-{digest}",
            "labels": labels,
            "annotations": self._annotations() | {REVISION: revision},
            "ownerReferences": [reference(self.deployment)],
        }
        selector = {"matchLabels": self.deployment["spec"]["selector"]["matchLabels"] | {HASH_LABEL: digest}}
        spec = {"selector": selector, "template": _with_labels(template, labels)}
        body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": spec}
        body["spec"] = spec | {"replicas": self._new_size(0)}
        try:
            made = self.server.create("replicasets", self.deployment["metadata"]["namespace"], body)
        except RefusedError:
            return None  # the namespace is terminating
        self._record_revision(revision)
        return made

    def _update_revision(self, new: Json) -> Json:
        """Set the highest revision on the newest ReplicaSet: after a rollback it is an old one."""
        revision = max(int(annotations_of(new).get(REVISION, 0)), self._next_revision())
        changed = self.server.update(
            "replicasets", new, {"metadata": {"annotations": self._annotations() | {REVISION: str(revision)}}}
        )
        self._record_revision(str(revision))
        return changed

    def _record_revision(self, revision: str) -> None:
        self.deployment = self.server.update(
            "deployments", self.deployment, {"metadata": {"annotations": {REVISION: revision}}}
        )

    def _annotations(self) -> dict[str, str]:
        return {DESIRED: str(self.desired), MAX_REPLICAS: str(self.desired + self._fenceposts[0])}

    def _new_size(self, size: int) -> int:
        room = self.desired + self._fenceposts[0] - sum(map(replicas_of, self._sets()))
        return size + max(0, min(room, self.desired - size))

    def _scale_up(self, new: Json) -> bool:
        size = replicas_of(new)
        if size == self.desired:
            return False
        return self._resize(new, self.desired if size > self.desired else self._new_size(size))

    def _scale_down_old_sets(self, new: Json) -> None:
        """Scale old ReplicaSets down: first by their unavailable pods, then by as many as new pods are available."""
        min_available = self.desired - self._fenceposts[1]
        missing = replicas_of(new) - available_of(new)
        room = sum(map(replicas_of, self._sets())) - min_available - missing
        if room <= 0:
            return
        self._cut(room, lambda old: replicas_of(old) - available_of(old))
        self._cut(sum(map(available_of, self._sets())) - min_available, replicas_of)

    def _cut(self, limit: int, spare: Callable[[Json], int]) -> None:
        for old in self._old_sets():
            decrease = max(0, min(limit, spare(old), replicas_of(old)))
            limit -= decrease
            self._resize(old, replicas_of(old) - decrease)

    def _resize(self, replica_set: Json, size: int) -> bool:
        change: Json = {"spec": {"replicas": size}, "metadata": {"annotations": self._annotations()}}
        if size == replicas_of(replica_set):
            return False
        self.server.update("replicasets", replica_set, change)
        return True

    def _scale(self) -> None:
        """Apply a change of `replicas` to the only ReplicaSet with pods, or to several in proportion to their sizes."""
        live = [r for r in self._sets() if _has_replicas(r)]
        new = self._newest()
        if len(live) <= 1:
            self._scale_to(live[0], self.desired)
        elif new is not None and self._saturated(new):
            for old in (r for r in self._old_sets() if _has_replicas(r)):
                self._scale_to(old, 0)
        else:
            self._scale_proportionally(live)

    def _saturated(self, new: Json) -> bool:
        is_recorded = annotations_of(new).get(DESIRED) == str(self.desired)
        return is_recorded and replicas_of(new) == available_of(new) == self.desired

    def _scale_proportionally(self, live: list[Json]) -> None:
        allowed = self.desired + self._fenceposts[0] if self.desired else 0
        to_add = allowed - sum(map(replicas_of, live))
        live.sort(key=lambda r: r["metadata"]["creationTimestamp"], reverse=to_add > 0)
        live.sort(key=replicas_of, reverse=True)
        added, sizes = 0, {}
        for replica_set in live:
            part = self._proportional_change(replica_set, to_add, added) if to_add else 0
            sizes[name_of(replica_set)] = replicas_of(replica_set) + part
            added += part
        sizes[name_of(live[0])] = max(0, sizes[name_of(live[0])] + to_add - added)
        for replica_set in live:
            self._scale_to(replica_set, sizes[name_of(replica_set)])

    def _proportional_change(self, replica_set: Json, to_add: int, added: int) -> int:
        size = replicas_of(replica_set)
        before = int(annotations_of(replica_set).get(MAX_REPLICAS, 0)) or 1
        part = math.floor(size * (self.desired + self._fenceposts[0]) / before + 0.5) - size if self.desired else -size
        return min(part, to_add - added) if to_add > 0 else max(part, to_add - added)

    def _scale_to(self, replica_set: Json, size: int) -> None:
        change = {"spec": {"replicas": size}, "metadata": {"annotations": self._annotations()}}
        self.server.update("replicasets", replica_set, change)

    def _write_status(self) -> None:
        sets, new = self._sets(), self._newest()
        current = self.server.find("deployments", self.deployment["metadata"]["namespace"], name_of(self.deployment))

        def total(field: str, replica_sets: list[Json]) -> int:
            return sum(int(r.get("status", {}).get(field, 0)) for r in replica_sets)

        status = {
            "observedGeneration": current["metadata"]["generation"],
            "replicas": total("replicas", sets),
            "updatedReplicas": total("replicas", [new] if new else []),
            "readyReplicas": total("readyReplicas", sets),
            "availableReplicas": total("availableReplicas", sets),
        }
        self.server.set_status("deployments", current, status)


def _has_replicas(replica_set: Json) -> bool:
    return replicas_of(replica_set) > 0


def _same_template(replica_set: Json, deployment: Json) -> bool:
    template = replica_set["spec"]["template"]
    labels = {k: v for k, v in labels_of(template).items() if k != HASH_LABEL}
    return bool(_with_labels(template, labels) == deployment["spec"]["template"])


def _with_labels(template: Json, labels: dict[str, str]) -> Json:
    return template | {"metadata": template["metadata"] | {"labels": labels}}
