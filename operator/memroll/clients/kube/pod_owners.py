"""Owner references that memroll adds to a released pod, and removes from it again. Pure.

`pod_writes` calls these functions with the raw references of a pod. From the release until the replacement is Ready the
workload owns the pod, then the PodRoll: so the pod always has an owner. Neither controls the pod. Once the workload is
deleted, it owns the pod again, which the garbage collector then deletes with the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api import API_VERSION
from memroll.clients.kube.json_access import get_bool, get_str
from memroll.model.annotations import RecordedOwners
from memroll.model.pods import OWNER_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memroll.clients.kube.api_client import Json
    from memroll.model.pods import ObjectRef, Pod

_ROLL_KIND = "PodRoll"


def as_read(pod: Pod) -> Json | None:
    """Return what was read of a pod that the functions here need, as JSON; None if its owners were not read."""
    if not pod.owner_references:
        return None
    owners = [dict(owner) for owner in pod.owner_references]
    versions = {"resourceVersion": pod.resource_version, "annotations": dict(pod.annotations)}
    return {"metadata": {**versions, "ownerReferences": owners}}


def with_workload(owners: Sequence[Json], workload: ObjectRef) -> list[Json]:
    """Return the references and that of the workload above the ReplicaSet."""
    others = [owner for owner in owners if get_str(owner, "uid") != workload.uid]
    return [*others, _reference(workload.api_version, workload.kind, workload.name, workload.uid)]


def with_roll(owners: Sequence[Json], annotations: Mapping[str, str], name: str, uid: str) -> list[Json]:
    """Return the references with that of the PodRoll in place of the workload's."""
    others = [owner for owner in owners if not _is_workload(owner, annotations)]
    return [*others, _reference(API_VERSION, _ROLL_KIND, name, uid)]


def with_recorded_workload(owners: Sequence[Json], annotations: Mapping[str, str]) -> list[Json]:
    """Return the references with that of the recorded workload, if there is one, in place of the PodRoll's."""
    recorded = RecordedOwners.from_annotation(annotations.get(OWNER_ANNOTATION, "")).owner
    if recorded is None:
        return list(owners)
    return with_workload(without_own_references(owners, annotations), recorded)


def without_own_references(owners: Sequence[Json], annotations: Mapping[str, str]) -> list[Json]:
    """Return the references that memroll has not added."""
    return [owner for owner in owners if not (_is_roll(owner) or _is_workload(owner, annotations))]


def _reference(api_version: str, kind: str, name: str, uid: str) -> Json:
    reference = {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid}
    return {**reference, "controller": False, "blockOwnerDeletion": False}


def _is_workload(owner: Json, annotations: Mapping[str, str]) -> bool:
    """Return whether a reference is that of the recorded workload, added when the pod was released."""
    recorded = RecordedOwners.from_annotation(annotations.get(OWNER_ANNOTATION, "")).owner
    is_recorded = recorded is not None and get_str(owner, "uid") == recorded.uid
    return is_recorded and not get_bool(owner, "controller")


def _is_roll(owner: Json) -> bool:
    group = API_VERSION.partition("/")[0]
    return get_str(owner, "kind") == _ROLL_KIND and get_str(owner, "apiVersion").partition("/")[0] == group
