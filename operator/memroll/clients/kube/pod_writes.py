"""The writes on pods. Each can be done twice, and none touches another pod that has come to bear the same name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from memroll.api import API_VERSION
from memroll.api.base import rfc3339
from memroll.clients.kube.api_client import MERGE_PATCH, MESSAGE_MAX, Call, causes, error_of, path_of
from memroll.clients.kube.json_access import mappings, text, texts
from memroll.clients.kube.pods import CORE
from memroll.clients.kube.token_bucket import Bucket
from memroll.clients.kube.workloads import RESTART_ANNOTATION, place_of
from memroll.errors import Conflict, NotFound, Stalled
from memroll.model.annotations import NOBODY, labels_note, read_labels
from memroll.model.pods import (
    DETACHED_ANNOTATION,
    DETACHED_VALUE,
    HASH_ANNOTATION,
    HASH_LABELS,
    OWNER_ANNOTATION,
    RELEASED_HASH,
    ROLL_ANNOTATION,
)
from memroll.rolling.eviction import Eviction, EvictionAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from memroll.clients.kube.api_client import Answer, Api, Json
    from memroll.clients.kube.pods import Targets
    from memroll.model.annotations import Owners
    from memroll.model.pods import ObjectRef, PodKey, Target

EVICTION_TIMEOUT_S = 10.0
EVICTIONS_AT_ONCE = 10
EVICTION_EACH_S = 0.5
"""Tries of all rolls together: a bug or a blocked budget must not load the API server."""
OWN_MARKS = {ROLL_ANNOTATION, HASH_ANNOTATION, OWNER_ANNOTATION, DETACHED_ANNOTATION}
_ROLL_KIND = "PodRoll"
_NOT_FOUND, _CONFLICT, _THROTTLED, _BROKEN = 404, 409, 429, 500


class Actions:
    """Changes pods, for one roll at a time."""

    def __init__(self, api: Api, targets: Targets, evictions: Bucket | None = None) -> None:
        self._api = api
        self._targets = targets
        self._evictions = evictions or Bucket(EVICTIONS_AT_ONCE, EVICTION_EACH_S)

    async def release(self, target: Target, hash_label: str, roll_name: str, owners: Owners = NOBODY) -> None:
        """Change the template hash, so that the ReplicaSet lets go of the pod; note it, the owners and the roll.

        Raises Conflict when the pod has changed since `target` was read.
        """
        old = target.labels.get(hash_label, "")
        if old == RELEASED_HASH and target.annotations.get(ROLL_ANNOTATION) == roll_name:
            return
        if not hash_label or not old or old == RELEASED_HASH:
            raise Stalled(
                "Unreleasable", f"pod {target.key.name}: label {hash_label!r} is {old!r}, not a template hash"
            )
        marks = {ROLL_ANNOTATION: roll_name, HASH_ANNOTATION: old}
        if owners != NOBODY:
            marks[OWNER_ANNOTATION] = owners.written()
        await self._patch(
            target.key, target.resource_version, {"labels": {hash_label: RELEASED_HASH}, "annotations": marks}
        )

    async def detach(self, target: Target, labels: Mapping[str, str]) -> None:
        """Change the labels by which Services select a released pod, and note them as they were."""
        raw = await self._fresh(target.key)
        now = texts(raw, "metadata", "labels")
        if RELEASED_HASH not in now.values():
            raise Stalled("Undetachable", f"pod {target.key.name} is not released: its ReplicaSet would let go of it")
        if all(now.get(key) == DETACHED_VALUE for key in labels):
            return
        if any(now.get(key) != value for key, value in labels.items()):
            raise Conflict("Conflict", f"the labels of pod {target.key.name} have changed")
        change: Json = {
            "labels": dict.fromkeys(labels, DETACHED_VALUE),
            "annotations": {DETACHED_ANNOTATION: labels_note(labels)},
        }
        await self._patch(target.key, text(raw, "metadata", "resourceVersion"), change)

    async def restore(self, target: Target, hash_label: str) -> None:
        """Put all labels back and take away every trace of the roll; the ReplicaSet adopts the pod again."""
        raw = await self._fresh(target.key)
        labels, marks = texts(raw, "metadata", "labels"), texts(raw, "metadata", "annotations")
        owners = mappings(raw, "metadata", "ownerReferences")
        kept = [owner for owner in owners if not _is_roll(owner)]
        noted = read_labels(marks.get(DETACHED_ANNOTATION, "{}"))
        back = {k: v for k, v in noted.items() if labels.get(k) == DETACHED_VALUE}
        if labels.get(hash_label) == RELEASED_HASH:
            if not marks.get(HASH_ANNOTATION):
                raise Stalled("Unrestorable", f"pod {target.key.name} has lost its annotation {HASH_ANNOTATION}")
            back[hash_label] = marks[HASH_ANNOTATION]
        change: Json = {"labels": back} if back else {}
        if marks.keys() & OWN_MARKS:
            change["annotations"] = dict.fromkeys(marks.keys() & OWN_MARKS)
        if kept != owners:
            change["ownerReferences"] = kept
        if change:
            await self._patch(target.key, text(raw, "metadata", "resourceVersion"), change)

    async def restart(self, namespace: str, top: ObjectRef, at: datetime) -> None:
        """Have a workload restart all of its pods, as `kubectl rollout restart` does; twice the same is once."""
        prefix, plural = place_of(top)
        change: Json = {"template": {"metadata": {"annotations": {RESTART_ANNOTATION: rfc3339(at)}}}}
        if top.kind == "Rollout":
            change = {"restartAt": rfc3339(at)}
        path = path_of(prefix, namespace, plural, top.name)
        body = {"metadata": {"uid": top.uid}, "spec": change}
        await self._api.request("PATCH", path, body=body, content_type=MERGE_PATCH)

    async def own(self, target: Target, roll_name: str, roll_uid: str) -> None:
        """Let the PodRoll own the pod, so that the garbage collector takes it when the PodRoll is deleted."""
        raw = await self._fresh(target.key)
        owners = mappings(raw, "metadata", "ownerReferences")
        if any(text(owner, "uid") == roll_uid for owner in owners):
            return
        ours = {"apiVersion": API_VERSION, "kind": _ROLL_KIND, "name": roll_name, "uid": roll_uid}
        owners.append({**ours, "controller": False, "blockOwnerDeletion": False})
        await self._patch(target.key, text(raw, "metadata", "resourceVersion"), {"ownerReferences": owners})

    async def evict(self, target: Target, roll_name: str = "") -> EvictionAnswer:
        """Ask for the eviction of the pod as it was observed; answers that are no errors are sorted.

        Raises Conflict when its labels have changed since: somebody has put it back, or taken it.
        """
        if target.deleting:
            return EvictionAnswer(Eviction.ACCEPTED, "the pod is already terminating")
        if not self._evictions.take():
            return EvictionAnswer(Eviction.THROTTLED, "memroll evicts no faster", EVICTION_EACH_S)
        key = target.key
        try:
            raw = await self._fresh(key)
        except NotFound as gone:
            return EvictionAnswer(Eviction.GONE, gone.message)
        if texts(raw, "metadata", "labels") != target.labels:
            raise Conflict("Conflict", f"the labels of pod {key.name} have changed")
        call = Call(
            "POST",
            path_of(CORE, key.namespace, "pods", key.name, "eviction"),
            body=_eviction(key, text(raw, "metadata", "resourceVersion"), roll_name),
            timeout_s=EVICTION_TIMEOUT_S,
        )
        answer = await self._api.answer(call)
        if answer.status == _CONFLICT and await self._replaced(key):
            return EvictionAnswer(Eviction.GONE, "another pod bears its name now")
        error = error_of(call, answer)
        if error is None:
            return EvictionAnswer(Eviction.ACCEPTED, "the eviction is accepted")
        result = _refusal(answer)
        if result is None:
            raise error
        said = text(answer.body, "message")[:MESSAGE_MAX] or error.message
        return EvictionAnswer(result, said, answer.retry_after_s)

    async def released_pods(self, namespace: str | None = None) -> tuple[Target, ...]:
        """Return every released pod, of one namespace or of all: what a start or an uninstall sweeps."""
        selectors = [f"{label}={RELEASED_HASH}" for label in HASH_LABELS]
        found = await asyncio.gather(*(self._targets.listed(namespace or "", s) for s in selectors))
        return tuple({pod.key: pod for pods in found for pod in pods}.values())

    async def _fresh(self, key: PodKey) -> Json:
        """Read the pod; one of the same name with another uid is not it."""
        raw = await self._api.request("GET", path_of(CORE, key.namespace, "pods", key.name))
        if text(raw, "metadata", "uid") != key.uid:
            raise NotFound("NotFound", f"pod {key.name} with uid {key.uid} is gone")
        return raw

    async def _replaced(self, key: PodKey) -> bool:
        try:
            await self._fresh(key)
        except NotFound:
            return True
        return False

    async def _patch(self, key: PodKey, resource_version: str, metadata: Json) -> None:
        """Write metadata on the condition that the pod is still the one that was read, unchanged."""
        if not resource_version:
            raise Conflict("Conflict", f"pod {key.name} was read without a resourceVersion")
        body = {"metadata": {"uid": key.uid, "resourceVersion": resource_version, **metadata}}
        path = path_of(CORE, key.namespace, "pods", key.name)
        await self._api.request("PATCH", path, body=body, content_type=MERGE_PATCH)


def _is_roll(owner: Json) -> bool:
    return (
        text(owner, "kind") == _ROLL_KIND
        and text(owner, "apiVersion").partition("/")[0] == API_VERSION.partition("/")[0]
    )


def _eviction(key: PodKey, resource_version: str, roll_name: str) -> Json:
    """Name the pod as it was just read: a request that is late must not evict what somebody has put back meanwhile."""
    marks = {"annotations": {ROLL_ANNOTATION: roll_name}} if roll_name else {}
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": key.name, "namespace": key.namespace, **marks},
        "deleteOptions": {"preconditions": {"uid": key.uid, "resourceVersion": resource_version}},
    }


def _refusal(answer: Answer) -> Eviction | None:
    """Sort an answer that is not a success; None for one that is an error like of any other call."""
    if answer.status == _NOT_FOUND:
        return Eviction.GONE
    if answer.status == _THROTTLED:
        return Eviction.BLOCKED if "DisruptionBudget" in causes(answer) else Eviction.THROTTLED
    if answer.status == _BROKEN and "more than one PodDisruptionBudget" in text(answer.body, "message"):
        return Eviction.MISCONFIGURED
    return None
