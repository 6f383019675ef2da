"""Is a workload in the middle of a rollout? Raw owners in, words out; no words mean it is settled. Pure.

Unavailable replicas alone are no rollout: they are what a leak causes. Only a change of the template under way
counts, because then the controller itself decides which pods go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.clients.kube.json_access import mapping, number, text, texts
from memroll.model.pods import ROLLOUT_HASH

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import Json

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


def recreates(top: Json) -> bool:
    """Whether a Deployment's controller ends all old pods before it creates new ones."""
    return text(top, "kind") == "Deployment" and text(top, "spec", "strategy", "type") == "Recreate"


def surge_refused(top: Json) -> str:
    """Say where a Deployment's or Rollout's own spec allows no pod more than it asks for, or return nothing."""
    strategy = mapping(top, "spec", "strategy")
    kind = text(strategy, "type")
    if text(top, "kind") == "Deployment" and kind not in ("", "RollingUpdate", "Recreate"):
        return f"{_name(top)} has the strategy {kind[:63]}, which memroll does not know"
    for part in ("rollingUpdate", "canary"):
        if _is_zero(mapping(strategy, part).get("maxSurge")):
            return f"{_name(top)} has maxSurge 0: it must not have a pod more than it asks for"
    return _routed_by_hash(top)


def _is_zero(count_or_share: object) -> bool:
    if isinstance(count_or_share, str):
        digits = count_or_share.removesuffix("%")
        return digits.isascii() and digits.isdigit() and int(digits[:10]) == 0
    return isinstance(count_or_share, int) and not isinstance(count_or_share, bool) and count_or_share == 0


def _routed_by_hash(top: Json) -> str:
    """Say by which object, of those that memroll does not read, a Rollout's requests are routed to a hash.

    Argo Rollouts writes the hash into the subsets of a DestinationRule and into the podSelector of a VirtualNode; in
    all other cases into Services, which are read.
    """
    routing = mapping(top, "spec", "strategy", "canary", "trafficRouting")
    for found, words in (
        (mapping(routing, "istio", "destinationRule"), "a DestinationRule of Istio"),
        (mapping(routing, "appMesh"), "a VirtualNode of App Mesh"),
    ):
        if found:
            return f"{_name(top)} is routed by {words}, which selects the pod by its template hash"
    return ""


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
