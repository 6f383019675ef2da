"""Released pods that no roll is about any more: put back, or taken away where nobody wants them back.

This is what a deleted PodRoll means while the replacement is not Ready, and what is left of an operator that was
killed at the wrong moment. It is done at start, at each resync, and when a PodRoll is deleted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError

from memroll.api.pod_roll import PodRoll
from memroll.errors import MemrollError
from memroll.model.annotations import Owners
from memroll.model.pods import HASH_LABELS, OWNER_ANNOTATION, RELEASED_HASH, ROLL_ANNOTATION, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from memroll.model.pods import PodKey, Target, Workload
    from memroll.rolling.eviction import EvictionAnswer

logger = logging.getLogger(__name__)


class Cluster(Protocol):
    """What sweeping needs of Kubernetes."""

    async def released_pods(self, namespace: str | None) -> tuple[Target, ...]: ...
    async def roll(self, namespace: str, name: str) -> dict[str, Any] | None: ...
    async def workload_of(
        self, namespace: str, controller: ObjectRef, top: ObjectRef | None = None
    ) -> Workload | None: ...
    async def owned_pods(self, workload: Workload, namespace: str) -> tuple[Target, ...]: ...
    async def restore(self, target: Target, hash_label: str) -> None: ...
    async def evict(self, target: Target, roll_name: str) -> EvictionAnswer: ...


@dataclass(frozen=True, slots=True)
class Stray:
    """A released pod without a roll, and what became of it, in words."""

    pod: PodKey
    done: str


async def sweep(
    cluster: Cluster, namespaces: tuple[str, ...], leads: Callable[[], bool], excluded: Collection[str] = ()
) -> tuple[Stray, ...]:
    """Settle every stray outside of the excluded namespaces.

    Trouble with one is told and does not keep the others waiting. Trouble with listing the pods of a namespace is
    raised once those of the others are settled.
    """
    strays: list[Stray] = []
    troubles: list[MemrollError] = []
    for namespace in namespaces or (None,):
        try:
            found = await cluster.released_pods(namespace)
        except MemrollError as trouble:
            troubles.append(trouble)
            continue
        for pod in found:
            stray = None if pod.key.namespace in excluded else await _looked_at(pod, cluster, leads)
            strays += [] if stray is None else [stray]
    if troubles:
        raise troubles[0]
    return tuple(strays)


async def _looked_at(pod: Target, cluster: Cluster, leads: Callable[[], bool]) -> Stray | None:
    """Settle one released pod; None when it is no stray. Whatever fails is told, and stays this pod's own."""
    try:
        if pod.deleting or await _is_rolling(pod, cluster) or not leads():
            return None
        return Stray(pod.key, await _settle(pod, cluster))
    except MemrollError as trouble:
        return Stray(pod.key, f"left: {trouble}")
    except Exception as bug:
        logger.exception("a bug: settling pod %s/%s failed", pod.key.namespace, pod.key.name)
        return Stray(pod.key, f"left: {type(bug).__name__}, a bug")


async def _settle(pod: Target, cluster: Cluster) -> str:
    """Put a stray back where its ReplicaSet wants it; evict it where its workload is complete without it."""
    owners = Owners.read(pod.annotations.get(OWNER_ANNOTATION, ""))
    if owners.controller is None:
        await cluster.restore(pod, hash_label_of(pod))
        return "put back"
    workload = await cluster.workload_of(pod.key.namespace, owners.controller, owners.top)
    if workload is not None and workload.wants_back:
        await cluster.restore(pod, hash_label_of(pod))
        return "put back"
    if workload is not None:
        others = await cluster.owned_pods(workload, pod.key.namespace)
        ready = sum(1 for p in others if p.ready and not p.deleting)
        if ready < workload.replicas:
            return f"left: {ready} of {workload.replicas} pods of {workload.top} are Ready"
    answer = await cluster.evict(pod, pod.annotations.get(ROLL_ANNOTATION, ""))
    return f"evicted, for nothing wants it back: {answer.result}"


async def _is_rolling(pod: Target, cluster: Cluster) -> bool:
    name = pod.annotations.get(ROLL_ANNOTATION)
    raw = await cluster.roll(pod.key.namespace, name) if name else None
    if raw is None:
        return False
    try:
        roll = PodRoll.read(raw)
    except ValidationError:
        return True  # a record of a newer memroll, perhaps: not ours to undo
    return roll.active and roll.pod_uid == pod.key.uid


def hash_label_of(pod: Target) -> str:
    """Return the label by which a released pod was let go."""
    return next((label for label in HASH_LABELS if pod.labels.get(label) == RELEASED_HASH), "")
