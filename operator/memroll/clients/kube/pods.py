"""Pods: raw JSON of the API server in, frozen `Pod` values out, with the reason why a pod can't run twice.

Decoding never raises: a field of an unexpected type reads as empty. A bug while one pod of a list is decoded is logged,
and the list has the other pods.
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.api_errors import MAX_MESSAGE_CHARS
from memroll.clients.kube.containers import container_statuses, decode_containers, limit_bytes_of, long_running
from memroll.clients.kube.json_access import get_bool, get_count, get_dict, get_dicts, get_str, get_str_dict, get_time
from memroll.errors import MemrollError, NotFoundError, TerminalError
from memroll.model.annotations import MAX_ANNOTATION_CHARS
from memroll.model.pods import AUTOSCALER_ANNOTATIONS, ENDED_PHASES, OWN_ANNOTATIONS, ObjectRef, Pod, PodKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from memroll.clients.kube.api_client import Json, KubeApi

logger = logging.getLogger(__name__)

CORE = "/api/v1"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_SINGLE_CLAIM_READS = 5
"""Maximum number of PersistentVolumeClaims read one by one; for more, all of the namespace are listed. By hand."""

_MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
_WITHOUT_ROOM = ("Unschedulable", "SchedulingGated")
_STARTING = ("ContainerCreating", "PodInitializing")
_EXCLUSIVE_MODES = ("ReadWriteOnce", "ReadWriteOncePod")
_LOW_ON_MEMORY = re.compile(r"low on resource: \[?memory\b")
"""In the status message of a pod that the kubelet has evicted; other resources are disk space and process IDs."""


class KubePodReader:
    """Reads pods from the API server."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def list_pods(self, namespace: str, selector: str) -> tuple[Pod, ...]:
        """Return the pods of one namespace that a label selector selects."""
        if not namespace:
            raise TerminalError("Invalid", "can't list pods: the namespace is empty")
        return await self.list_pods_in(namespace, selector)

    async def list_pods_in(self, namespace: str, selector: str) -> tuple[Pod, ...]:
        """Return the selected pods; an empty namespace means all namespaces."""
        query = {"labelSelector": selector} if selector else {}
        items = self._api.list_items(build_path(CORE, namespace, "pods"), query)
        decoded = [found async for raw in items if (found := decode_or_skip(raw))]
        return await self._add_claim_conflicts(decoded)

    async def iterate_pods(self, namespace: str, selector: str) -> AsyncIterator[Pod]:
        """Yield the selected pods of a namespace, of all namespaces if it is empty. Their claims are not read."""
        query = {"labelSelector": selector} if selector else {}
        async for raw in self._api.list_items(build_path(CORE, namespace, "pods"), query):
            found = decode_or_skip(raw)
            if found:
                yield found[0]

    async def list_all_pods(self, namespace: str, max_pods: int) -> tuple[Pod, ...] | None:
        """Return all pods of a namespace; None if it has more than that: the list is then not read to its end."""
        decoded: list[tuple[Pod, tuple[str, ...]]] = []
        async for raw in self._api.list_items(build_path(CORE, namespace, "pods")):
            found = decode_or_skip(raw)
            decoded += [found] if found else []
            if len(decoded) > max_pods:
                return None
        return await self._add_claim_conflicts(decoded)

    async def get_pod(self, namespace: str, name: str) -> Pod | None:
        try:
            raw = await self._api.request("GET", build_path(CORE, namespace, "pods", name))
        except NotFoundError:
            return None
        found = decode_or_skip(raw)
        return (await self._add_claim_conflicts([found]))[0] if found else None

    async def _add_claim_conflicts(self, decoded: list[tuple[Pod, tuple[str, ...]]]) -> tuple[Pod, ...]:
        """Set `exclusive_because` where a claim allows no second copy and nothing else is the reason already."""
        needed = {(p.key.namespace, c) for p, claims in decoded if not p.exclusive_because for c in claims}
        conflicts: dict[tuple[str, str], str] = {}
        for namespace in {ns for ns, _ in needed}:
            names = {name for ns, name in needed if ns == namespace}
            found = await self._read_claims(namespace, names)
            conflicts |= {(namespace, name): conflict for name, conflict in found.items()}
        return tuple(_with_conflict(pod, claims, conflicts) for pod, claims in decoded)

    async def _read_claims(self, namespace: str, names: set[str]) -> dict[str, str]:
        """Return for each claim why it allows no second pod; empty if many pods may use it at once."""
        path = build_path(CORE, namespace, "persistentvolumeclaims")
        if len(names) <= MAX_SINGLE_CLAIM_READS:
            return {name: await self._read_claim(namespace, name) for name in sorted(names)}
        unread = {name: f"can't read claim {name}" for name in names}
        try:
            listed = {get_str(raw, "metadata", "name"): raw async for raw in self._api.list_items(path)}
        except MemrollError:
            return unread
        return unread | {name: get_claim_conflict(name, raw) for name, raw in listed.items() if name in names}

    async def _read_claim(self, namespace: str, name: str) -> str:
        try:
            path = build_path(CORE, namespace, "persistentvolumeclaims", name)
            return get_claim_conflict(name, await self._api.request("GET", path))
        except MemrollError:
            return f"can't read claim {name}"


