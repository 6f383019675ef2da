"""Room for a second copy of a pod, by extended resources and by required anti-affinity."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.model.placement import (
    MAX_REASON_CHARS,
    AntiAffinityTerm,
    NodeState,
    NodeTerm,
    PlacedPod,
    PlacementNeeds,
    Requirement,
    SecondCopy,
    Taint,
    Toleration,
    missing_room_because,
)
from memroll.model.pods import RELEASED_HASH

GPU, HOST, ZONE, HASH = "nvidia.com/gpu", "kubernetes.io/hostname", "zone", "pod-template-hash"
LABELS = {"app": "chat", HASH: "5d"}
RELEASED = LABELS | {HASH: RELEASED_HASH}
APP = Requirement("app", "In", frozenset({"chat"}))
NO_HOST = f"excluded by required anti-affinity ({HOST})"
NO_GPU = f"without a free {GPU}"


def term(*requirements: Requirement, key: str = HOST, namespaces: frozenset[str] | None = frozenset({"ai"})):
    return AntiAffinityTerm(key, requirements or (APP,), namespaces)


def node(name: str, gpus: int = 0, *taints: Taint, **labels: str) -> NodeState:
    return NodeState(name, {HOST: name} | labels, {GPU: gpus} if gpus else {}, taints)


def placed(uid: str, on: str, gpus: int = 0, terms=(), **labels: str) -> PlacedPod:
    return PlacedPod(uid, "ai", on, labels or LABELS, {GPU: gpus} if gpus else {}, terms)


def ending(uid: str, on: str, gpus: int = 0) -> PlacedPod:
    return replace(placed(uid, on, gpus), is_terminating=True)


def missing(nodes, pods, *, namespace: str = "ai", **needs) -> str:
    """Return why the pod `old` has no room twice; it is the first of the pods, and all have its labels by default."""
    old = replace(pods[0], namespace=namespace, extended=needs.get("extended", {}),
                  anti_affinity=needs.get("anti_affinity", ()))  # fmt: skip
    copy = SecondCopy(old, PlacementNeeds(**needs), RELEASED)
    neighbors = [found for p in (old, *pods[1:]) if (found := copy.neighbor(p))]
    return missing_room_because(copy, nodes, neighbors)


def no_room(*details: str) -> str:
    return f"no node has room for a second copy of the pod: {', '.join(details)}"


ONE_GPU = {"extended": {GPU: 1}}
ALONE = {"anti_affinity": (term(),)}
OLD = placed("old", "a")
SPOT = Taint("spot", "yes", "NoSchedule")
CORDONED = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")

CASES = [
    pytest.param([node("a", 1)], [OLD], ONE_GPU, no_room(f"1 of 1 {NO_GPU}"), id="the only GPU"),
    pytest.param([node("a", 2)], [OLD], ONE_GPU, "", id="a second GPU"),
    pytest.param([node("a", 2)], [OLD, placed("p", "a", 1)], ONE_GPU, no_room(f"1 of 1 {NO_GPU}"), id="in use"),
    pytest.param([node("a", 1), node("b", 1)], [OLD], ONE_GPU, "", id="a GPU on another node"),
    pytest.param(
        [node("a", 1), node("b", 1), node("c")], [OLD, placed("p", "b", 1)], ONE_GPU, no_room(f"3 of 3 {NO_GPU}"),
        id="all GPUs of two nodes, and a node without one",
    ),
    pytest.param([node("a", 3)], [OLD], {"extended": {GPU: 2}}, no_room(f"1 of 1 {NO_GPU}"), id="one of two is free"),
    pytest.param([node("a"), node("b")], [OLD], ONE_GPU, "", id="a resource that no node lists: as with DRA"),
    pytest.param([node("a", 1, CORDONED), node("b")], [OLD], ONE_GPU, "", id="no room either once the pod is gone"),
    pytest.param([node("a")], [OLD], ALONE, no_room(f"1 of 1 {NO_HOST}"), id="one node, one replica"),
    pytest.param([node("a"), node("b")], [OLD], ALONE, "", id="two nodes, one replica"),
    pytest.param(
        [node("a"), node("b")], [OLD, placed("p", "b")], ALONE, no_room(f"2 of 2 {NO_HOST}"),
        id="two nodes, two replicas",
    ),
    pytest.param([node("a"), node("b")], [OLD, placed("p", "b", app="web")], ALONE, "", id="a pod not selected"),
    pytest.param(
        [node("a", zone="x"), node("b", zone="x")], [OLD], {"anti_affinity": (term(key=ZONE),)},
        no_room(f"2 of 2 excluded by required anti-affinity ({ZONE})"), id="both nodes in the zone of the pod",
    ),
    pytest.param(
        [node("a", zone="x"), node("b")], [OLD], {"anti_affinity": (term(key=ZONE),)}, "",
        id="a node without the topology key is not excluded",
    ),
    pytest.param(
        [node("a"), node("b", zone="x"), node("c", zone="x")], [OLD, placed("p", "b")],
        {"anti_affinity": (term(key=ZONE), term())},
        no_room(f"2 of 3 {NO_HOST}", f"1 of 3 excluded by required anti-affinity ({ZONE})"), id="two terms",
    ),
    pytest.param(
        [node("a", 1), node("b", 1), node("c")], [OLD, placed("p", "b", 1, app="web")], ONE_GPU | ALONE,
        no_room(f"2 of 3 {NO_GPU}", f"1 of 3 {NO_HOST}"), id="each node lacks something else",
    ),
    pytest.param(
        [node("a"), node("b")], [OLD, placed("p", "b", 0, (term(),), app="web")], ALONE,
        no_room(f"2 of 2 {NO_HOST}"), id="another pod's own term excludes the replacement",
    ),
    pytest.param(
        [node("a"), node("b", 0, SPOT)], [OLD], ALONE, no_room(f"1 of 1 {NO_HOST}"), id="the other node is tainted",
    ),
    pytest.param(
        [node("a"), node("b", 0, SPOT)], [OLD], ALONE | {"tolerations": (Toleration("spot", "Equal", "yes", ""),)}, "",
        id="the taint is tolerated",
    ),
    pytest.param(
        [node("a", disk="ssd"), node("b")], [OLD], ALONE | {"node_labels": {"disk": "ssd"}},
        no_room(f"1 of 1 {NO_HOST}"), id="the nodeSelector permits one node",
    ),
    pytest.param(
        [node("a"), node("b")], [OLD],
        ALONE | {"node_terms": (NodeTerm((Requirement(HOST, "NotIn", frozenset("b")),), ()),)},
        no_room(f"1 of 1 {NO_HOST}"), id="the node affinity permits one node",
    ),
    pytest.param(
        [node("a"), node("b")], [OLD],
        ALONE | {"node_terms": (NodeTerm((), (Requirement("metadata.name", "In", frozenset("a")),)),)},
        no_room(f"1 of 1 {NO_HOST}"), id="the node affinity names one node",
    ),
    pytest.param(
        [node("a"), node("b", cores="9")], [OLD],
        ALONE | {"node_terms": (NodeTerm((Requirement("cores", "Gt", frozenset({"4"})),), ()),)}, "",
        id="an operator that is not evaluated counts as met",
    ),
    pytest.param(
        [node("a", 1), node("b", 1)], [OLD, ending("p", "b", 1)], ONE_GPU, "", id="a GPU of a pod that terminates",
    ),
    pytest.param(
        [node("a", 1), node("b", 2)], [OLD, ending("p", "b", 1), placed("q", "b", 2)], ONE_GPU,
        no_room(f"2 of 2 {NO_GPU}"), id="a pod that terminates, and no room without it either",
    ),
    pytest.param([node("a"), node("b")], [OLD, ending("p", "b")], ALONE, "", id="excluded by a pod that terminates"),
    pytest.param([], [OLD], ALONE, "", id="no node is known"),
    pytest.param([node("b")], [placed("old", "gone"), placed("p", "b")], ALONE, "", id="the pod's node is not known"),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "pods", "needs", "expected"), CASES)
def test_room_for_a_second_copy_is_what_the_scheduler_would_find(nodes, pods, needs, expected):
    assert missing(nodes, pods, **needs) == expected


SAME_HASH = Requirement(HASH, "In", frozenset({"5d"}))
OTHER_HASH = Requirement(HASH, "NotIn", frozenset({"5d"}))


@pytest.mark.parametrize("by_hash", [SAME_HASH, OTHER_HASH], ids=["matchLabelKeys", "mismatchLabelKeys"])
def test_anti_affinity_by_the_template_hash_applies_to_the_released_pod(by_hash):
    """With matchLabelKeys the released pod's own term selects the replacement; with mismatchLabelKeys, the reverse."""
    needs = {"anti_affinity": (term(APP, by_hash),)}
    assert missing([node("a")], [OLD], **needs) == no_room(f"1 of 1 {NO_HOST}")
    assert missing([node("a"), node("b")], [OLD], **needs) == ""


