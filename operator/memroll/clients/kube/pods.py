"""Pods as targets: raw JSON decoded into frozen values, however odd it is, and the claims that pin a pod."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kubernetes.utils.quantity import parse_quantity

from memroll.api import GROUP
from memroll.clients.kube.api_client import MESSAGE_MAX, path_of
from memroll.clients.kube.json_access import flag, mapping, mappings, moment, number, text, texts
from memroll.errors import MemrollError, NotFound, Stalled
from memroll.model.pods import Container, ObjectRef, PodKey, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from memroll.clients.kube.api_client import Api, Json

CORE = "/api/v1"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CLAIMS_READ_SINGLY = 5
"""Up to so many claims are read one by one; for more, the namespace's claims are listed."""

_ALIEN_MARKS = frozenset({"karpenter.sh/do-not-disrupt", "cluster-autoscaler.kubernetes.io/safe-to-evict"})
_MIRROR = "kubernetes.io/config.mirror"
_STARTING = ("ContainerCreating", "PodInitializing")
_ONE_NODE_OR_POD = ("ReadWriteOnce", "ReadWriteOncePod")
_QUANTITY = re.compile(r"[0-9]{1,20}(\.[0-9]{0,9})?([KMGTPE]i|[mkMGTPE]|[eE][+-]?[0-9]{1,2})?", re.ASCII)


class Targets:
    """Reads pods of one cluster."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def targets(self, namespace: str, selector: str) -> tuple[Target, ...]:
        """Return the pods of a namespace that a label selector selects."""
        if not namespace:
            raise Stalled("Invalid", "pods are listed namespace by namespace, and none was named")
        return await self.listed(namespace, selector)

    async def listed(self, namespace: str, selector: str) -> tuple[Target, ...]:
        """Return the selected pods; an empty namespace means all of them."""
        pages = self._api.pages(path_of(CORE, namespace, "pods"), {"labelSelector": selector} if selector else {})
        found = [(target, claims_of(raw)) async for raw in pages if (target := decode(raw))]
        return await self._pinned(found)

    async def pod(self, namespace: str, name: str) -> Target | None:
        try:
            raw = await self._api.request("GET", path_of(CORE, namespace, "pods", name))
        except NotFound:
            return None
        target = decode(raw)
        return (await self._pinned([(target, claims_of(raw))]))[0] if target else None

    async def _pinned(self, found: list[tuple[Target, tuple[str, ...]]]) -> tuple[Target, ...]:
        """Add what the claims say to pods that nothing else pins."""
        wanted = {(t.key.namespace, c) for t, claims in found if not t.pinned_by for c in claims}
        known: dict[tuple[str, str], str] = {}
        for namespace in {ns for ns, _ in wanted}:
            names = {name for ns, name in wanted if ns == namespace}
            known |= {(namespace, name): why for name, why in (await self._claims(namespace, names)).items()}
        return tuple(
            replace(
                t, pinned_by=next((why for c in claims if (why := known.get((t.key.namespace, c), ""))), t.pinned_by)
            )
            for t, claims in found
        )

    async def _claims(self, namespace: str, names: set[str]) -> dict[str, str]:
        """Return for each claim why it pins a pod; empty when many pods may use it at once."""
        path = path_of(CORE, namespace, "persistentvolumeclaims")
        if len(names) <= CLAIMS_READ_SINGLY:
            return {name: await self._claim(namespace, name) for name in sorted(names)}
        unread = {name: f"can't read claim {name}" for name in names}
        try:
            listed = {text(raw, "metadata", "name"): raw async for raw in self._api.pages(path)}
        except MemrollError:
            return unread
        return unread | {name: claim_pins(name, raw) for name, raw in listed.items() if name in names}

    async def _claim(self, namespace: str, name: str) -> str:
        path = path_of(CORE, namespace, "persistentvolumeclaims", name)
        try:
            return claim_pins(name, await self._api.request("GET", path))
        except MemrollError:
            return f"can't read claim {name}"


def decode(raw: Json) -> Target | None:
    """Read a pod. One without name, namespace or uid is none."""
    key = PodKey(text(raw, "metadata", "namespace"), text(raw, "metadata", "name"), text(raw, "metadata", "uid"))
    if not (key.namespace and key.name and key.uid):
        return None
    annotations = texts(raw, "metadata", "annotations")
    ready, ready_at = _readiness(raw)
    return Target(
        key=key,
        resource_version=text(raw, "metadata", "resourceVersion"),
        created_at=moment(raw, "metadata", "creationTimestamp") or EPOCH,
        phase=text(raw, "status", "phase"),
        ready=ready,
        ready_at=ready_at,
        deleting=bool(text(raw, "metadata", "deletionTimestamp")),
        controller=controller_of(raw),
        labels=texts(raw, "metadata", "labels"),
        annotations=own_marks(annotations),
        containers=_containers(raw),
        pinned_by=_pinned_by_host(raw),
        mirror=_MIRROR in annotations,
        stuck=_stuck(raw),
        unschedulable=bool(_unschedulable(raw)),
        ip=_own_ip(raw),
    )


def own_marks(annotations: Mapping[str, str]) -> dict[str, str]:
    """Keep memroll's annotations and those by which the autoscalers are told to leave a pod alone."""
    return {k: v for k, v in annotations.items() if k.partition("/")[0] == GROUP or k in _ALIEN_MARKS}


