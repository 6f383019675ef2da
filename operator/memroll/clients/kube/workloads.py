"""Workload of a pod: its controller, the owner of that, and whether a rollout is in progress.

A lookup costs two to three reads. Callers make it for pods that are at risk and for active rolls, never for every pod.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import MAX_MESSAGE_CHARS, build_path
from memroll.clients.kube.json_access import get_bool, get_dict, get_int, get_str, get_str_dict, parse_time
from memroll.clients.kube.pod_revisions import (
    daemon_set_revisions,
    describe_replacing_daemon_set,
    describe_replacing_stateful_set,
    stateful_set_revisions,
)
from memroll.clients.kube.pods import CORE, get_controller, select_annotations
from memroll.clients.kube.rollouts import (
    describe_argo_restart,
    describe_argo_rollout,
    describe_daemon_set_rollout,
    describe_deletion,
    describe_deployment_rollout,
    describe_stateful_set_rollout,
    has_recreate_strategy,
    is_current_of_deployment,
    is_current_of_rollout,
    must_not_surge_because,
    replica_failure,
)
from memroll.clients.kube.selectors import selector_string
from memroll.errors import MemrollError, NotFoundError, TerminalError
from memroll.model.pods import HASH_LABELS, ROLLOUT_HASH, TEMPLATE_HASH, ObjectRef, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from memroll.clients.kube.api_client import Json, KubeApi
    from memroll.clients.kube.pods import KubePodReader
    from memroll.model.pods import Pod

logger = logging.getLogger(__name__)

RESTART_ANNOTATION = "kubectl.kubernetes.io/restartedAt"

_APPS = "apps/v1"
_ARGO = "argoproj.io/v1alpha1"
PLURALS = {
    (_APPS, "Deployment"): "deployments",
    (_APPS, "ReplicaSet"): "replicasets",
    (_APPS, "StatefulSet"): "statefulsets",
    (_APPS, "DaemonSet"): "daemonsets",
    (_ARGO, "Rollout"): "rollouts",
}


@dataclass(frozen=True, slots=True)
class _OwnerKind:
    """Kind of object that owns ReplicaSets: the label that ties pods to them, and how to read its rollout."""

    hash_label: str
    describe_rollout: Callable[[Json, Json, list[Json]], str]
    is_current: Callable[[Json, Json], bool]


_OWNER_KINDS = {
    (_APPS, "Deployment"): _OwnerKind(TEMPLATE_HASH, describe_deployment_rollout, is_current_of_deployment),
    (_ARGO, "Rollout"): _OwnerKind(ROLLOUT_HASH, describe_argo_rollout, is_current_of_rollout),
}


class KubeWorkloadReader:
    """Reads the owners of pods from the API server."""

    def __init__(self, api: KubeApi, pods: KubePodReader) -> None:
        self._api = api
        self._pods = pods

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
        kind = _kind(controller)
        if kind not in PLURALS or kind == (_ARGO, "Rollout"):
            return _unsupported(controller)
        raw = await self._read(namespace, controller)
        if raw is None:
            return await self._of_owner(namespace, controller, owner) if owner and owner != controller else None
        match controller.kind:
            case "ReplicaSet":
                return await self._of_replica_set(namespace, controller, raw)
            case "StatefulSet":
                return _stateful_set(controller, raw)
            case _:
                return _daemon_set(controller, raw)

    async def _of_replica_set(self, namespace: str, controller: ObjectRef, raw: Json) -> Workload:
        replicas = get_int(raw, "spec", "replicas", default=1)
        owner = get_controller(raw)
        if owner is None:
            return _without_owner(controller, raw, replicas, describe_deletion(raw))
        workload = replace(_without_owner(controller, raw, replicas, _unsupported_message(owner)), owner=owner)
        owner_kind = _OWNER_KINDS.get(_kind(owner))
        if owner_kind is None:
            return replace(workload, is_supported=False)
        selector = _selector_of_all_revisions(raw)
        owner_raw, replica_sets = await asyncio.gather(
            self._read(namespace, owner), self._list_replica_sets(namespace, owner, selector)
        )
        workload = replace(workload, hash_label=owner_kind.hash_label)
        if owner_raw is None:
            return replace(workload, rollout_in_progress=f"{owner} no longer exists")
        workload = _with_owner(workload, owner_raw, replica_sets, selector)
        current = next((rs for rs in replica_sets if owner_kind.is_current(owner_raw, rs)), raw)
        return replace(
            workload,
            rollout_in_progress=owner_kind.describe_rollout(owner_raw, raw, replica_sets),
            owner_rollout_in_progress=owner_kind.describe_rollout(owner_raw, current, replica_sets),
        )

    async def _of_owner(self, namespace: str, controller: ObjectRef, owner: ObjectRef) -> Workload | None:
        """Return the workload of pods whose ReplicaSet no longer exists; None if its owner does not exist either."""
        owner_kind = _OWNER_KINDS.get(_kind(owner))
        raw = await self._read(namespace, owner) if owner_kind else None
        if raw is None or owner_kind is None:
            return None
        selector = await read_selector(self._api, namespace, owner.kind, owner.name, raw)
        replica_sets = await self._list_replica_sets(namespace, owner, selector)
        message = f"{controller} no longer exists"
        workload = Workload(owner, controller, 0, hash_label=owner_kind.hash_label, rollout_in_progress=message)
        return _with_owner(workload, raw, replica_sets, selector)

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
        path = build_path(f"/apis/{_APPS}", namespace, "replicasets")
        items = self._api.list_items(path, {"labelSelector": selector})
        return [rs async for rs in items if (found := get_controller(rs)) and found.uid == owner.uid]


async def read_selector(api: KubeApi, namespace: str, kind: str, name: str, raw: Json) -> str:
    """Return the selector of a workload; for a Rollout with a `workloadRef` that of the referenced Deployment.

    Raises TerminalError for an empty one, which would select every pod of the namespace.
    """
    referenced = get_str(raw, "spec", "workloadRef", "name")
    if kind == "Rollout" and referenced and not get_dict(raw, "spec", "selector"):
        raw = await api.request("GET", build_path(f"/apis/{_APPS}", namespace, "deployments", referenced))
    selector = _selector(raw)
    if not selector:
        raise TerminalError("Invalid", f"{kind}/{name} has an empty label selector")
    return selector


def resource_of(ref: ObjectRef) -> tuple[str, str]:
    """Return the API prefix and the plural name of a workload's kind."""
    return f"/apis/{ref.api_version}", PLURALS[_kind(ref)]


