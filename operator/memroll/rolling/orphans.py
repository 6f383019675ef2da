"""Orphaned pods: released pods without an active PodRoll. They are restored, or evicted when nothing needs them.

A deleted PodRoll leaves one while the replacement is not Ready, and so do an operator that was killed between two
writes, and a roll that ended as `StillReleased`. The controller calls `restore_orphans` at start, at each resync, and
when a PodRoll is deleted.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from memroll.api.pod_roll import PodRoll
from memroll.errors import MemrollError, TerminalError
from memroll.model.annotations import RecordedOwners
from memroll.model.pods import HASH_LABELS, OWNER_ANNOTATION, RELEASED_HASH, ROLL_ANNOTATION, count_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from memroll.model.pods import Pod, PodKey
    from memroll.rolling.protocols import KubernetesClient

logger = logging.getLogger(__name__)

RESTORED = "restored"


UNUSABLE_RECORD = frozenset({"Unrestorable", "Rejected", "Unreadable"})
"""Reasons of errors that the labels and annotations of the pod itself cause: anyone may have written them."""


@dataclass(frozen=True, slots=True)
class OrphanedPod:
    """A released pod without an active PodRoll, and what was done about it."""

    pod: PodKey
    outcome: str
    can_be_restored: bool = True
    """False if no retry can restore or evict the pod: what its own labels and annotations record is unusable."""


async def restore_orphans(
    kubernetes: KubernetesClient,
    namespaces: tuple[str, ...],
    leads: Callable[[], bool],
    excluded: Collection[str] = (),
) -> tuple[OrphanedPod, ...]:
    """Restore or evict every orphaned pod outside of the excluded namespaces.

    An error of one pod goes into its outcome, and the other pods are still handled. An error of listing the pods of a
    namespace is raised once those of the other namespaces are handled.
    """
    orphans: list[OrphanedPod] = []
    errors: list[MemrollError] = []
    for namespace in namespaces or (None,):
        try:
            released = await kubernetes.list_released_pods(namespace)
        except MemrollError as error:
            errors.append(error)
            continue
        for pod in released:
            orphan = None if pod.key.namespace in excluded else await _handle(pod, kubernetes, leads)
            orphans += [] if orphan is None else [orphan]
    if errors:
        raise errors[0]
    return tuple(orphans)


async def _handle(pod: Pod, kubernetes: KubernetesClient, leads: Callable[[], bool]) -> OrphanedPod | None:
    """Restore or evict one released pod; None when it is not orphaned. Errors stay those of this pod."""
    try:
        if pod.deleting or await _has_active_roll(pod, kubernetes) or not leads():
            return None
        return OrphanedPod(pod.key, await _restore_or_evict(pod, kubernetes))
    except MemrollError as error:
        unusable = isinstance(error, TerminalError) and error.reason in UNUSABLE_RECORD
        return OrphanedPod(pod.key, f"not restored: {error}", can_be_restored=not unusable)
    except Exception as bug:
        logger.exception("bug: restoring the orphaned pod %s/%s failed", pod.key.namespace, pod.key.name)
        return OrphanedPod(pod.key, f"not restored: {type(bug).__name__}, a bug", can_be_restored=False)


async def _restore_or_evict(pod: Pod, kubernetes: KubernetesClient) -> str:
    """Restore a pod that its ReplicaSet can adopt; evict it when it has ended, or its workload needs no such pod."""
    if pod.has_ended:
        response = await kubernetes.evict(pod, pod.annotations.get(ROLL_ANNOTATION, ""))
        return f"evicted, because it has ended: {response.result}"
    owners = RecordedOwners.from_annotation(pod.annotations.get(OWNER_ANNOTATION, ""))
    if owners.controller is None:
        await kubernetes.restore(pod, hash_label_of(pod))
        return RESTORED
    workload = await kubernetes.find_workload(pod.key.namespace, owners.controller, owners.owner)
    if workload is not None and workload.can_readopt:
        await kubernetes.restore(pod, hash_label_of(pod))
        return RESTORED
    if workload is None:
        with suppress(TerminalError):  # not permitted: only the eviction remains
            await kubernetes.leave_to_workload(pod)
    else:
        others = await kubernetes.list_workload_pods(workload, pod.key.namespace)
        ready = count_ready(others)
        if ready < workload.replicas:
            return f"not restored: {ready} of {workload.replicas} pods of {workload.owner} are Ready"
    response = await kubernetes.evict(pod, pod.annotations.get(ROLL_ANNOTATION, ""))
    return f"evicted, because no workload needs it: {response.result}"


async def _has_active_roll(pod: Pod, kubernetes: KubernetesClient) -> bool:
    name = pod.annotations.get(ROLL_ANNOTATION)
    raw = await kubernetes.get_roll(pod.key.namespace, name) if name else None
    if raw is None:
        return False
    try:
        roll = PodRoll.read(raw)
    except ValidationError:
        return True  # perhaps the record of a newer memroll: not this one's to undo
    return roll.active and roll.pod_uid == pod.key.uid


def hash_label_of(pod: Pod) -> str:
    """Return the label by which a pod was released."""
    return next((label for label in HASH_LABELS if pod.labels.get(label) == RELEASED_HASH), "")