def test_a_term_of_another_revision_does_not_select_this_one():
    other = placed("p", "b", **LABELS | {HASH: "7c"})
    assert missing([node("a"), node("b")], [OLD, other], anti_affinity=(term(APP, SAME_HASH),)) == ""


@pytest.mark.parametrize(
    ("namespaces", "expected"),
    [(frozenset({"ai"}), no_room(f"1 of 1 {NO_HOST}")), (None, no_room(f"1 of 1 {NO_HOST}")), (frozenset({"web"}), "")],
    ids=["its own", "all", "another"],
)
def test_a_term_applies_to_pods_of_its_namespaces(namespaces, expected):
    assert missing([node("a")], [OLD], anti_affinity=(term(namespaces=namespaces),)) == expected


def test_a_term_that_can_t_be_evaluated_excludes_nothing():
    assert missing([node("a")], [OLD], anti_affinity=(term(APP, Requirement("x", "Near")),)) == ""


@pytest.mark.parametrize(
    ("toleration", "covers"),
    [
        (Toleration("spot", "Exists", "", ""), True),
        (Toleration("", "Exists", "", ""), True),
        (Toleration("spot", "", "yes", "NoSchedule"), True),
        (Toleration("spot", "Equal", "no", ""), False),
        (Toleration("spot", "Equal", "yes", "NoExecute"), False),
        (Toleration("gpu", "Exists", "", ""), False),
        (Toleration("spot", "Gt", "5", ""), True),
    ],
)
def test_tolerations_cover_taints_as_in_kubernetes(toleration, covers):
    assert toleration.covers(SPOT) is covers


def test_the_reason_is_bounded():
    keys = [f"{i:03}/{'k' * 60}" for i in range(50)]
    nodes = [NodeState(f"n{i}", {key: "x"}) for i, key in enumerate(keys)]
    own = placed("old", "n0")
    pods = [own] + [placed(f"p{i}", f"n{i}") for i in range(1, 50)]
    reason = missing(nodes, pods, anti_affinity=tuple(term(key=key) for key in keys))
    assert reason.startswith("no node has room for a second copy of the pod: 1 of 50 ")
    assert len(reason) == MAX_REASON_CHARS
