"""Workload of a pod, derived from its labels and names."""

from __future__ import annotations

import pytest

from memroll.model.pod_names import PodPattern, WorkloadName, workload_from_pod_name, workload_of, workload_or_pod
from memroll.model.pods import ObjectRef
from tests.builders import pod


def owned(kind: str, owner: str, **labels: str):
    return pod(controller=ObjectRef("apps/v1", kind, owner, "u"), labels={"app": "leaky"} | labels)


WORKLOADS = [
    pytest.param(owned("ReplicaSet", "web-5d", **{"pod-template-hash": "5d"}), "Deployment/web", "Deployment/web"),
    pytest.param(
        owned("ReplicaSet", "web-5d", **{"rollouts-pod-template-hash": "5d"}), "Rollout/web", "Deployment/web"
    ),
    pytest.param(owned("ReplicaSet", "rs-one"), "ReplicaSet/rs-one", "ReplicaSet/rs-one"),
    pytest.param(owned("StatefulSet", "db"), "StatefulSet/db", "StatefulSet/db"),
    pytest.param(owned("DaemonSet", "agent"), "DaemonSet/agent", "DaemonSet/agent"),
]


@pytest.mark.parametrize(("target", "workload", "peer_group"), WORKLOADS)
def test_the_workload_of_a_pod_is_derived_from_its_controller_and_labels(target, workload, peer_group):
    found = workload_of(target)
    assert found is not None
    assert (str(found), str(found.peer_group)) == (workload, peer_group)
    assert workload_or_pod(target) == workload


def test_a_pod_without_a_controller_has_no_workload():
    assert workload_of(pod("bare", controller=None)) is None
    assert workload_or_pod(pod("bare", controller=None)) == "Pod/bare"


def test_a_statefulset_s_pods_have_no_pattern_of_names():
    assert WorkloadName("StatefulSet", "db").pattern is None
    assert WorkloadName("Deployment", "web").pattern == PodPattern("web", 2)


PATTERNS = [
    pytest.param("chat", 2, "chat-7f9c6d8b54-x2v9z", True, id="of a Deployment"),
    pytest.param("chat", 1, "chat-x2v9z", True, id="of a DaemonSet"),
    pytest.param("chat", 2, "chat-7f9c6d8b545-x2v9z", False, id="a hash of eleven characters"),
    pytest.param("chat", 2, "chat-7f9c-x2v9", False, id="four random characters"),
    pytest.param("chat", 2, "chat-7f9c-x2v9zz", False, id="six random characters"),
    pytest.param("chat", 2, "chat-7f9c-x2v9a", False, id="a vowel"),
    pytest.param("chat", 2, "chat-x2v9z", False, id="a part too few"),
    pytest.param("chat", 1, "chat-7f9c-x2v9z", False, id="a part too many"),
    pytest.param("chat", 1, "chat-side-x2v9z", False, id="a workload with a longer name"),
    pytest.param("chat", 1, "echat-x2v9z", False, id="a workload that ends alike"),
    pytest.param("chat", 1, "-x2v9z", False, id="no prefix"),
    pytest.param("chat", 1, "chat-x2v9z\n", False, id="a newline"),
    pytest.param("a.b", 1, "axb-x2v9z", False, id="a dot is a dot"),
]


@pytest.mark.parametrize(("prefix", "parts", "pod", "expected"), PATTERNS)
def test_generated_names(prefix: str, parts: int, pod: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert PodPattern(prefix, parts).matches(pod) is expected


@pytest.mark.parametrize(("prefix", "parts"), [("", 1), ("chat", 0), ("chat", -1)])
def test_invalid_patterns(prefix: str, parts: int) -> None:
    with pytest.raises(ValueError, match="not a pattern"):
        PodPattern(prefix, parts)


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("web-7d9f8b6c5d-x2x4z", "web"),
        ("kube-dns-x7k2p", "kube-dns"),
        ("node-exporter-b4c2d", "node-exporter"),
        ("db-0", "db"),
        ("shard-2-11", "shard-2"),
        ("bare", "bare"),
    ],
)
def test_a_workload_s_name_is_derived_from_its_pods_names(pod, workload):
    assert workload_from_pod_name(pod) == workload
