"""Detection of a rollout in progress, and its message."""

from __future__ import annotations

from typing import Any

import pytest

from memroll.clients.kube.rollouts import (
    describe_argo_restart,
    describe_argo_rollout,
    describe_daemon_set_rollout,
    describe_deployment_rollout,
    describe_stateful_set_rollout,
    has_recreate_strategy,
    must_not_surge_because,
)

REVISION = "deployment.kubernetes.io/revision"


def deployment(**status: Any) -> dict[str, Any]:
    settled = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    metadata = {"name": "chat", "generation": 3, "annotations": {REVISION: "5"}}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": 2}, "status": settled | status}


def replica_set(name: str, revision: str = "5", replicas: int = 2) -> dict[str, Any]:
    metadata = {"name": name, "uid": name, "annotations": {REVISION: revision}}
    return {"metadata": metadata, "spec": {"replicas": replicas}, "status": {"replicas": replicas}}


def short_of_pods(replicas: int = 10, *, failing: bool = True) -> dict[str, Any]:
    """Return a ReplicaSet that has created 8 pods; a quota forbids more."""
    condition = {
        "type": "ReplicaFailure", "status": str(failing), "reason": "FailedCreate",
        "message": 'pods "chat-new-abcde" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=8, '
        "limited: pods=8",
    }  # fmt: skip
    raw = replica_set("chat-new", replicas=replicas)
    return raw | {"status": {"replicas": 8, "readyReplicas": 8, "conditions": [condition]}}


TEN = {"spec": {"replicas": 10}}

OWN = replica_set("chat-new")
OLD = replica_set("chat-old", "4", 0)


@pytest.mark.parametrize(
    ("owner", "own", "replica_sets", "expected"),
    [
        pytest.param(deployment(), OWN, [OWN, OLD], "", id="settled"),
        pytest.param(deployment(availableReplicas=0), OWN, [OWN, OLD], "", id="unavailable pods are no rollout"),
        pytest.param(
            deployment(observedGeneration=2), OWN, [OWN],
            "Deployment/chat was changed and its controller has not observed the change yet",
            id="an unobserved change",
        ),
        pytest.param(
            deployment(updatedReplicas=1), OWN, [OWN], "Deployment/chat has updated 1 of 2 pods", id="pods to update",
        ),
        pytest.param(
            deployment(updatedReplicas=1) | {"spec": {"replicas": 2, "paused": True}}, OWN, [OWN],
            "Deployment/chat has updated 1 of 2 pods and is paused", id="paused during a rollout",
        ),
        pytest.param(
            deployment() | {"spec": {"replicas": 2, "paused": True}}, OWN, [OWN], "", id="paused without a rollout",
        ),
        pytest.param(
            deployment(), OWN, [OWN, replica_set("chat-old", "4", 1)],
            "Deployment/chat still has 1 pods of chat-old", id="old pods remain",
        ),
        pytest.param(
            deployment(), replica_set("chat-old", "4", 1), [OWN],
            "Deployment/chat is at revision 5, the pod at 4", id="a pod of an old revision",
        ),
        pytest.param(
            deployment(updatedReplicas=8) | TEN, short_of_pods(), [short_of_pods(), OLD], "",
            id="scaled beyond a quota without a rollout",
        ),
        pytest.param(
            deployment(updatedReplicas=8) | TEN, short_of_pods(failing=False), [short_of_pods(failing=False)],
            "Deployment/chat has updated 8 of 10 pods", id="scaled up, and the pods are about to be created",
        ),
        pytest.param(
            deployment(updatedReplicas=8) | TEN, short_of_pods(9), [short_of_pods(9), OLD],
            "Deployment/chat has updated 8 of 10 pods", id="a rollout that waits for a quota, still scaling up",
        ),
        pytest.param(
            deployment(updatedReplicas=8) | TEN, short_of_pods(), [short_of_pods(), replica_set("chat-old", "4", 5)],
            "Deployment/chat still has 5 pods of chat-old", id="a rollout that waits for a quota, with old pods",
        ),
        pytest.param(
            deployment(updatedReplicas=8) | TEN, replica_set("chat-old", "4", 5), [short_of_pods()],
            "Deployment/chat is at revision 5, the pod at 4", id="an old pod in a rollout that waits for a quota",
        ),
        pytest.param(
            deployment() | {"metadata": {"name": "chat", "deletionTimestamp": "x"}}, OWN, [OWN],
            "Deployment/chat is being deleted", id="being deleted",
        ),
    ],
)  # fmt: skip
def test_a_deployment(owner: Any, own: Any, replica_sets: Any, expected: str) -> None:
    assert describe_deployment_rollout(owner, own, replica_sets) == expected


