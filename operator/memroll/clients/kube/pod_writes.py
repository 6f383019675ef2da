"""Writes on pods. Each can be repeated, and none changes another pod that has the same name.

Every write carries the uid and the resourceVersion of the pod that the decision was based on.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.clients.kube.api_client import (
    MERGE_PATCH,
    build_path,
)
from memroll.clients.kube.api_errors import to_error
from memroll.clients.kube.eviction import eviction_request, expected_refusal, refused
from memroll.clients.kube.json_access import get_dict, get_dicts, get_str, get_str_dict
from memroll.clients.kube.pod_owners import (
    as_read,
    with_recorded_workload,
    with_roll,
    with_workload,
    without_own_references,
)
from memroll.clients.kube.pods import CORE
from memroll.clients.kube.token_bucket import TokenBucket
from memroll.clients.kube.workload_decoding import RESTART_ANNOTATION
from memroll.clients.kube.workloads import resource_of
from memroll.errors import ConflictError, MemrollError, NotFoundError, TerminalError
from memroll.model.annotations import NO_OWNERS, labels_from_annotation, labels_to_annotation
from memroll.model.pods import (
    DELETION_COST_ANNOTATION,
    DETACHED_ANNOTATION,
    DETACHED_VALUE,
    HASH_ANNOTATION,
    HASH_LABELS,
    MIN_DELETION_COST,
    OWNER_ANNOTATION,
    RELEASED_HASH,
    ROLL_ANNOTATION,
)
from memroll.rolling.eviction_response import EvictionResponse, EvictionResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from memroll.clients.kube.api_client import Json, KubeApi
    from memroll.clients.kube.pods import KubePodReader
    from memroll.model.annotations import RecordedOwners
    from memroll.model.pods import ObjectRef, Pod, PodKey

EVICTION_BURST = 10
"""Maximum number of eviction requests at once, all rolls together; chosen by hand."""
EVICTION_INTERVAL_S = 0.5
"""Time per eviction request after a burst, in seconds, chosen by hand: a bug must not overload the API server."""
MAX_OWNED = 100
"""Maximum number of pods that are remembered between two actions of a step; chosen by hand."""
ROLL_ANNOTATIONS = {ROLL_ANNOTATION, HASH_ANNOTATION, OWNER_ANNOTATION, DETACHED_ANNOTATION}
_TEMPLATE_HASH_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", re.ASCII)


class KubePodWriter:
    """Changes pods through the API server, one pod and one roll at a time."""

    def __init__(self, api: KubeApi, pods: KubePodReader, evictions: TokenBucket | None = None) -> None:
        self._api = api
        self._pods = pods
        self._evictions = evictions or TokenBucket(EVICTION_BURST, EVICTION_INTERVAL_S)
        self._owned: dict[str, Json] = {}
        """Pods by uid as `add_owner` has left them, until they are evicted."""

    async def release(self, pod: Pod, hash_label: str, roll_name: str, owners: RecordedOwners = NO_OWNERS) -> str:
        """Change the template hash, so that the ReplicaSet releases the pod; record the hash, the owners and the roll.

        The workload becomes an owner of the pod in the same patch: a pod without an owner looks abandoned to GitOps
        tools and to cleaners of bare pods. Where the API server forbids that, the pod is released without it, and the
        reason is returned. Raises ConflictError if the pod changed since it was read.
        """
        old = pod.labels.get(hash_label, "")
        if old == RELEASED_HASH and pod.annotations.get(ROLL_ANNOTATION) == roll_name:
            return ""
        if not hash_label or not old or old == RELEASED_HASH:
            raise TerminalError(
                "Unreleasable", f"pod {pod.key.name}: label {hash_label!r} is {old!r}, not a template hash"
            )
        annotations = {ROLL_ANNOTATION: roll_name, HASH_ANNOTATION: old}
        if owners != NO_OWNERS:
            annotations[OWNER_ANNOTATION] = owners.to_annotation()
        metadata: Json = {"labels": {hash_label: RELEASED_HASH}, "annotations": annotations}
        if owners.owner is None or owners.owner == owners.controller:
            await self._patch(pod.key, pod.resource_version, metadata)
            return ""
        references = await self._references_with(pod, owners.owner)
        try:
            await self._patch(pod.key, pod.resource_version, metadata | {"ownerReferences": references})
        except TerminalError as error:
            if error.reason != "Forbidden":
                raise
            await self._patch(pod.key, pod.resource_version, metadata)
            return error.message
        return ""

    async def _references_with(self, pod: Pod, owner: ObjectRef) -> list[Json]:
        """Return the owner references of an unchanged pod (else the patch fails), and one that does not control it."""
        if pod.owner_references:
            return with_workload([dict(reference) for reference in pod.owner_references], owner)
        raw = await self._reread(pod.key)
        if get_str(raw, "metadata", "resourceVersion") != pod.resource_version:
            raise ConflictError("Conflict", f"pod {pod.key.name} has changed since it was read")
        return with_workload(get_dicts(raw, "metadata", "ownerReferences"), owner)

    async def detach(self, pod: Pod, labels: Mapping[str, str]) -> None:
        """Change the labels by which Services select a released pod, and record their values."""

        def change(raw: Json) -> Json:
            current = get_str_dict(raw, "metadata", "labels")
            if RELEASED_HASH not in current.values():
                message = f"pod {pod.key.name} is not released: with other labels its ReplicaSet would release it"
                raise TerminalError("Undetachable", message)
            if all(current.get(key) == DETACHED_VALUE for key in labels):
                return {}
            if any(current.get(key) != value for key, value in labels.items()):
                raise ConflictError("Conflict", f"the labels of pod {pod.key.name} have changed")
            return {
                "labels": dict.fromkeys(labels, DETACHED_VALUE),
                "annotations": {DETACHED_ANNOTATION: labels_to_annotation(labels)},
            }

        await self._modify(pod.key, change)

    async def restore(self, pod: Pod, hash_label: str) -> None:
        """Restore all labels and remove every trace of the roll; the ReplicaSet then adopts the pod again."""
        await self._modify(pod.key, lambda raw: _restoring_change(pod, raw, hash_label))

    async def prefer_deletion(self, pod: Pod) -> None:
        """Give the pod the lowest deletion cost: a ReplicaSet with a surplus pod deletes this one, no other pod."""

        def change(raw: Json) -> Json:
            has_cost = DELETION_COST_ANNOTATION in get_str_dict(raw, "metadata", "annotations")
            return {} if has_cost else {"annotations": {DELETION_COST_ANNOTATION: MIN_DELETION_COST}}

        await self._modify(pod.key, change)

    async def restart(self, namespace: str, owner: ObjectRef, at: datetime) -> None:
        """Restart all pods of a workload, as `kubectl rollout restart` does; idempotent for the same time."""
        prefix, plural = resource_of(owner)
        change: Json = {"template": {"metadata": {"annotations": {RESTART_ANNOTATION: rfc3339(at)}}}}
        if owner.kind == "Rollout":
            change = {"restartAt": rfc3339(at)}
        path = build_path(prefix, namespace, plural, owner.name)
        body = {"metadata": {"uid": owner.uid}, "spec": change}
        await self._api.request("PATCH", path, body=body, content_type=MERGE_PATCH)

    async def add_owner(self, pod: Pod, roll_name: str, roll_uid: str) -> None:
        """Make the PodRoll an owner of the pod, in place of the workload.

        The garbage collector then deletes the pod along with the PodRoll.
        """

        def change(raw: Json) -> Json:
            owners = get_dicts(raw, "metadata", "ownerReferences")
            if any(get_str(owner, "uid") == roll_uid for owner in owners):
                return {}
            annotations = get_str_dict(raw, "metadata", "annotations")
            return {"ownerReferences": with_roll(owners, annotations, roll_name, roll_uid)}

        patched = await self._modify(pod.key, change, as_read(pod))
        if len(self._owned) >= MAX_OWNED:
            self._owned.clear()
        if get_str(patched, "metadata", "resourceVersion"):
            self._owned[pod.key.uid] = {"metadata": get_dict(patched, "metadata")}

    async def leave_to_workload(self, pod: Pod) -> None:
        """Make the deleted workload of a released pod its owner again: the garbage collector then deletes the pod.

        An eviction is not always possible: a PodDisruptionBudget permits none while no pod has a controller.
        """

        def change(raw: Json) -> Json:
            owners = get_dicts(raw, "metadata", "ownerReferences")
            left = with_recorded_workload(owners, get_str_dict(raw, "metadata", "annotations"))
            is_released = RELEASED_HASH in get_str_dict(raw, "metadata", "labels").values()
            return {"ownerReferences": left} if is_released and left != owners else {}

        await self._modify(pod.key, change)

    async def evict(self, pod: Pod, roll_name: str = "") -> EvictionResponse:
        """Request the eviction of the pod; expected refusals are returned, not raised.

        Raises ConflictError if the pod's labels changed since it was read: it was restored, or adopted. A pod that has
        just got its owner is not read again: the API server refuses the eviction if it has changed since.
        """
        if pod.deleting:
            return EvictionResponse(EvictionResult.ACCEPTED, "the pod is already terminating")
        if not self._evictions.take():
            return EvictionResponse(EvictionResult.THROTTLED, "memroll's own rate limit of evictions is reached")
        key = pod.key
        try:
            raw = self._owned.pop(key.uid, None) or await self._reread(key)
        except NotFoundError as not_found:
            return EvictionResponse(EvictionResult.GONE, not_found.message)
        if get_str_dict(raw, "metadata", "labels") != pod.labels:
            raise ConflictError("Conflict", f"the labels of pod {key.name} have changed")
        request = eviction_request(key, get_str(raw, "metadata", "resourceVersion"), roll_name)
        response = await self._api.send(request)
        if response.status == HTTPStatus.CONFLICT and await self._is_replaced(key):
            return EvictionResponse(EvictionResult.GONE, "another pod has its name now")
        error = to_error(request, response)
        if error is None:
            return EvictionResponse(EvictionResult.ACCEPTED, "the eviction is accepted")
        result = expected_refusal(response)
        if result is None:
            raise error
        return refused(result, response, error)

    async def dry_run_eviction(self, pod: Pod) -> EvictionResponse:
        """Return how the API server would answer an eviction of the pod; the pod and its budgets stay as they are."""
        request = replace(eviction_request(pod.key), query={"dryRun": "All"})
        try:
            response = await self._api.send(request)
        except MemrollError as unanswered:
            return EvictionResponse(EvictionResult.UNKNOWN, unanswered.message)
        error = to_error(request, response)
        if error is None:
            return EvictionResponse(EvictionResult.ACCEPTED, "it would be accepted")
        return refused(expected_refusal(response) or EvictionResult.UNKNOWN, response, error)

    async def list_released_pods(self, namespace: str | None = None) -> tuple[Pod, ...]:
        """Return every released pod of one namespace, or of all: candidates for the restore of orphaned pods."""
        selectors = [f"{label}={RELEASED_HASH}" for label in HASH_LABELS]
        found = await asyncio.gather(*(self._pods.list_pods_in(namespace or "", s) for s in selectors))
        return tuple({pod.key: pod for pods in found for pod in pods}.values())

    async def _reread(self, key: PodKey) -> Json:
        """Read the pod again; raise NotFoundError if another pod has its name now."""
        raw = await self._api.request("GET", build_path(CORE, key.namespace, "pods", key.name))
        if get_str(raw, "metadata", "uid") != key.uid:
            raise NotFoundError("NotFound", f"pod {key.name} with uid {key.uid} no longer exists")
        return raw

    async def _is_replaced(self, key: PodKey) -> bool:
        try:
            await self._reread(key)
        except NotFoundError:
            return True
        return False

    async def _modify(self, key: PodKey, change: Callable[[Json], Json], read: Json | None = None) -> Json:
        """Read the pod again and patch it with the metadata that `change` returns for it, if any; return the result.

        With what the step has just read of the pod, it is read again only if it has changed since: then the patch of
        that version is refused.
        """
        if read is not None and (metadata := change(read)):
            with suppress(ConflictError):
                return await self._patch(key, get_str(read, "metadata", "resourceVersion"), metadata)
        raw = await self._reread(key)
        metadata = change(raw)
        return await self._patch(key, get_str(raw, "metadata", "resourceVersion"), metadata) if metadata else raw

    async def _patch(self, key: PodKey, resource_version: str, metadata: Json) -> Json:
        """Patch the metadata, provided that the pod is the one that was read, and unchanged."""
        if not resource_version:
            raise ConflictError("Conflict", f"pod {key.name} was read without a resourceVersion")
        body = {"metadata": {"uid": key.uid, "resourceVersion": resource_version, **metadata}}
        path = build_path(CORE, key.namespace, "pods", key.name)
        return await self._api.request("PATCH", path, body=body, content_type=MERGE_PATCH)


def _restoring_change(pod: Pod, raw: Json, hash_label: str) -> Json:
    """Return the metadata that restores a pod to the state before its roll."""
    labels, annotations = get_str_dict(raw, "metadata", "labels"), get_str_dict(raw, "metadata", "annotations")
    owners = get_dicts(raw, "metadata", "ownerReferences")
    kept = without_own_references(owners, annotations)
    recorded = labels_from_annotation(annotations.get(DETACHED_ANNOTATION, "{}"))
    restored = {k: v for k, v in recorded.items() if labels.get(k) == DETACHED_VALUE}
    if labels.get(hash_label) == RELEASED_HASH:
        restored[hash_label] = _recorded_hash(pod, annotations)
    change: Json = {"labels": restored} if restored else {}
    if annotations.keys() & ROLL_ANNOTATIONS:
        change["annotations"] = dict.fromkeys(annotations.keys() & ROLL_ANNOTATIONS)
    if kept != owners:
        change["ownerReferences"] = kept
    return change


def _recorded_hash(pod: Pod, annotations: Mapping[str, str]) -> str:
    recorded = annotations.get(HASH_ANNOTATION, "")
    if recorded == RELEASED_HASH or not _TEMPLATE_HASH_VALUE.fullmatch(recorded):
        message = f"annotation {HASH_ANNOTATION} of pod {pod.key.name} has no template hash, but {recorded[:63]!r}"
        raise TerminalError("Unrestorable", message)
    return recorded
