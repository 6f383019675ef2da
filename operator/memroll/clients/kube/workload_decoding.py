"""Workloads decoded: raw JSON of a controller of pods, its owner and its ReplicaSets in, `Workload` values out. Pure.

`workloads` reads the objects and calls these functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.clients.kube.json_access import get_bool, get_dict, get_int, get_str, get_str_dict, parse_time
from memroll.clients.kube.pod_revisions import (
    daemon_set_revisions,
    describe_replacing_daemon_set,
    describe_replacing_stateful_set,
    stateful_set_revisions,
)
from memroll.clients.kube.rollouts import (
    describe_argo_restart,
    describe_argo_rollout,
    describe_daemon_set_rollout,
    describe_deployment_rollout,
    describe_stateful_set_rollout,
    has_recreate_strategy,
    is_current_of_deployment,
    is_current_of_rollout,
    must_not_surge_because,
    replica_failure,
)
from memroll.clients.kube.selectors import selector_string
from memroll.model.pods import (
    DO_NOT_DISRUPT_ANNOTATION,
    HASH_LABELS,
    MAX_MARK_CHARS,
    ROLLOUT_HASH,
    TEMPLATE_HASH,
    ObjectRef,
    Workload,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from memroll.clients.kube.api_client import Json

RESTART_ANNOTATION = "kubectl.kubernetes.io/restartedAt"
APPS = "apps/v1"
ARGO = "argoproj.io/v1alpha1"


@dataclass(frozen=True, slots=True)
class OwnerKind:
    """Kind of object that owns ReplicaSets: the label that ties pods to them, and how to read its rollout."""

    hash_label: str
    describe_rollout: Callable[[Json, Json, list[Json]], str]
    is_current: Callable[[Json, Json], bool]


OWNER_KINDS = {
    (APPS, "Deployment"): OwnerKind(TEMPLATE_HASH, describe_deployment_rollout, is_current_of_deployment),
    (ARGO, "Rollout"): OwnerKind(ROLLOUT_HASH, describe_argo_rollout, is_current_of_rollout),
}


def of_revisions(
    workload: Workload, kind: OwnerKind, raw: Json, owner_raw: Json | None, found: tuple[list[Json], str]
) -> Workload:
    """Return the workload of a ReplicaSet with what comes from its owner and the ReplicaSets of all revisions."""
    replica_sets, selector = found
    workload = replace(workload, hash_label=kind.hash_label)
    if owner_raw is None:
        return replace(workload, rollout_in_progress=f"{workload.owner} no longer exists")
    workload = with_owner(workload, owner_raw, replica_sets, selector)
    current = next((rs for rs in replica_sets if kind.is_current(owner_raw, rs)), raw)
    return replace(
        workload,
        rollout_in_progress=kind.describe_rollout(owner_raw, raw, replica_sets),
        owner_rollout_in_progress=kind.describe_rollout(owner_raw, current, replica_sets),
    )


def kind_of(ref: ObjectRef) -> tuple[str, str]:
    return ref.api_version, ref.kind


def get_selector(raw: Json) -> str:
    return selector_string(get_dict(raw, "spec", "selector"))


def selector_of_all_revisions(raw: Json) -> str:
    """Return the selector for the pods and ReplicaSets of all revisions: a ReplicaSet's without the template hash."""
    own = {k: v for k, v in get_str_dict(raw, "spec", "selector", "matchLabels").items() if k not in HASH_LABELS}
    return selector_string({**get_dict(raw, "spec", "selector"), "matchLabels": own})


def decode_stateful_set(controller: ObjectRef, raw: Json) -> Workload:
    replicas = get_int(raw, "spec", "replicas", default=1)
    return replace(
        without_owner(controller, raw, replicas, describe_stateful_set_rollout(raw)),
        rollout_in_progress=describe_replacing_stateful_set(raw),
        pod_revisions=stateful_set_revisions(raw),
    )


def decode_daemon_set(controller: ObjectRef, raw: Json) -> Workload:
    replicas = get_int(raw, "status", "desiredNumberScheduled")
    return replace(
        without_owner(controller, raw, replicas, describe_daemon_set_rollout(raw)),
        rollout_in_progress=describe_replacing_daemon_set(raw),
        pod_revisions=daemon_set_revisions(raw),
    )


def without_owner(controller: ObjectRef, raw: Json, replicas: int, rollout: str) -> Workload:
    return Workload(
        controller,
        controller,
        replicas,
        replicas,
        rollout_in_progress=rollout,
        owner_rollout_in_progress=rollout,
        selector=get_selector(raw),
        controller_uids=frozenset({controller.uid}),
        replica_failure=replica_failure(raw),
        restarted_at=_restarted_at(raw),
        min_ready_s=_min_ready_s(raw),
        do_not_disrupt=_do_not_disrupt(raw),
    )


def with_owner(workload: Workload, owner: Json, replica_sets: list[Json], selector: str) -> Workload:
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
        do_not_disrupt=_do_not_disrupt(owner),
        has_recreate_strategy=has_recreate_strategy(owner),
        must_not_surge_because=must_not_surge_because(owner),
    )


def _do_not_disrupt(raw: Json) -> str | None:
    """Return the annotation of a workload. That of a ReplicaSet with an owner is a copy, which may be outdated."""
    value = get_str_dict(raw, "metadata", "annotations").get(DO_NOT_DISRUPT_ANNOTATION)
    return None if value is None else value[:MAX_MARK_CHARS]


def _min_ready_s(raw: Json) -> float:
    return float(max(0, get_int(raw, "spec", "minReadySeconds")))


def _restarted_at(raw: Json) -> datetime | None:
    """Return the time of the last restart. kubectl writes it in the local time of the user."""
    annotations = get_str_dict(raw, "spec", "template", "metadata", "annotations")
    return parse_time(get_str(raw, "spec", "restartAt") or annotations.get(RESTART_ANNOTATION, ""))


def unsupported(controller: ObjectRef) -> Workload:
    """Return a workload of an unsupported kind. Its message names the API group, for a known kind of another group."""
    message = unsupported_message(controller)
    return Workload(controller, controller, controller_replicas=0, rollout_in_progress=message, is_supported=False)


def unsupported_message(ref: ObjectRef) -> str:
    return f"memroll can't read rollouts of {ref}: {ref.api_version} {ref.kind} is not supported"