def rollout(**status: Any) -> dict[str, Any]:
    settled = {"stableRS": "new", "currentPodHash": "new", "observedGeneration": "3", "updatedReplicas": 2}
    metadata = {"name": "chat", "generation": 3}
    return {"kind": "Rollout", "metadata": metadata, "spec": {"replicas": 2}, "status": settled | status}


ARGO = {"metadata": {"uid": "new", "labels": {"rollouts-pod-template-hash": "new"}}, "spec": {"replicas": 2}}


@pytest.mark.parametrize(
    ("owner", "own", "expected"),
    [
        pytest.param(rollout(), ARGO, "", id="settled"),
        pytest.param(rollout(stableRS="old"), ARGO, "Rollout/chat is updating from old to new", id="a canary"),
        pytest.param(
            rollout(stableRS="", updatedReplicas=1), ARGO, "Rollout/chat is updating from nothing to new", id="first"
        ),
        pytest.param(
            rollout(observedGeneration="2"), ARGO,
            "Rollout/chat was changed and its controller has not observed the change yet",
            id="an unobserved change",
        ),
        pytest.param(rollout(observedGeneration="c9f8b5d"), ARGO, "", id="an old controller's hash"),
        pytest.param(
            rollout(updatedReplicas=1), ARGO | {"status": short_of_pods()["status"]}, "", id="scaled beyond a quota"
        ),
        pytest.param(
            rollout(), {"metadata": {"uid": "old", "labels": {"rollouts-pod-template-hash": "old"}}},
            "Rollout/chat is at new, the pod at old", id="a pod of an old revision",
        ),
    ],
)  # fmt: skip
def test_an_argo_rollout(owner: Any, own: Any, expected: str) -> None:
    assert describe_argo_rollout(owner, own, [own]) == expected


def stateful(**status: Any) -> dict[str, Any]:
    settled = {"observedGeneration": 1, "currentRevision": "a", "updateRevision": "a", "updatedReplicas": 1}
    return {"kind": "StatefulSet", "metadata": {"name": "db", "generation": 1}, "status": settled | status}


@pytest.mark.parametrize(
    ("requested", "done", "is_done"),
    [
        pytest.param({}, {}, True, id="never restarted"),
        pytest.param({"restartAt": "2026-03-01T12:00:00Z"}, {}, False, id="first restart"),
        pytest.param(
            {"restartAt": "2026-03-01T12:00:00Z"}, {"restartedAt": "2026-02-01T12:00:00Z"}, False, id="next restart"
        ),
        pytest.param({"restartAt": "2026-03-01T12:00:00Z"}, {"restartedAt": "2026-03-01T12:00:00Z"}, True, id="done"),
        pytest.param(
            {"restartAt": "2026-03-01T13:00:00.7+01:00"}, {"restartedAt": "2026-03-01T12:00:00Z"}, True, id="same time"
        ),
        pytest.param({"restartAt": "soon"}, {}, True, id="no time"),
    ],
)
def test_a_restart_by_argo_ends_when_its_time_is_in_the_status(
    requested: dict[str, str], done: dict[str, str], *, is_done: bool
) -> None:
    owner = {"kind": "Rollout", "metadata": {"name": "chat"}, "spec": requested, "status": done}
    expected = "" if is_done else "Rollout/chat has not restarted all pods since 2026-03-01T12:00:00Z"
    assert describe_argo_restart(owner) == expected


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        pytest.param(stateful(), "", id="settled"),
        pytest.param(stateful(readyReplicas=0), "", id="unready pods are no rollout"),
        pytest.param(stateful(updateRevision="b"), "StatefulSet/db is updating from a to b", id="two revisions"),
        pytest.param(stateful(updatedReplicas=0), "StatefulSet/db has updated 0 of 1 pods", id="pods to update"),
    ],
)
def test_a_stateful_set(owner: Any, expected: str) -> None:
    assert describe_stateful_set_rollout(owner) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 1}, "", id="settled"),
        pytest.param(
            {"desiredNumberScheduled": 3, "updatedNumberScheduled": 1},
            "DaemonSet/agent has updated 1 of 3 pods", id="nodes to update",
        ),
    ],
)  # fmt: skip
def test_a_daemon_set(status: Any, expected: str) -> None:
    assert (
        describe_daemon_set_rollout({"kind": "DaemonSet", "metadata": {"name": "agent"}, "status": status}) == expected
    )


