"""Is a workload in the middle of a rollout? Raw owners in, words out; no words mean it is settled. Pure.

Unavailable replicas alone are no rollout: they are what a leak causes. Only a change of the template under way
counts, because then the controller itself decides which pods go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.cluster.fields import number, text, texts
from memroll.disruption.target import ROLLOUT_HASH

if TYPE_CHECKING:
    from memroll.cluster.client import Json

_REVISION = "deployment.kubernetes.io/revision"


def deployment_busy(top: Json, own: Json, siblings: list[Json]) -> str:
    current = texts(top, "metadata", "annotations").get(_REVISION, "")
    revision = texts(own, "metadata", "annotations").get(_REVISION, "")
    if current and revision and current != revision:
        return f"{_name(top)} is at revision {current}, the pod at {revision}"
    return leaving(top) or _unobserved(top) or _not_updated(top) or _others_left(top, own, siblings)


def deployment_is_at(top: Json, replica_set: Json) -> bool:
    """Whether a ReplicaSet is of the Deployment's present revision."""
    current, revision = (texts(raw, "metadata", "annotations").get(_REVISION, "") for raw in (top, replica_set))
    return bool(current) and current == revision


def rollout_is_at(top: Json, replica_set: Json) -> bool:
    """Whether a ReplicaSet is of the Rollout's present revision."""
    return texts(replica_set, "metadata", "labels").get(ROLLOUT_HASH) == text(top, "status", "currentPodHash")


def rollout_busy(top: Json, own: Json, siblings: list[Json]) -> str:
    """Judge an Argo Rollout: its canary must be its stable version, and the pod of that one."""
    stable, current = text(top, "status", "stableRS"), text(top, "status", "currentPodHash")
    revision = texts(own, "metadata", "labels").get(ROLLOUT_HASH, "")
    if stable != current:
        return f"{_name(top)} goes from {stable or 'nothing'} to {current}"
    if stable and revision and revision != stable:
        return f"{_name(top)} is at {stable}, the pod at {revision}"
    observed = text(top, "status", "observedGeneration")
    if observed.isdigit() and int(observed) < number(top, "metadata", "generation"):
        return f"{_name(top)} was changed and its controller has not seen it yet"
    return leaving(top) or _not_updated(top) or _others_left(top, own, siblings)


def stateful_set_busy(top: Json) -> str:
    current, updated = text(top, "status", "currentRevision"), text(top, "status", "updateRevision")
    if current != updated:
        return f"{_name(top)} goes from {current} to {updated}"
    return leaving(top) or _unobserved(top) or _not_updated(top)


def daemon_set_busy(top: Json) -> str:
    updated, desired = (number(top, "status", f"{word}NumberScheduled") for word in ("updated", "desired"))
    if updated < desired:
        return f"{_name(top)} has updated {updated} of {desired} pods"
    return leaving(top) or _unobserved(top)


def leaving(top: Json) -> str:
    return f"{_name(top)} is being deleted" if text(top, "metadata", "deletionTimestamp") else ""


def _unobserved(top: Json) -> str:
    seen = number(top, "status", "observedGeneration") >= number(top, "metadata", "generation")
    return "" if seen else f"{_name(top)} was changed and its controller has not seen it yet"


def _not_updated(top: Json) -> str:
    updated, wanted = number(top, "status", "updatedReplicas"), number(top, "spec", "replicas", default=1)
    if updated >= wanted:
        return ""
    paused = " and is paused" if top.get("spec", {}).get("paused") is True else ""
    return f"{_name(top)} has updated {updated} of {wanted} pods{paused}"


def _others_left(top: Json, own: Json, siblings: list[Json]) -> str:
    for other in siblings:
        if text(other, "metadata", "uid") == text(own, "metadata", "uid"):
            continue
        pods = max(number(other, "spec", "replicas"), number(other, "status", "replicas"))
        if pods:
            return f"{_name(top)} still has {pods} pods of {text(other, 'metadata', 'name')}"
    return ""


def _name(top: Json) -> str:
    return f"{text(top, 'kind') or 'the workload'}/{text(top, 'metadata', 'name')}"
