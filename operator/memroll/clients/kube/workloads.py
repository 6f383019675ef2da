"""What keeps a pod running: its controller, what owns that, and whether it is in the middle of a rollout.

A lookup costs two to three reads; it is made for pods in breach and for rolls under way, never for every pod.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import MESSAGE_MAX, path_of
from memroll.clients.kube.json_access import flag, mapping, mappings, number, text, texts
from memroll.clients.kube.pods import CORE, controller_of, own_marks
from memroll.clients.kube.rollouts import (
    daemon_set_busy,
    deployment_busy,
    deployment_is_at,
    leaving,
    recreates,
    rollout_busy,
    rollout_is_at,
    stateful_set_busy,
    surge_refused,
)
from memroll.clients.kube.selectors import selector_string
from memroll.errors import NotFound, Stalled
from memroll.model.pods import HASH_LABELS, ROLLOUT_HASH, TEMPLATE_HASH, ObjectRef, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memroll.clients.kube.api_client import Api, Json
    from memroll.clients.kube.pods import Targets
    from memroll.model.pods import Target

RESTART_ANNOTATION = "kubectl.kubernetes.io/restartedAt"

_APPS = "apps/v1"
_ARGO = "argoproj.io/v1alpha1"
_PLURALS = {
    (_APPS, "Deployment"): "deployments",
    (_APPS, "ReplicaSet"): "replicasets",
    (_APPS, "StatefulSet"): "statefulsets",
    (_APPS, "DaemonSet"): "daemonsets",
    (_ARGO, "Rollout"): "rollouts",
}


@dataclass(frozen=True, slots=True)
class _Owner:
    """How an owner of ReplicaSets ties its pods to them, and how it tells that it is changing them."""

    hash_label: str
    busy: Callable[[Json, Json, list[Json]], str]
    is_current: Callable[[Json, Json], bool]


_OWNERS = {
    (_APPS, "Deployment"): _Owner(TEMPLATE_HASH, deployment_busy, deployment_is_at),
    (_ARGO, "Rollout"): _Owner(ROLLOUT_HASH, rollout_busy, rollout_is_at),
}


class Workloads:
    """Reads the owners of pods."""

    def __init__(self, api: Api, targets: Targets) -> None:
        self._api = api
        self._targets = targets

    async def workload(self, target: Target) -> Workload | None:
        """Return what keeps a pod running; None for a bare pod and for one whose controller is gone."""
        return await self.workload_of(target.key.namespace, target.controller) if target.controller else None

    async def workload_of(self, namespace: str, controller: ObjectRef, top: ObjectRef | None = None) -> Workload | None:
        """Return the workload of a pods' controller, which a released pod no longer names.

        With `top`, a controller that is gone still has its workload, as long as that exists.
        """
        known = _kind(controller)
        if known not in _PLURALS or known == (_ARGO, "Rollout"):
            return _unknown(controller)
        raw = await self._read(namespace, controller)
        if raw is None:
            return await self._without(namespace, controller, top) if top and top != controller else None
        match controller.kind:
            case "ReplicaSet":
                return await self._of_replica_set(namespace, controller, raw)
            case "StatefulSet":
                return _simple(controller, raw, number(raw, "spec", "replicas", default=1), stateful_set_busy(raw))
            case _:
                desired = number(raw, "status", "desiredNumberScheduled")
                return _simple(controller, raw, desired, daemon_set_busy(raw))

    async def _of_replica_set(self, namespace: str, controller: ObjectRef, raw: Json) -> Workload:
        desired = number(raw, "spec", "replicas", default=1)
        top = controller_of(raw)
        if top is None:
            return _simple(controller, raw, desired, leaving(raw))
        alone = replace(_simple(controller, raw, desired, _not_known(top)), top=top)
        owner = _OWNERS.get(_kind(top))
        if owner is None:
            return alone
        selector = _any_revision(raw)
        top_raw, siblings = await asyncio.gather(
            self._read(namespace, top), self._replica_sets(namespace, top, selector)
        )
        alone = replace(alone, hash_label=owner.hash_label)
        if top_raw is None:
            return replace(alone, mid_rollout=f"{top} does not exist any more")
        whole = _of_top(alone, top_raw, siblings, selector)
        newest = next((rs for rs in siblings if owner.is_current(top_raw, rs)), raw)
        busy, unsettled = (owner.busy(top_raw, rs, siblings) for rs in (raw, newest))
        return replace(whole, mid_rollout=busy, unsettled=unsettled)

    async def _without(self, namespace: str, controller: ObjectRef, top: ObjectRef) -> Workload | None:
        """Return the workload of pods whose ReplicaSet is gone, or None when all of it is."""
        owner = _OWNERS.get(_kind(top))
        raw = await self._read(namespace, top) if owner else None
        if raw is None or owner is None:
            return None
        selector = await self.selector_of(namespace, top.api_version, top.kind, top.name)
        siblings = await self._replica_sets(namespace, top, selector)
        gone = Workload(top, controller, 0, hash_label=owner.hash_label, mid_rollout=f"{controller} is gone")
        return _of_top(gone, raw, siblings, selector)

    async def owned_pods(self, workload: Workload, namespace: str) -> tuple[Target, ...]:
        """Return the pods of all of the workload's controllers; a released pod is not among them."""
        if not workload.selector:
            raise Stalled("Invalid", f"{workload.controller} has no selector by which its pods could be listed")
        pods = await self._targets.targets(namespace, workload.selector)
        return tuple(p for p in pods if p.controller and p.controller.uid in workload.family)

    async def selector_of(self, namespace: str, api_version: str, kind: str, name: str) -> str:
        """Return the label selector of a workload. NotFound passes through; an empty selector is refused."""
        plural = _PLURALS.get((api_version, kind))
        if plural is None:
            raise Stalled("Invalid", f"targetRef {api_version} {kind} is not supported")
        raw = await self._api.request("GET", path_of(f"/apis/{api_version}", namespace, plural, name))
        borrowed = text(raw, "spec", "workloadRef", "name")
        if kind == "Rollout" and borrowed and not mapping(raw, "spec", "selector"):
            return await self.selector_of(namespace, _APPS, "Deployment", borrowed)
        selector = _selector(raw)
        if not selector:
            raise Stalled("Invalid", f"{kind}/{name} has an empty label selector")
        return selector

    async def namespace_annotations(self, namespace: str) -> Mapping[str, str]:
        """Return memroll's annotations on a Namespace."""
        try:
            raw = await self._api.request("GET", path_of(CORE, plural="namespaces", name=namespace))
        except NotFound:
            return {}
        return own_marks(texts(raw, "metadata", "annotations"))

    async def _read(self, namespace: str, ref: ObjectRef) -> Json | None:
        """Read an object; None when it is gone or when another one bears its name now."""
        prefix, plural = place_of(ref)
        path = path_of(prefix, namespace, plural, ref.name)
        try:
            raw = await self._api.request("GET", path)
        except NotFound:
            return None
        return raw if text(raw, "metadata", "uid") == ref.uid else None

    async def _replica_sets(self, namespace: str, top: ObjectRef, selector: str) -> list[Json]:
        """Return all ReplicaSets of one owner."""
        listed = self._api.pages(path_of(f"/apis/{_APPS}", namespace, "replicasets"), {"labelSelector": selector})
        return [rs async for rs in listed if (owner := controller_of(rs)) and owner.uid == top.uid]