def _with_conflict(pod: Pod, claims: tuple[str, ...], conflicts: Mapping[tuple[str, str], str]) -> Pod:
    found = (conflict for claim in claims if (conflict := conflicts.get((pod.key.namespace, claim), "")))
    return replace(pod, exclusive_because=next(found, pod.exclusive_because))


def decode_or_skip(raw: Json) -> tuple[Pod, tuple[str, ...]] | None:
    """Decode a pod and its claims; None for a pod without a name, and for one that triggers a bug."""
    try:
        pod = decode_pod(raw)
        return (pod, claim_names(raw)) if pod else None
    except Exception:
        name = f"{get_str(raw, 'metadata', 'namespace')}/{get_str(raw, 'metadata', 'name')}"
        logger.exception("bug: decoding the pod %s failed; it is left out", name)
        return None


def decode_pod(raw: Json) -> Pod | None:
    """Decode a pod; None if it has no name, namespace or uid."""
    key = PodKey(*(get_str(raw, "metadata", field) for field in ("namespace", "name", "uid")))
    if not (key.namespace and key.name and key.uid):
        return None
    annotations = get_str_dict(raw, "metadata", "annotations")
    ready, ready_at = _readiness(raw)
    limit_bytes = limit_bytes_of(get_dict(raw, "status"), get_dict(raw, "spec"))
    return Pod(
        key=key,
        resource_version=get_str(raw, "metadata", "resourceVersion"),
        created_at=get_time(raw, "metadata", "creationTimestamp") or EPOCH,
        phase=get_str(raw, "status", "phase"),
        ready=ready and get_str(raw, "status", "phase") not in ENDED_PHASES,
        ready_at=ready_at,
        deleting=bool(get_str(raw, "metadata", "deletionTimestamp")),
        controller=get_controller(raw),
        labels=get_str_dict(raw, "metadata", "labels"),
        annotations=select_annotations(annotations),
        containers=decode_containers(raw, limit_bytes),
        limit_bytes=limit_bytes,
        exclusive_because=_host_conflict(raw),
        static=_MIRROR_ANNOTATION in annotations,
        not_ready_reason=_not_ready_reason(raw),
        unschedulable=bool(_unschedulable(raw)),
        deletion_due_at=get_time(raw, "metadata", "deletionTimestamp"),
        started_at=get_time(raw, "status", "startTime"),
        node=get_str(raw, "spec", "nodeName"),
        ip=_own_ip(raw),
        node_pressure_evicted_at=_node_pressure_evicted_at(raw),
        owner_references=tuple(get_dicts(raw, "metadata", "ownerReferences")),
        may_lack_room=_may_lack_room(raw),
    )


def _may_lack_room(raw: Json) -> bool:
    """Return whether a pod has required anti-affinity, or requests a resource with a domain, which only few nodes have.

    `placement` decodes these; here it matters only that there are any.
    """
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    if get_dicts(raw, "spec", "affinity", "podAntiAffinity", required):
        return True
    containers = (*get_dicts(raw, "spec", "initContainers"), *get_dicts(raw, "spec", "containers"))
    return any("/" in name for c in containers for name in get_str_dict(c, "resources", "requests"))


