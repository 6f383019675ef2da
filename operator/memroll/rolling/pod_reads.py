"""Reads the rolled pod, its workload and the workload's other pods, for the observer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.model.pods import ObjectRef
from memroll.rolling.reasons import TERMINATING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.api.pod_roll import PodRoll
    from memroll.model.pods import Pod, Workload
    from memroll.rolling.protocols import KubernetesClient


async def read_pods(roll: PodRoll, kubernetes: KubernetesClient) -> tuple[Pod | None, Workload | None, tuple[Pod, ...]]:
    """Return the rolled pod, its workload and the workload's other pods.

    The list of the workload's pods has the rolled one as well, also once it is released; only a pod that is missing
    there is read by its name. The pod is read first while the record does not name its controller.
    """
    pod = None if roll.status.controller else await read_pod(roll, kubernetes)
    controller, owner = _owners(roll, pod)
    workload = await kubernetes.find_workload(roll.namespace, controller, owner) if controller is not None else None
    listed: tuple[Pod, ...] = ()
    if workload is not None and workload.selector:
        listed = await kubernetes.list_pods(roll.namespace, workload.selector)
    rolled_uid = roll.pod_uid or (pod.key.uid if pod else "")
    if roll.status.controller:
        found = next((p for p in listed if p.key.uid == rolled_uid), None)
        if found is not None:
            pod = _unless_gone(found)
        elif not (listed and must_be_gone_if_unlisted(roll)):
            pod = await read_pod(roll, kubernetes)
    return pod, workload, _others(listed, workload, rolled_uid)


async def list_others_without_pod(
    roll: PodRoll, workload: Workload, kubernetes: KubernetesClient
) -> tuple[Pod, ...] | None:
    """Return the other pods of a workload; None if the rolled one still exists."""
    listed = await kubernetes.list_pods(roll.namespace, workload.selector)
    is_listed = any(p.key.uid == roll.pod_uid for p in listed)
    return None if is_listed else _others(listed, workload, roll.pod_uid)


def _others(listed: Sequence[Pod], workload: Workload | None, rolled_uid: str) -> tuple[Pod, ...]:
    owned = (p for p in listed if p.controller and workload and p.controller.uid in workload.controller_uids)
    return tuple(p for p in owned if p.key.uid != rolled_uid and not p.has_ended)


async def read_pod(roll: PodRoll, kubernetes: KubernetesClient) -> Pod | None:
    """Read the rolled pod; None if it is gone, or another pod has its name now."""
    pod = await kubernetes.get_pod(roll.namespace, roll.spec.pod_name)
    if pod is not None and roll.pod_uid and pod.key.uid != roll.pod_uid:
        return None
    return None if pod is None else _unless_gone(pod)


def _unless_gone(pod: Pod) -> Pod | None:
    return None if _is_gone(pod) else pod


def must_be_gone_if_unlisted(roll: PodRoll) -> bool:
    """Return whether the pod is gone if the list of its workload's pods does not have it.

    Its eviction was accepted, and the roll has left it the labels by which it is listed.
    """
    status = roll.status
    return status.phase is Phase.EVICTING and status.reason == TERMINATING and status.detachment is None


def _is_gone(pod: Pod) -> bool:
    """Return whether a pod has ended by itself: its controller has replaced it already.

    The containers of a pod that is being deleted end as well, and a finalizer can hold the pod itself for long.
    """
    return pod.has_ended and not pod.deleting


def _owners(roll: PodRoll, pod: Pod | None) -> tuple[ObjectRef | None, ObjectRef | None]:
    """Return the pod's controller and the owner of that, as recorded, else by the pod's owner reference."""
    status, controller = roll.status, roll.status.controller
    if controller is None:
        return (pod.controller if pod is not None else None), None
    ref = status.workload
    owner = None if ref is None else ObjectRef(ref.api_version, ref.kind, ref.name, status.workload_uid)
    return ObjectRef(controller.api_version, controller.kind, controller.name, controller.uid), owner
