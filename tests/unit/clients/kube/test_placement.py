"""Nodes and pods, decoded to what matters for the placement of a second copy of a pod."""

from __future__ import annotations

from typing import Any

import pytest

from memroll.clients.kube.placement import decode_needs, decode_node, decode_placed, extended_requests
from memroll.model.placement import (
    AntiAffinityTerm,
    NodeState,
    NodeTerm,
    PlacedPod,
    PlacementNeeds,
    Requirement,
    Taint,
    Toleration,
)

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
APP = {"matchLabels": {"app": "chat"}}
HOST = "kubernetes.io/hostname"


def container(**requests: str) -> dict[str, Any]:
    return {"resources": {"requests": requests}}


def gpus(count: str, **more: Any) -> dict[str, Any]:
    return {"resources": {"requests": {"nvidia.com/gpu": count, "cpu": "1", "memory": "1Gi"}}} | more


def pod(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "chat-0", "namespace": "ai", "uid": "u1", "labels": {"app": "chat"}}
    return {"metadata": metadata, "spec": {"nodeName": "a", **spec}, "status": {"phase": "Running"}}


def anti_affinity(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"podAntiAffinity": {REQUIRED: list(terms)}}}


SIDECAR = {"restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": [gpus("1")]}, 1),
        ({"containers": [gpus("1"), gpus("2")]}, 3),
        ({"containers": [gpus("1")], "initContainers": [gpus("4")]}, 4),
        ({"containers": [gpus("1")], "initContainers": [gpus("2", **SIDECAR)]}, 3),
        ({"containers": [gpus("1")], "initContainers": [gpus("1", **SIDECAR), gpus("2")]}, 3),
        ({"containers": [gpus("1")], "initContainers": [gpus("2"), gpus("1", **SIDECAR)]}, 2),
        ({"containers": [gpus("0")]}, None),
        ({"containers": [gpus("1e99999")]}, None),
    ],
    ids=["one", "two containers", "init container", "sidecar", "init after sidecar", "init before", "none", "invalid"],
)
def test_requests_are_those_that_the_scheduler_counts(spec, expected):
    assert extended_requests(pod(**spec)) == ({} if expected is None else {"nvidia.com/gpu": expected})


@pytest.mark.parametrize("name", ["cpu", "memory", "hugepages-2Mi", "ephemeral-storage", "kubernetes.io/batch-cpu"])
def test_standard_resources_are_no_extended_ones(name):
    assert extended_requests(pod(containers=[container(**{name: "1"})])) == {}


def test_a_node_is_decoded():
    taints = [
        {"key": "spot", "value": "yes", "effect": "NoSchedule"},
        {"key": "soft", "effect": "PreferNoSchedule"},
        {"key": "gone", "effect": "NoExecute"},
    ]
    raw = {
        "metadata": {"name": "a", "labels": {HOST: "a"}},
        "spec": {"taints": taints},
        "status": {"allocatable": {"cpu": "4", "nvidia.com/gpu": "2"}, "capacity": {"nvidia.com/gpu": "3"}},
    }
    expected = (Taint("spot", "yes", "NoSchedule"), Taint("gone", "", "NoExecute"))
    assert decode_node(raw) == NodeState("a", {HOST: "a"}, {"nvidia.com/gpu": 2}, expected)


def test_a_cordoned_node_has_the_taint_that_kubernetes_stands_for_it():
    cordoned = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
    assert decode_node({"metadata": {"name": "a"}, "spec": {"unschedulable": True}}).taints == (cordoned,)


def test_a_placed_pod_is_decoded():
    raw = pod(containers=[gpus("1")], **anti_affinity({"labelSelector": APP, "topologyKey": HOST}))
    term = AntiAffinityTerm(HOST, (Requirement("app", "In", frozenset({"chat"})),), frozenset({"ai"}))
    assert decode_placed(raw) == PlacedPod("u1", "ai", "a", {"app": "chat"}, {"nvidia.com/gpu": 1}, (term,))


def test_a_placed_pod_that_terminates_is_marked():
    raw = pod(containers=[gpus("1")])
    raw["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    found = decode_placed(raw)
    assert found is not None
    assert found.is_terminating


@pytest.mark.parametrize("change", [{"spec": {}}, {"status": {"phase": "Succeeded"}}, {"status": {"phase": "Failed"}}])
def test_a_pod_without_a_node_and_one_that_has_ended_take_nothing(change):
    assert decode_placed(pod(containers=[gpus("1")]) | change) is None


def test_the_needs_of_a_pod_are_decoded():
    node_terms = [
        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["x", "y"]}]},
        {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["b"]}]},
    ]
    affinity = {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": node_terms}}}}
    tolerations = [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}]
    raw = pod(containers=[gpus("1")], nodeSelector={"disk": "ssd"}, tolerations=tolerations, **affinity)
    assert decode_needs(raw) == PlacementNeeds(
        extended={"nvidia.com/gpu": 1},
        node_labels={"disk": "ssd"},
        node_terms=(
            NodeTerm((Requirement("zone", "In", frozenset({"x", "y"})),), ()),
            NodeTerm((), (Requirement("metadata.name", "NotIn", frozenset({"b"})),)),
        ),
        tolerations=(Toleration("spot", "Exists", "", "NoSchedule"),),
    )


@pytest.mark.parametrize(
    ("namespaces", "expected"),
    [
        ({}, frozenset({"ai"})),
        ({"namespaces": ["web"]}, frozenset({"web"})),
        ({"namespaceSelector": {}}, None),
        ({"namespaceSelector": {"matchLabels": {"team": "x"}}}, frozenset()),
        ({"namespaceSelector": {"matchLabels": {"team": "x"}}, "namespaces": ["web"]}, frozenset({"web"})),
    ],
    ids=["own", "listed", "all", "by label: not evaluated", "by label, and listed"],
)
def test_a_term_names_its_namespaces(namespaces, expected):
    (term,) = decode_needs(
        pod(**anti_affinity({"labelSelector": APP, "topologyKey": HOST, **namespaces}))
    ).anti_affinity
    assert term.namespaces == expected


def test_a_term_without_a_label_selector_selects_nothing_and_one_with_an_empty_one_everything():
    without, empty = {"topologyKey": HOST}, {"topologyKey": HOST, "labelSelector": {}}
    assert decode_needs(pod(**anti_affinity(without))).anti_affinity == ()
    (term,) = decode_needs(pod(**anti_affinity(empty))).anti_affinity
    assert term.selects("ai", {})


def test_preferred_anti_affinity_is_no_need():
    preferred = {"weight": 100, "podAffinityTerm": {"labelSelector": APP, "topologyKey": HOST}}
    affinity = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]}}
    assert not decode_needs(pod(affinity=affinity)).are_restrictive