def _kind(ref: ObjectRef) -> tuple[str, str]:
    return ref.api_version, ref.kind


def _selector(raw: Json) -> str:
    return selector_string(get_dict(raw, "spec", "selector"))


def _selector_of_all_revisions(raw: Json) -> str:
    """Return the selector for the pods and ReplicaSets of all revisions: a ReplicaSet's without the template hash."""
    own = {k: v for k, v in get_str_dict(raw, "spec", "selector", "matchLabels").items() if k not in HASH_LABELS}
    return selector_string({**get_dict(raw, "spec", "selector"), "matchLabels": own})


def _stateful_set(controller: ObjectRef, raw: Json) -> Workload:
    replicas = get_int(raw, "spec", "replicas", default=1)
    return replace(
        _without_owner(controller, raw, replicas, describe_stateful_set_rollout(raw)),
        rollout_in_progress=describe_replacing_stateful_set(raw),
        pod_revisions=stateful_set_revisions(raw),
    )


def _daemon_set(controller: ObjectRef, raw: Json) -> Workload:
    replicas = get_int(raw, "status", "desiredNumberScheduled")
    return replace(
        _without_owner(controller, raw, replicas, describe_daemon_set_rollout(raw)),
        rollout_in_progress=describe_replacing_daemon_set(raw),
        pod_revisions=daemon_set_revisions(raw),
    )


def _without_owner(controller: ObjectRef, raw: Json, replicas: int, rollout: str) -> Workload:
    return Workload(
        controller,
        controller,
        replicas,
        replicas,
        rollout_in_progress=rollout,
        owner_rollout_in_progress=rollout,
        selector=_selector(raw),
        controller_uids=frozenset({controller.uid}),
        replica_failure=replica_failure(raw),
        restarted_at=_restarted_at(raw),
        min_ready_s=_min_ready_s(raw),
    )


def _with_owner(workload: Workload, owner: Json, replica_sets: list[Json], selector: str) -> Workload:
    """Add the fields that come from the owner and from all of its ReplicaSets."""
    failures = [failure for rs in replica_sets if (failure := replica_failure(rs))]
    return replace(
        workload,
        replicas=get_int(owner, "spec", "replicas", default=1),
        selector=selector,
        controller_uids=frozenset(get_str(rs, "metadata", "uid") for rs in replica_sets) | {workload.controller.uid},
        replica_failure=workload.replica_failure or next(iter(failures), ""),
        paused=get_bool(owner, "spec", "paused"),
        restarted_at=_restarted_at(owner),
        restart_in_progress=describe_argo_restart(owner),
        min_ready_s=_min_ready_s(owner),
        has_recreate_strategy=has_recreate_strategy(owner),
        must_not_surge_because=must_not_surge_because(owner),
    )


def _min_ready_s(raw: Json) -> float:
    return float(max(0, get_int(raw, "spec", "minReadySeconds")))


def _restarted_at(raw: Json) -> datetime | None:
    """Return the time of the last restart. kubectl writes it in the local time of the user."""
    annotations = get_str_dict(raw, "spec", "template", "metadata", "annotations")
    return parse_time(get_str(raw, "spec", "restartAt") or annotations.get(RESTART_ANNOTATION, ""))


def _unsupported(controller: ObjectRef) -> Workload:
    """Return a workload of an unsupported kind. Its message names the API group, for a known kind of another group."""
    message = _unsupported_message(controller)
    return Workload(controller, controller, controller_replicas=0, rollout_in_progress=message, is_supported=False)


def _unsupported_message(ref: ObjectRef) -> str:
    return f"memroll can't read rollouts of {ref}: {ref.api_version} {ref.kind} is not supported"