NO_MORE = "{} has maxSurge 0: it allows no additional pod"


def with_strategy(kind: str, strategy: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "chat"}, "spec": {"strategy": strategy}}


def rolling(max_surge: Any) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": max_surge, "maxUnavailable": 1}}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        pytest.param(None, (False, ""), id="none"),
        pytest.param({"type": "RollingUpdate"}, (False, ""), id="rolling, by the defaults"),
        pytest.param(rolling(1), (False, ""), id="one more"),
        pytest.param(rolling("1%"), (False, ""), id="a percentage is rounded up"),
        pytest.param(rolling("100%"), (False, ""), id="twice as many"),
        pytest.param(rolling(0), (False, NO_MORE), id="none"),
        pytest.param(rolling("0%"), (False, NO_MORE), id="zero percent"),
        pytest.param(rolling("00%"), (False, NO_MORE), id="zero percent with two digits"),
        pytest.param(rolling(["0"]), (False, ""), id="an invalid value"),
        pytest.param({"type": "Recreate"}, (True, ""), id="recreated"),
        pytest.param({"type": "Recreate", "rollingUpdate": None}, (True, ""), id="recreated, as kubectl writes it"),
        pytest.param(
            {"type": "Paired"},
            (False, "{} has the strategy Paired, which memroll does not support"),
            id="a new strategy",
        ),
        pytest.param("Recreate", (False, ""), id="not an object"),
    ],
)
def test_whether_a_deployment_allows_an_additional_pod(strategy, expected):
    owner = with_strategy("Deployment", strategy)
    assert (has_recreate_strategy(owner), must_not_surge_because(owner)) == (
        expected[0],
        expected[1].format("Deployment/chat"),
    )


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        pytest.param({"canary": {}}, "", id="a canary, by the defaults"),
        pytest.param({"canary": {"maxSurge": "25%"}}, "", id="some more"),
        pytest.param({"canary": {"maxSurge": 0, "maxUnavailable": 1}}, NO_MORE, id="none"),
        pytest.param({"canary": {"maxSurge": "0%"}}, NO_MORE, id="zero percent"),
        pytest.param({"blueGreen": {"activeService": "a"}}, "", id="its Services are read instead"),
        pytest.param({"canary": {"trafficRouting": {"nginx": {"stableIngress": "i"}}}}, "", id="with an Ingress"),
        pytest.param(
            {"canary": {"trafficRouting": {"istio": {"virtualService": {"name": "v"}}}}}, "", id="hosts of Services"
        ),
        pytest.param(
            {"canary": {"trafficRouting": {"istio": {"destinationRule": {"name": "d"}}}}},
            "{} is routed by a DestinationRule of Istio, which selects the pod by its template hash", id="subsets",
        ),
        pytest.param(
            {"canary": {"trafficRouting": {"appMesh": {"virtualNodeGroup": {}}}}},
            "{} is routed by a VirtualNode of App Mesh, which selects the pod by its template hash", id="virtual nodes",
        ),
    ],
)  # fmt: skip
def test_whether_a_rollout_allows_an_additional_pod(strategy, expected):
    owner = with_strategy("Rollout", strategy)
    assert (has_recreate_strategy(owner), must_not_surge_because(owner)) == (False, expected.format("Rollout/chat"))
