"""Rollout progress of a workload: raw JSON of its owner in, a message out; an empty message means no rollout. Pure.

Unavailable replicas alone are no rollout, because a leak causes them. Only a change of the template that is in progress
counts: during that, the controller itself decides which pods to delete.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.clients.kube.api_errors import MAX_MESSAGE_CHARS
from memroll.clients.kube.json_access import (
    get_bool,
    get_dict,
    get_dicts,
    get_int,
    get_str,
    get_str_dict,
    parse_time,
)
from memroll.model.pods import ROLLOUT_HASH

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import Json

_GENERATION = re.compile("[0-9]{1,18}")
_REVISION = "deployment.kubernetes.io/revision"


def describe_deployment_rollout(owner: Json, replica_set: Json, replica_sets: list[Json]) -> str:
    """Describe the rollout of a Deployment. `replica_set` is that of the pod, `replica_sets` are all of the owner."""
    current = get_str_dict(owner, "metadata", "annotations").get(_REVISION, "")
    revision = get_str_dict(replica_set, "metadata", "annotations").get(_REVISION, "")
    if current and revision and current != revision:
        return f"{name_of(owner)} is at revision {current}, the pod at {revision}"
    return (
        describe_deletion(owner)
        or not_observed(owner)
        or _not_updated(owner, replica_set)
        or _old_pods(owner, replica_set, replica_sets)
    )


def is_current_of_deployment(owner: Json, replica_set: Json) -> bool:
    """Return whether a ReplicaSet has the Deployment's current revision."""
    current, revision = (
        get_str_dict(raw, "metadata", "annotations").get(_REVISION, "") for raw in (owner, replica_set)
    )
    return bool(current) and current == revision


def is_current_of_rollout(owner: Json, replica_set: Json) -> bool:
    """Return whether a ReplicaSet has the Argo Rollout's current revision."""
    return get_str_dict(replica_set, "metadata", "labels").get(ROLLOUT_HASH) == get_str(
        owner, "status", "currentPodHash"
    )


def describe_argo_rollout(owner: Json, replica_set: Json, replica_sets: list[Json]) -> str:
    """Describe the rollout of an Argo Rollout: none if current and stable version are the same, and the pod's too."""
    stable, current = get_str(owner, "status", "stableRS"), get_str(owner, "status", "currentPodHash")
    revision = get_str_dict(replica_set, "metadata", "labels").get(ROLLOUT_HASH, "")
    if stable != current:
        return f"{name_of(owner)} is updating from {stable or 'nothing'} to {current}"
    if stable and revision and revision != stable:
        return f"{name_of(owner)} is at {stable}, the pod at {revision}"
    observed = get_str(owner, "status", "observedGeneration")
    if _GENERATION.fullmatch(observed) and int(observed) < get_int(owner, "metadata", "generation"):
        return _not_observed_message(owner)
    return describe_deletion(owner) or _not_updated(owner, replica_set) or _old_pods(owner, replica_set, replica_sets)


def describe_argo_restart(owner: Json) -> str:
    """Describe a restart by `spec.restartAt` that Argo Rollouts has not finished, or whose time has not come.

    Once all pods are restarted, the controller copies the time to the status, in whole seconds.
    """
    requested = parse_time(get_str(owner, "spec", "restartAt"))
    done = parse_time(get_str(owner, "status", "restartedAt"))
    if requested is None or (done is not None and rfc3339(done) == rfc3339(requested)):
        return ""
    return f"{name_of(owner)} has not restarted all pods since {rfc3339(requested)}"


def describe_stateful_set_rollout(owner: Json) -> str:
    current, updated = get_str(owner, "status", "currentRevision"), get_str(owner, "status", "updateRevision")
    if current != updated:
        return f"{name_of(owner)} is updating from {current} to {updated}"
    return describe_deletion(owner) or not_observed(owner) or _not_updated(owner)


def describe_daemon_set_rollout(owner: Json) -> str:
    updated, desired = (get_int(owner, "status", f"{word}NumberScheduled") for word in ("updated", "desired"))
    if updated < desired:
        return f"{name_of(owner)} has updated {updated} of {desired} pods"
    return describe_deletion(owner) or not_observed(owner)


def has_recreate_strategy(owner: Json) -> bool:
    """Return whether a Deployment's controller deletes all old pods before it creates new ones."""
    return get_str(owner, "kind") == "Deployment" and get_str(owner, "spec", "strategy", "type") == "Recreate"


