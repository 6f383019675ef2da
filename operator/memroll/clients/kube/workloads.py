"""Workload of a pod: its controller, the owner of that, and whether a rollout is in progress.

A lookup costs two to three reads. Callers make it for pods that are at risk and for active rolls, never for every pod.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.api_errors import MAX_MESSAGE_CHARS
from memroll.clients.kube.json_access import get_dict, get_int, get_str, get_str_dict
from memroll.clients.kube.pods import CORE, get_controller, select_annotations
from memroll.clients.kube.recent_replica_sets import RecentReplicaSets
from memroll.clients.kube.rollouts import describe_deletion
from memroll.clients.kube.workload_decoding import (
    APPS,
    ARGO,
    OWNER_KINDS,
    decode_daemon_set,
    decode_stateful_set,
    get_selector,
    kind_of,
    of_revisions,
    selector_of_all_revisions,
    unsupported,
    unsupported_message,
    with_owner,
    without_owner,
)
from memroll.errors import MemrollError, NotFoundError, TerminalError
from memroll.model.pods import ObjectRef, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memroll.clients.kube.api_client import Json, KubeApi
    from memroll.clients.kube.pods import KubePodReader
    from memroll.model.pods import Pod

logger = logging.getLogger(__name__)

MAX_KNOWN_REPLICA_SETS = 5000
"""Maximum number of ReplicaSets whose owner is remembered, 0.5 KiB each; chosen by hand."""
PLURALS = {
    (APPS, "Deployment"): "deployments",
    (APPS, "ReplicaSet"): "replicasets",
    (APPS, "StatefulSet"): "statefulsets",
    (APPS, "DaemonSet"): "daemonsets",
    (ARGO, "Rollout"): "rollouts",
}


class KubeWorkloadReader:
    """Reads the owners of pods from the API server."""

    def __init__(self, api: KubeApi, pods: KubePodReader, recent: RecentReplicaSets | None = None) -> None:
        self._api = api
        self._pods = pods
        self._known: dict[str, tuple[ObjectRef, str]] = {}
        """Owner of each ReplicaSet and selector of all of its revisions, by uid: neither changes in its lifetime."""
        self._recent = recent or RecentReplicaSets()

    async def get_workload(self, pod: Pod) -> Workload | None:
        """Return the workload of a pod; None for a bare pod and for one whose controller no longer exists."""
        return await self.find_workload(pod.key.namespace, pod.controller) if pod.controller else None

    async def find_workload(
        self, namespace: str, controller: ObjectRef, owner: ObjectRef | None = None
    ) -> Workload | None:
        """Return the workload that a controller of pods belongs to, also for a released pod.

        `owner`: the controller's owner, if recorded; its workload is found even after the controller was deleted.
        Raises TerminalError for a workload that triggers a bug: it must not stop the other workloads of a policy.
        """
        try:
            return await self._find_workload(namespace, controller, owner)
        except MemrollError:
            raise
        except Exception as bug:
            logger.exception("bug: decoding the workload %s of namespace %s failed", controller, namespace)
            message = f"{controller} can't be decoded: {type(bug).__name__}, a bug"
            raise TerminalError("Unreadable", message[:MAX_MESSAGE_CHARS]) from bug

    async def _find_workload(self, namespace: str, controller: ObjectRef, owner: ObjectRef | None) -> Workload | None:
        kind = kind_of(controller)
        if kind not in PLURALS or kind == (ARGO, "Rollout"):
            return unsupported(controller)
        if controller.uid in self._known and (found := await self._of_known_replica_set(namespace, controller)):
            return found
        raw = await self._read(namespace, controller)
        if raw is None:
            return await self._of_owner(namespace, controller, owner) if owner and owner != controller else None
        match controller.kind:
            case "ReplicaSet":
                return await self._of_replica_set(namespace, controller, raw)
            case "StatefulSet":
                return decode_stateful_set(controller, raw)
            case _:
                return decode_daemon_set(controller, raw)

    async def _of_replica_set(self, namespace: str, controller: ObjectRef, raw: Json) -> Workload:
        replicas = get_int(raw, "spec", "replicas", default=1)
        owner = get_controller(raw)
        if owner is None:
            return without_owner(controller, raw, replicas, describe_deletion(raw))
        workload = replace(without_owner(controller, raw, replicas, unsupported_message(owner)), owner=owner)
        owner_kind = OWNER_KINDS.get(kind_of(owner))
        if owner_kind is None:
            return replace(workload, is_supported=False)
        selector = selector_of_all_revisions(raw)
        listed_s = self._recent.elapsed_s()
        owner_raw, replica_sets = await self._read_with_replica_sets(namespace, owner, selector)
        workload = of_revisions(workload, owner_kind, raw, owner_raw, (replica_sets, selector))
        if any(get_str(rs, "metadata", "uid") == controller.uid for rs in replica_sets):
            self._remember(controller, owner, selector)
            self._recent.put(owner_raw, replica_sets, listed_s, workload)
        return workload

    async def _of_known_replica_set(self, namespace: str, controller: ObjectRef) -> Workload | None:
        """Return the workload without reading the ReplicaSet by itself; None if it is no longer in its owner's list."""
        owner, selector = self._known[controller.uid]
        owner_raw = await self._read(namespace, owner) if self._recent.has(owner.uid) else None
        remembered, listed_s = self._recent.get(owner_raw), self._recent.elapsed_s()
        if remembered is None:
            owner_raw, replica_sets = await self._read_with_replica_sets(namespace, owner, selector)
        else:
            replica_sets = remembered
        raw = next((rs for rs in replica_sets if get_str(rs, "metadata", "uid") == controller.uid), None)
        if raw is None:
            self._known.pop(controller.uid, None)
            return None
        replicas = get_int(raw, "spec", "replicas", default=1)
        workload = replace(without_owner(controller, raw, replicas, unsupported_message(owner)), owner=owner)
        workload = of_revisions(workload, OWNER_KINDS[kind_of(owner)], raw, owner_raw, (replica_sets, selector))
        if remembered is None:
            self._recent.put(owner_raw, replica_sets, listed_s, workload)
        return workload

    def _remember(self, controller: ObjectRef, owner: ObjectRef, selector: str) -> None:
        self._known[controller.uid] = owner, selector
        while len(self._known) > MAX_KNOWN_REPLICA_SETS:
            del self._known[next(iter(self._known))]

    async def _read_with_replica_sets(
        self, namespace: str, owner: ObjectRef, selector: str
    ) -> tuple[Json | None, list[Json]]:
        """Read the owner of ReplicaSets and list these."""
        return await asyncio.gather(self._read(namespace, owner), self._list_replica_sets(namespace, owner, selector))

    async def _of_owner(self, namespace: str, controller: ObjectRef, owner: ObjectRef) -> Workload | None:
        """Return the workload of pods whose ReplicaSet no longer exists; None if its owner does not exist either."""
        owner_kind = OWNER_KINDS.get(kind_of(owner))
        raw = await self._read(namespace, owner) if owner_kind else None
        if raw is None or owner_kind is None:
            return None
        selector = await read_selector(self._api, namespace, owner.kind, owner.name, raw)
        replica_sets = await self._list_replica_sets(namespace, owner, selector)
        message = f"{controller} no longer exists"
        workload = Workload(owner, controller, 0, hash_label=owner_kind.hash_label, rollout_in_progress=message)
        return with_owner(workload, raw, replica_sets, selector)

    async def list_workload_pods(self, workload: Workload, namespace: str) -> tuple[Pod, ...]:
        """Return the pods of all of the workload's controllers, without released pods."""
        if not workload.selector:
            raise TerminalError("Invalid", f"can't list the pods of {workload.controller}: it has no selector")
        pods = await self._pods.list_pods(namespace, workload.selector)
        return tuple(p for p in pods if p.controller and p.controller.uid in workload.controller_uids)

    async def get_namespace_annotations(self, namespace: str) -> Mapping[str, str]:
        """Return the annotations of a Namespace that memroll uses; none if it does not exist."""
        try:
            raw = await self._api.request("GET", build_path(CORE, plural="namespaces", name=namespace))
        except NotFoundError:
            return {}
        return select_annotations(get_str_dict(raw, "metadata", "annotations"))

    async def _read(self, namespace: str, ref: ObjectRef) -> Json | None:
        """Read an object; None if it no longer exists or another object has its name now."""
        prefix, plural = resource_of(ref)
        try:
            raw = await self._api.request("GET", build_path(prefix, namespace, plural, ref.name))
        except NotFoundError:
            return None
        return raw if get_str(raw, "metadata", "uid") == ref.uid else None

    async def _list_replica_sets(self, namespace: str, owner: ObjectRef, selector: str) -> list[Json]:
        """Return all ReplicaSets of one owner."""
        path = build_path(f"/apis/{APPS}", namespace, "replicasets")
        items = self._api.list_items(path, {"labelSelector": selector})
        return [rs async for rs in items if (found := get_controller(rs)) and found.uid == owner.uid]


async def read_selector(api: KubeApi, namespace: str, kind: str, name: str, raw: Json) -> str:
    """Return the selector of a workload; for a Rollout with a `workloadRef` that of the referenced Deployment.

    Raises TerminalError for an empty one, which would select every pod of the namespace.
    """
    referenced = get_str(raw, "spec", "workloadRef", "name")
    if kind == "Rollout" and referenced and not get_dict(raw, "spec", "selector"):
        raw = await api.request("GET", build_path(f"/apis/{APPS}", namespace, "deployments", referenced))
    selector = get_selector(raw)
    if not selector:
        raise TerminalError("Invalid", f"{kind}/{name} has an empty label selector")
    return selector


def resource_of(ref: ObjectRef) -> tuple[str, str]:
    """Return the API prefix and the plural name of a workload's kind."""
    return f"/apis/{ref.api_version}", PLURALS[kind_of(ref)]