def place_of(ref: ObjectRef) -> tuple[str, str]:
    """Return the API prefix and the plural of a workload."""
    return f"/apis/{ref.api_version}", _PLURALS[_kind(ref)]


def _kind(ref: ObjectRef) -> tuple[str, str]:
    return ref.api_version, ref.kind


def _selector(raw: Json) -> str:
    return selector_string(mapping(raw, "spec", "selector"))


def _any_revision(raw: Json) -> str:
    """Return what selects the pods and ReplicaSets of all revisions: they share all labels but the template hash."""
    own = {k: v for k, v in texts(raw, "spec", "selector", "matchLabels").items() if k not in HASH_LABELS}
    return selector_string({**mapping(raw, "spec", "selector"), "matchLabels": own})


def _simple(controller: ObjectRef, raw: Json, desired: int, busy: str) -> Workload:
    return Workload(
        controller,
        controller,
        desired,
        desired,
        mid_rollout=busy,
        unsettled=busy,
        selector=_selector(raw),
        family=frozenset({controller.uid}),
        failure=_failure(raw),
        restarted_at=_restarted_at(raw),
    )


def _of_top(part: Workload, top: Json, siblings: list[Json], selector: str) -> Workload:
    """Add to a workload, known by one of its ReplicaSets, what is known of all of it."""
    failures = [failure for rs in siblings if (failure := _failure(rs))]
    return replace(
        part,
        replicas=number(top, "spec", "replicas", default=1),
        selector=selector,
        family=frozenset(text(rs, "metadata", "uid") for rs in siblings) | {part.controller.uid},
        failure=part.failure or next(iter(failures), ""),
        paused=flag(top, "spec", "paused"),
        restarted_at=_restarted_at(top),
        recreates=recreates(top),
        surge_refused=surge_refused(top),
    )


def _failure(raw: Json) -> str:
    """Say why a ReplicaSet can't create pods."""
    for found in mappings(raw, "status", "conditions"):
        if text(found, "type") == "ReplicaFailure" and text(found, "status") == "True":
            return text(found, "message")[:MESSAGE_MAX]
    return ""


def _restarted_at(raw: Json) -> str:
    marks = texts(raw, "spec", "template", "metadata", "annotations")
    return text(raw, "spec", "restartAt") or marks.get(RESTART_ANNOTATION, "")


def _unknown(controller: ObjectRef) -> Workload:
    """Name the owner; `mid_rollout` says more for one that bears a known kind in another group."""
    return Workload(controller, controller, desired=0, mid_rollout=_not_known(controller))


def _not_known(ref: ObjectRef) -> str:
    return f"{ref} of {ref.api_version} is not a workload whose rollouts can be read"
