"""Rollouts of StatefulSets and DaemonSets, compared with the revision of one pod."""

from __future__ import annotations

from typing import Any

import pytest

from memroll.clients.kube.pod_revisions import (
    daemon_set_revisions,
    describe_replacing_daemon_set,
    describe_replacing_stateful_set,
    stateful_set_revisions,
)
from memroll.clients.kube.pods import decode_pod
from memroll.model.pods import ObjectRef, Pod, Workload

V1, V2, V3 = "db-7d9f4c8b6c", "db-5b64d7b9f4", "db-6f5c9d7b88"
PARTITION_2 = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
ON_DELETE = {"type": "OnDelete"}


def stateful_set(
    strategy: dict[str, Any] | None = None, metadata: Any = None, spec: Any = None, **status: Any
) -> dict[str, Any]:
    """Return a StatefulSet whose three pods are at revision 1, as the API server writes it."""
    settled = {
        "observedGeneration": 3, "replicas": 3, "readyReplicas": 3, "availableReplicas": 3, "currentReplicas": 3,
        "updatedReplicas": 3, "currentRevision": V1, "updateRevision": V1, "collisionCount": 0,
    }  # fmt: skip
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "uid": "s", "generation": 3} | (metadata or {}),
        "spec": {"replicas": 3, "serviceName": "db", "updateStrategy": strategy or rolling} | (spec or {}),
        "status": settled | status,
    }


def daemon_set(strategy: str = "RollingUpdate", generation: str = "2", metadata: Any = None, **status: Any) -> Any:
    """Return a DaemonSet whose pods are at generation 2 of its template."""
    settled = {
        "observedGeneration": 2, "currentNumberScheduled": 500, "desiredNumberScheduled": 500, "numberReady": 500,
        "updatedNumberScheduled": 500, "numberMisscheduled": 0,
    }  # fmt: skip
    annotations = {"deprecated.daemonset.template.generation": generation} if generation else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "uid": "d", "generation": 2, "annotations": annotations} | (metadata or {}),
        "spec": {"updateStrategy": {"type": strategy, "rollingUpdate": {"maxUnavailable": 1}}},
        "status": settled | status,
    }


def pod(name: str, label: str, revision: str) -> Pod:
    labels = {label: revision} if revision else {}
    found = decode_pod({"metadata": {"namespace": "ai", "name": name, "uid": name, "labels": labels}})
    assert found is not None
    return found


def rollout_of_stateful_set(owner: Any, revision: str, ordinal: int = 1) -> str:
    ref = ObjectRef("apps/v1", "StatefulSet", "db", "s")
    workload = Workload(
        ref, ref, 3, 3, rollout_in_progress=describe_replacing_stateful_set(owner),
        pod_revisions=stateful_set_revisions(owner),
    )  # fmt: skip
    return workload.rollout_of(pod(f"db-{ordinal}", "controller-revision-hash", revision))


def rollout_of_daemon_set(owner: Any, generation: str) -> str:
    ref = ObjectRef("apps/v1", "DaemonSet", "agent", "d")
    workload = Workload(
        ref, ref, 500, 500, rollout_in_progress=describe_replacing_daemon_set(owner),
        pod_revisions=daemon_set_revisions(owner),
    )  # fmt: skip
    return workload.rollout_of(pod("agent-x2x4z", "pod-template-generation", generation))


UPDATING = {"updateRevision": V2, "currentReplicas": 2, "updatedReplicas": 1}
ON_DELETE_MESSAGE = "StatefulSet/db updates a pod only when it is deleted (OnDelete): the pod is at revision"


