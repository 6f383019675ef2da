"""Revisions at which a StatefulSet or DaemonSet creates its pods: raw JSON in, `PodRevisions` and messages out. Pure.

`workloads` calls both functions. A rollout that has stopped for good must not block its pods for good: under `OnDelete`
and below a partition the controller replaces no pod, and a DaemonSet waits for nodes that are down. So the workload is
in a rollout only while its controller still replaces pods, and else each pod is compared with the revision at which it
would be created again. The rules are those of pkg/controller/statefulset and pkg/controller/daemon in Kubernetes 1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.clients.kube.json_access import get_int, get_str, get_str_dict
from memroll.clients.kube.rollouts import describe_daemon_set_rollout, describe_deletion, name_of, not_observed
from memroll.model.pod_revisions import PodRevisions

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import Json

REVISION_LABEL = "controller-revision-hash"
"""Label of a StatefulSet's pod with the name of its ControllerRevision."""
GENERATION_LABEL = "pod-template-generation"
"""Label of a DaemonSet's pod with the generation of its template."""
GENERATION_ANNOTATION = "deprecated.daemonset.template.generation"
"""Annotation of a DaemonSet with the generation of its template."""


def describe_replacing_stateful_set(owner: Json) -> str:
    """Return why a StatefulSet's controller is replacing pods by itself, or an empty string."""
    ending = describe_deletion(owner) or not_observed(owner)
    if ending or _is_on_delete(owner):
        return ending
    current, latest = get_str(owner, "status", "currentRevision"), get_str(owner, "status", "updateRevision")
    # Pods that do not exist yet are no rollout: a StatefulSet that is scaled up may wait for a quota.
    existing = get_int(owner, "status", "replicas")
    replicas = existing if current == latest else get_int(owner, "spec", "replicas", default=1)
    to_update, updated = replicas - _partition(owner), get_int(owner, "status", "updatedReplicas")
    return "" if updated >= to_update else f"{name_of(owner)} has updated {updated} of {to_update} pods to {latest}"


def stateful_set_revisions(owner: Json) -> PodRevisions:
    """Return the revisions at which the pods of a StatefulSet are created."""
    name, latest = name_of(owner), get_str(owner, "status", "updateRevision")
    if _is_on_delete(owner):
        return PodRevisions(REVISION_LABEL, latest, _on_delete(owner))
    partition = _partition(owner)
    return PodRevisions(
        REVISION_LABEL,
        latest,
        f"{name} has not updated this pod yet",
        min_ordinal=get_int(owner, "spec", "ordinals", "start") + partition,
        former=get_str(owner, "status", "currentRevision"),
        held_back_because=f"{name} does not update pods below partition {partition}",
    )


def describe_replacing_daemon_set(owner: Json) -> str:
    """Return why no pod of a DaemonSet may be evicted, or an empty string: each node is updated by itself."""
    return describe_deletion(owner) if _template_generation(owner) else describe_daemon_set_rollout(owner)


def daemon_set_revisions(owner: Json) -> PodRevisions | None:
    """Return the revision at which the pods of a DaemonSet are created; None if all of them are at it.

    The pods of a revision that was rolled back to keep their earlier generation: there the status is right.
    """
    generation = _template_generation(owner)
    if not generation or not describe_daemon_set_rollout(owner):
        return None
    because = _on_delete(owner) if _is_on_delete(owner) else f"{name_of(owner)} has not updated this pod yet"
    return PodRevisions(GENERATION_LABEL, generation, because)


def _template_generation(owner: Json) -> str:
    return get_str_dict(owner, "metadata", "annotations").get(GENERATION_ANNOTATION, "")


def _is_on_delete(owner: Json) -> bool:
    return get_str(owner, "spec", "updateStrategy", "type") == "OnDelete"


def _on_delete(owner: Json) -> str:
    return f"{name_of(owner)} updates a pod only when it is deleted (OnDelete)"


def _partition(owner: Json) -> int:
    return max(0, get_int(owner, "spec", "updateStrategy", "rollingUpdate", "partition"))