def controller_of(raw: Json) -> ObjectRef | None:
    for owner in mappings(raw, "metadata", "ownerReferences"):
        if flag(owner, "controller"):
            return ObjectRef(text(owner, "apiVersion"), text(owner, "kind"), text(owner, "name"), text(owner, "uid"))
    return None


def bytes_of(value: object) -> int | None:
    """Read a quantity of memory; None for what is none.

    The client's parser also takes other scripts' digits, "Infinity" and exponents that fill the memory.
    """
    written = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(parse_quantity(written)) if _QUANTITY.fullmatch(written) else None


def claims_of(raw: Json) -> tuple[str, ...]:
    """Return the claims that a second copy of the pod would have to share; ephemeral volumes get one per pod."""
    names = (text(volume, "persistentVolumeClaim", "claimName") for volume in mappings(raw, "spec", "volumes"))
    return tuple(name for name in names if name)


def claim_pins(name: str, raw: Json) -> str:
    """Say why a claim keeps a second copy of its pod from running; the modes of the bound volume count."""
    modes = mapping(raw, "status").get("accessModes") or mapping(raw, "spec").get("accessModes")
    modes = modes if isinstance(modes, list) else []
    if any(mode in ("ReadWriteMany", "ReadOnlyMany") for mode in modes):
        return ""
    once = next((mode for mode in _ONE_NODE_OR_POD if mode in modes), "")
    return f"claim {name} is {once}" if once else f"can't read claim {name}"


def _pinned_by_host(raw: Json) -> str:
    for container in _declared(raw):
        for port in mappings(container, "ports"):
            if number(port, "hostPort"):
                return f"host port {number(port, 'hostPort')}"
    return "host network" if flag(raw, "spec", "hostNetwork") else ""


def _own_ip(raw: Json) -> str:
    """Return the pod's address; none for one that shares its node's, whatever the spec calls that."""
    ip = text(raw, "status", "podIP")
    return "" if flag(raw, "spec", "hostNetwork") or ip == text(raw, "status", "hostIP") else ip


def _readiness(raw: Json) -> tuple[bool, datetime | None]:
    for condition in mappings(raw, "status", "conditions"):
        if text(condition, "type") == "Ready":
            ready = text(condition, "status") == "True"
            return ready, moment(condition, "lastTransitionTime") if ready else None
    return False, None


def _unschedulable(raw: Json) -> str:
    for condition in mappings(raw, "status", "conditions"):
        if text(condition, "type") == "PodScheduled" and text(condition, "reason") == "Unschedulable":
            return f"Unschedulable: {text(condition, 'message')}"[:MESSAGE_MAX]
    return ""


def _stuck(raw: Json) -> str:
    """Say what keeps a pod from becoming Ready, where its status tells: no room, no image, a crash."""
    for status in mappings(raw, "status", "containerStatuses") + mappings(raw, "status", "initContainerStatuses"):
        waiting = mapping(status, "state", "waiting")
        if text(waiting, "reason") not in ("", *_STARTING):
            return f"{text(status, 'name')}: {text(waiting, 'reason')} {text(waiting, 'message')}".strip()[:MESSAGE_MAX]
    return _unschedulable(raw)


def _declared(raw: Json) -> list[Json]:
    """Return the containers that run as long as the pod: native sidecars too, other init containers not."""
    sidecars = [c for c in mappings(raw, "spec", "initContainers") if text(c, "restartPolicy") == "Always"]
    return mappings(raw, "spec", "containers") + sidecars


def _containers(raw: Json) -> tuple[Container, ...]:
    reported = mappings(raw, "status", "containerStatuses") + mappings(raw, "status", "initContainerStatuses")
    statuses = {text(status, "name"): status for status in reported}
    declared = [c for c in _declared(raw) if text(c, "name")]
    return tuple(_container(c, statuses.get(text(c, "name"), {})) for c in declared)


def _container(declared: Json, status: Json) -> Container:
    running = mapping(status, "state", "running")
    limits = (mapping(source, "resources", "limits").get("memory") for source in (status, declared))
    runtime_id = text(status, "containerID")
    return Container(
        name=text(declared, "name"),
        id=runtime_id.rpartition("://")[2] if running else "",
        limit_bytes=next((size for limit in limits if (size := bytes_of(limit)) is not None), None),
        started_at=moment(running, "startedAt"),
        restarts=number(status, "restartCount"),
        oom_killed_at=max(_oom_kills(status), default=None),
        image=_image(declared, status),
        ports=tuple(
            number(port, "containerPort")
            for port in mappings(declared, "ports")
            if text(port, "protocol") in ("", "TCP") and number(port, "containerPort")
        ),
    )


def _image(declared: Json, status: Json) -> str:
    """Return the image that runs; some runtimes only know its digest, then the one that was asked for."""
    runs = text(status, "image")
    return text(declared, "image") if not runs or runs.startswith("sha256:") else runs


def _oom_kills(status: Json) -> Iterable[datetime]:
    for state in ("lastState", "state"):
        ended = mapping(status, state, "terminated")
        at = moment(ended, "finishedAt")
        if text(ended, "reason") == "OOMKilled" and at:
            yield at