def must_not_surge_because(owner: Json) -> str:
    """Return why the spec of a Deployment or Rollout allows no additional pod, or an empty string."""
    strategy = get_dict(owner, "spec", "strategy")
    kind = get_str(strategy, "type")
    if get_str(owner, "kind") == "Deployment" and kind not in ("", "RollingUpdate", "Recreate"):
        return f"{name_of(owner)} has the strategy {kind[:63]}, which memroll does not support"
    for part in ("rollingUpdate", "canary"):
        if _is_zero(get_dict(strategy, part).get("maxSurge")):
            return f"{name_of(owner)} has maxSurge 0: it allows no additional pod"
    return _routed_by_hash(owner)


def _is_zero(count_or_percentage: object) -> bool:
    if isinstance(count_or_percentage, str):
        digits = count_or_percentage.removesuffix("%")
        return digits.isascii() and digits.isdigit() and not digits.strip("0")
    return (
        isinstance(count_or_percentage, int) and not isinstance(count_or_percentage, bool) and count_or_percentage == 0
    )


def _routed_by_hash(owner: Json) -> str:
    """Return which object that memroll does not read routes a Rollout's requests by template hash, or an empty string.

    Argo Rollouts writes the hash into the subsets of a DestinationRule and into the podSelector of a VirtualNode; in
    all other cases into Services, which memroll reads.
    """
    routing = get_dict(owner, "spec", "strategy", "canary", "trafficRouting")
    for found, router in (
        (get_dict(routing, "istio", "destinationRule"), "a DestinationRule of Istio"),
        (get_dict(routing, "appMesh"), "a VirtualNode of App Mesh"),
    ):
        if found:
            return f"{name_of(owner)} is routed by {router}, which selects the pod by its template hash"
    return ""


def describe_deletion(owner: Json) -> str:
    return f"{name_of(owner)} is being deleted" if get_str(owner, "metadata", "deletionTimestamp") else ""


def not_observed(owner: Json) -> str:
    """Return that the controller has not observed the last change of its object yet, or an empty string."""
    observed = get_int(owner, "status", "observedGeneration") >= get_int(owner, "metadata", "generation")
    return "" if observed else _not_observed_message(owner)


def _not_observed_message(owner: Json) -> str:
    return f"{name_of(owner)} was changed and its controller has not observed the change yet"


def _not_updated(owner: Json, replica_set: Json | None = None) -> str:
    updated, desired = get_int(owner, "status", "updatedReplicas"), get_int(owner, "spec", "replicas", default=1)
    if updated >= desired or (replica_set and _is_only_short_of_pods(replica_set, desired)):
        return ""
    paused = " and is paused" if get_bool(owner, "spec", "paused") else ""
    return f"{name_of(owner)} has updated {updated} of {desired} pods{paused}"


def _is_only_short_of_pods(replica_set: Json, desired: int) -> bool:
    """Return whether a ReplicaSet is scaled to all replicas, but can't create the pods: a quota, an admission webhook.

    A rollout that waits for a quota is another case: its new ReplicaSet is scaled up step by step, or old pods remain.
    """
    return get_int(replica_set, "spec", "replicas") >= desired and bool(replica_failure(replica_set))


def replica_failure(replica_set: Json) -> str:
    """Return why a ReplicaSet can't create pods, or an empty string."""
    for condition in get_dicts(replica_set, "status", "conditions"):
        if get_str(condition, "type") == "ReplicaFailure" and get_str(condition, "status") == "True":
            return get_str(condition, "message")[:MAX_MESSAGE_CHARS] or "ReplicaFailure"
    return ""


def _old_pods(owner: Json, replica_set: Json, replica_sets: list[Json]) -> str:
    for other in replica_sets:
        if get_str(other, "metadata", "uid") == get_str(replica_set, "metadata", "uid"):
            continue
        pods = max(get_int(other, "spec", "replicas"), get_int(other, "status", "replicas"))
        if pods:
            return f"{name_of(owner)} still has {pods} pods of {get_str(other, 'metadata', 'name')}"
    return ""


def name_of(owner: Json) -> str:
    """Return kind and name of an object, for messages."""
    return f"{get_str(owner, 'kind') or 'the workload'}/{get_str(owner, 'metadata', 'name')}"