@pytest.mark.parametrize(
    ("owner", "revision", "ordinal", "expected"),
    [
        pytest.param(stateful_set(), V1, 1, "", id="settled"),
        pytest.param(stateful_set(readyReplicas=0), V1, 1, "", id="unready pods are no rollout"),
        pytest.param(
            stateful_set(**UPDATING), V1, 0, f"StatefulSet/db has updated 1 of 3 pods to {V2}", id="a pod to update"
        ),
        pytest.param(
            stateful_set(**UPDATING), V2, 2, f"StatefulSet/db has updated 1 of 3 pods to {V2}",
            id="an updated pod while others are to be updated",
        ),
        pytest.param(
            stateful_set(**UPDATING | {"updatedReplicas": 3}), V2, 2, "",
            id="all updated, but the current revision moves only when all are Ready",
        ),
        pytest.param(
            stateful_set(updatedReplicas=2), V1, 0, f"StatefulSet/db has updated 2 of 3 pods to {V1}",
            id="rolled back in the middle of an update",
        ),
        pytest.param(
            stateful_set(replicas=2, updatedReplicas=2), V1, 0, "", id="scaled up beyond a quota is no rollout"
        ),
        pytest.param(
            stateful_set(metadata={"generation": 4}), V1, 0,
            "StatefulSet/db was changed and its controller has not observed the change yet",
            id="an unobserved change",
        ),
        pytest.param(
            stateful_set(metadata={"deletionTimestamp": "2026-03-01T12:00:00Z"}), V1, 0,
            "StatefulSet/db is being deleted", id="being deleted",
        ),
        pytest.param(
            stateful_set(PARTITION_2, **UPDATING), V1, 0, "", id="a canary that is done: a pod below the partition"
        ),
        pytest.param(
            stateful_set(PARTITION_2, **UPDATING), V2, 2, "", id="a canary that is done: a pod above the partition"
        ),
        pytest.param(
            stateful_set(PARTITION_2, **UPDATING | {"updatedReplicas": 0}), V1, 0,
            f"StatefulSet/db has updated 0 of 1 pods to {V2}", id="a canary in progress",
        ),
        pytest.param(
            stateful_set(PARTITION_2, **UPDATING), V2, 1,
            f"StatefulSet/db does not update pods below partition 2: the pod is at revision {V2}, "
            f"and evicting it would change that to {V1}",
            id="an updated pod below a raised partition",
        ),
        pytest.param(
            stateful_set(PARTITION_2, spec={"ordinals": {"start": 5}}, **UPDATING), V1, 6, "",
            id="ordinals that start at 5: below the partition",
        ),
        pytest.param(
            stateful_set(PARTITION_2, spec={"ordinals": {"start": 5}}, **UPDATING), V2, 7, "",
            id="ordinals that start at 5: above the partition",
        ),
        pytest.param(
            stateful_set(PARTITION_2, **UPDATING), V1, 2,
            f"StatefulSet/db has not updated this pod yet: the pod is at revision {V1}, "
            f"and evicting it would change that to {V2}",
            id="an old pod above the partition, counts that are late",
        ),
        pytest.param(
            stateful_set({"type": "RollingUpdate", "rollingUpdate": {"partition": 9}}, **UPDATING), V1, 2, "",
            id="a partition above all ordinals",
        ),
        pytest.param(stateful_set(ON_DELETE, updateRevision=V2), V2, 1, "", id="OnDelete: a pod that was updated"),
        pytest.param(
            stateful_set(ON_DELETE, updateRevision=V2, updatedReplicas=0), V1, 1,
            f"{ON_DELETE_MESSAGE} {V1}, and evicting it would change that to {V2}", id="OnDelete: an older pod",
        ),
        pytest.param(
            stateful_set(ON_DELETE, updateRevision=V3, updatedReplicas=1), V2, 1,
            f"{ON_DELETE_MESSAGE} {V2}, and evicting it would change that to {V3}", id="OnDelete: three revisions",
        ),
        pytest.param(
            stateful_set(ON_DELETE), "", 1,
            f"{ON_DELETE_MESSAGE} none, and evicting it would change that to {V1}", id="a pod without the label",
        ),
        pytest.param(
            stateful_set(ON_DELETE, metadata={"generation": 4}), V1, 1,
            "StatefulSet/db was changed and its controller has not observed the change yet",
            id="OnDelete: an unobserved change",
        ),
    ],
)  # fmt: skip
def test_a_pod_of_a_stateful_set(owner: Any, revision: str, ordinal: int, expected: str) -> None:
    assert rollout_of_stateful_set(owner, revision, ordinal) == expected


ONE_NODE_LEFT = {"updatedNumberScheduled": 499}


@pytest.mark.parametrize(
    ("owner", "generation", "expected"),
    [
        pytest.param(daemon_set(), "2", "", id="settled"),
        pytest.param(daemon_set(**ONE_NODE_LEFT), "2", "", id="another node is not updated"),
        pytest.param(
            daemon_set(**ONE_NODE_LEFT), "1",
            "DaemonSet/agent has not updated this pod yet: the pod is at revision 1, "
            "and evicting it would change that to 2",
            id="the pod of the node that is not updated",
        ),
        pytest.param(daemon_set(generation="3"), "1", "", id="rolled back to the revision that the pod still has"),
        pytest.param(
            daemon_set(generation="3", metadata={"generation": 3, "annotations": {
                "deprecated.daemonset.template.generation": "3"}}), "2",
            "DaemonSet/agent has not updated this pod yet: the pod is at revision 2, "
            "and evicting it would change that to 3",
            id="an unobserved change of the template",
        ),
        pytest.param(
            daemon_set("OnDelete", **ONE_NODE_LEFT), "1",
            "DaemonSet/agent updates a pod only when it is deleted (OnDelete): the pod is at revision 1, "
            "and evicting it would change that to 2",
            id="OnDelete: an older pod",
        ),
        pytest.param(daemon_set("OnDelete", updatedNumberScheduled=3), "2", "", id="OnDelete: a pod that was updated"),
        pytest.param(
            daemon_set(generation="", **ONE_NODE_LEFT), "", "DaemonSet/agent has updated 499 of 500 pods",
            id="a template without a generation",
        ),
        pytest.param(
            daemon_set(metadata={"deletionTimestamp": "2026-03-01T12:00:00Z"}), "2",
            "DaemonSet/agent is being deleted", id="being deleted",
        ),
    ],
)  # fmt: skip
def test_a_pod_of_a_daemon_set(owner: Any, generation: str, expected: str) -> None:
    assert rollout_of_daemon_set(owner, generation) == expected