def select_annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    """Keep memroll's annotations and the do-not-disrupt annotations of the autoscalers, and no more than is parsed.

    A longer value is cut to a length at which it still counts as too long.
    """
    kept = OWN_ANNOTATIONS | AUTOSCALER_ANNOTATIONS
    return {k: v[: MAX_ANNOTATION_CHARS + 1] for k, v in annotations.items() if k in kept}


def get_controller(raw: Json) -> ObjectRef | None:
    for owner in get_dicts(raw, "metadata", "ownerReferences"):
        if get_bool(owner, "controller"):
            return ObjectRef(*(get_str(owner, field) for field in ("apiVersion", "kind", "name", "uid")))
    return None


def claim_names(raw: Json) -> tuple[str, ...]:
    """Return the claims that a second copy of the pod would share; with ephemeral volumes each pod gets its own."""
    names = (get_str(volume, "persistentVolumeClaim", "claimName") for volume in get_dicts(raw, "spec", "volumes"))
    return tuple(name for name in names if name)


def get_claim_conflict(name: str, raw: Json) -> str:
    """Return why a claim allows no second copy of its pod, or an empty string.

    The access modes of the bound volume (status) take precedence over the requested ones (spec).
    """
    modes = get_dict(raw, "status").get("accessModes") or get_dict(raw, "spec").get("accessModes")
    modes = modes if isinstance(modes, list) else []
    if any(mode in ("ReadWriteMany", "ReadOnlyMany") for mode in modes):
        return ""
    exclusive = next((mode for mode in _EXCLUSIVE_MODES if mode in modes), "")
    return f"claim {name} is {exclusive}" if exclusive else f"can't read claim {name}"


def _host_conflict(raw: Json) -> str:
    """Return why the node's network allows no second copy, or an empty string."""
    for container in long_running(raw):
        for port in get_dicts(container, "ports"):
            if get_count(port, "hostPort"):
                return f"host port {get_count(port, 'hostPort')}"
    return "host network" if get_bool(raw, "spec", "hostNetwork") else ""


def _own_ip(raw: Json) -> str:
    """Return the pod's own address; empty if the pod shares its node's address, even where the spec denies that."""
    ip = get_str(raw, "status", "podIP")
    return "" if get_bool(raw, "spec", "hostNetwork") or ip == get_str(raw, "status", "hostIP") else ip


def _readiness(raw: Json) -> tuple[bool, datetime | None]:
    for condition in get_dicts(raw, "status", "conditions"):
        if get_str(condition, "type") == "Ready":
            ready = get_str(condition, "status") == "True"
            return ready, get_time(condition, "lastTransitionTime") if ready else None
    return False, None


def _node_pressure_evicted_at(raw: Json) -> datetime | None:
    """Return when the kubelet evicted the pod because its node was low on memory; None for any other pod.

    Before Kubernetes 1.26 there is no condition DisruptionTarget; then the end of its containers, or of Ready, counts.
    """
    status = get_dict(raw, "status")
    if get_str(status, "phase") != "Failed" or get_str(status, "reason") != "Evicted":
        return None
    if not _LOW_ON_MEMORY.search(get_str(status, "message")[:MAX_MESSAGE_CHARS]):
        return None
    changed = {get_str(c, "type"): get_time(c, "lastTransitionTime") for c in get_dicts(raw, "status", "conditions")}
    ends = (get_time(s, "state", "terminated", "finishedAt") for s in container_statuses(raw))
    return changed.get("DisruptionTarget") or max((t for t in ends if t), default=None) or changed.get("Ready")


def _unschedulable(raw: Json) -> str:
    """Return why a pod has no node, or an empty string: none has room, or a quota such as Kueue's holds the pod."""
    for condition in get_dicts(raw, "status", "conditions"):
        reason = get_str(condition, "reason")
        if get_str(condition, "type") == "PodScheduled" and reason in _WITHOUT_ROOM:
            return f"{reason}: {get_str(condition, 'message')}"[:MAX_MESSAGE_CHARS]
    return ""


def _not_ready_reason(raw: Json) -> str:
    """Return why a pod does not become Ready if its status has the reason: no node, no image, a crash."""
    for status in container_statuses(raw):
        waiting = get_dict(status, "state", "waiting")
        reason = get_str(waiting, "reason")
        if reason not in ("", *_STARTING):
            return f"{get_str(status, 'name')}: {reason} {get_str(waiting, 'message')}".strip()[:MAX_MESSAGE_CHARS]
    return _unschedulable(raw)
