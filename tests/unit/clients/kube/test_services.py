"""Choice of the labels to change in order to detach a pod from its Services."""

from __future__ import annotations

from typing import Any

import pytest

from memroll.clients.kube.services import Selecting, describe_hash_selector, plan_detachment
from memroll.model.pods import RELEASED_HASH

HERE = "ai"
LABELS = {"app": "chat", "tier": "web", "track": "stable", "pod-template-hash": "abc"}


def service(name: str, **selector: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"selector": selector}}


def network_policy(selector: dict[str, Any], *peers: dict[str, Any], namespace: str = "ai") -> dict[str, Any]:
    spec = {"podSelector": selector, "ingress": [{"from": list(peers)}]}
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": spec}


CHAT = {"matchLabels": {"app": "chat"}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("services", "policies", "labels"),
    [
        pytest.param([service("a", app="chat")], [], {"app": "chat"}, id="one Service"),
        pytest.param([service("a", app="chat"), service("b", app="other")], [], {"app": "chat"}, id="another Service"),
        pytest.param(
            [service("a", app="chat", track="stable"), service("b", track="stable", tier="web")], [],
            {"track": "stable"}, id="one label for two Services",
        ),
        pytest.param(
            [service("a", app="chat"), service("b", tier="web")], [], {"app": "chat", "tier": "web"}, id="two labels"
        ),
        pytest.param(
            [service("a", app="chat", tier="web")], [network_policy({"matchLabels": {"app": "chat"}})],
            {"tier": "web"}, id="a NetworkPolicy uses the other label",
        ),
        pytest.param(
            [service("a", app="chat")], [network_policy({"matchLabels": {"app": "other"}})], {"app": "chat"},
            id="a NetworkPolicy of other pods",
        ),
        pytest.param(
            [service("a", app="chat")], [network_policy(CHAT, {"podSelector": CHAT}, namespace="else")],
            {"app": "chat"}, id="a NetworkPolicy of another namespace, about its own pods",
        ),
    ],
)  # fmt: skip
def test_the_fewest_labels_are_chosen(services, policies, labels):
    assert plan_detachment(LABELS, services, policies, HERE).labels == labels


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(network_policy(CHAT), id="its pods"),
        pytest.param(network_policy({}, {"podSelector": CHAT}), id="a peer of others"),
        pytest.param(
            network_policy({}, {"namespaceSelector": {}, "podSelector": CHAT}, namespace="else"),
            id="a peer in other namespaces",
        ),
        pytest.param(network_policy(expression("app", "In", "chat", "x")), id="In"),
        pytest.param(network_policy(expression("app", "NotIn", "memroll-detached")), id="NotIn"),
        pytest.param(
            {"metadata": {"namespace": "ai"}, "spec": {"egress": [{"to": [{"podSelector": CHAT}]}]}}, id="egress"
        ),
    ],
)
def test_a_label_used_by_a_network_policy_is_not_changed(policy):
    found = plan_detachment(LABELS, [service("a", app="chat")], [policy], HERE)
    assert not found.labels
    assert found.skipped == "every label by which Service a selects the pod is used by a NetworkPolicy"


def test_without_a_service_there_is_nothing_to_detach_from():
    found = plan_detachment(
        LABELS, [service("a", app="other"), {"metadata": {"name": "headless"}, "spec": {}}], [], HERE
    )
    assert found.skipped == "no Service selects the pod"


def external(made: dict[str, Any]) -> dict[str, Any]:
    return made | {"spec": made["spec"] | {"type": "ExternalName", "externalName": "chat.example"}}


def test_the_selector_of_an_external_name_service_has_no_effect():
    """Kubernetes stores such a selector, and ignores it."""
    by_hash = external(service("a", app="chat", **{HASH: "abc"}))
    assert describe_hash_selector(LABELS, HASH, Selecting([by_hash]), HERE) == ""
    assert plan_detachment(LABELS, [by_hash], [], HERE).skipped == "no Service selects the pod"
    assert plan_detachment(LABELS, [by_hash, service("b", tier="web")], [], HERE).labels == {"tier": "web"}


HASH = "pod-template-hash"
ROLLOUT_HASH = "rollouts-pod-template-hash"
BY_HASH = {"matchLabels": {HASH: "abc"}}


@pytest.mark.parametrize(
    ("services", "policies", "expected"),
    [
        pytest.param([service("a", app="chat")], [], "", id="a Service that uses other labels"),
        pytest.param([service("a", app="chat", **{HASH: "old"})], [], "", id="a Service of another revision"),
        pytest.param([service("a", app="other", **{HASH: "abc"})], [], "", id="a Service of other pods"),
        pytest.param([service("a")], [], "", id="a Service without a selector"),
        pytest.param([service("a", **{HASH: RELEASED_HASH})], [], "", id="a Service of released pods"),
        pytest.param(
            [service("all", app="chat"), service("a", app="chat", **{HASH: "abc"})], [],
            "Service a selects the pod by its label pod-template-hash", id="one of two Services uses the hash",
        ),
        pytest.param(
            [service("a", **{HASH: "abc"})], [], "Service a selects the pod by its label pod-template-hash",
            id="a Service that uses only the hash",
        ),
        pytest.param([], [network_policy(CHAT)], "", id="a NetworkPolicy that uses other labels"),
        pytest.param([], [network_policy({"matchLabels": {HASH: "old"}})], "", id="a policy of another revision"),
        pytest.param([], [network_policy(expression(HASH, "Exists"))], "", id="any hash matches"),
        pytest.param([], [network_policy(BY_HASH, namespace="else")], "", id="a NetworkPolicy of another namespace"),
        pytest.param(
            [], [network_policy(BY_HASH)], "NetworkPolicy ai/p selects the pod by its label pod-template-hash",
            id="a NetworkPolicy that uses the hash",
        ),
        pytest.param(
            [], [network_policy(expression(HASH, "NotIn", RELEASED_HASH, "old"))],
            "NetworkPolicy ai/p selects the pod by its label pod-template-hash", id="a policy it would leave",
        ),
        pytest.param(
            [], [network_policy(expression(HASH, "NotIn", "abc"))],
            "NetworkPolicy ai/p selects the pod by its label pod-template-hash", id="a policy it would enter",
        ),
        pytest.param(
            [], [network_policy({}, {"namespaceSelector": {}, "podSelector": BY_HASH}, namespace="else")],
            "NetworkPolicy else/p selects the pod by its label pod-template-hash", id="a peer in other namespaces",
        ),
    ],
)  # fmt: skip
def test_an_object_that_selects_by_template_hash_is_named(services, policies, expected):
    assert describe_hash_selector(LABELS, HASH, Selecting(services, policies), HERE) == expected


def budget(selector: object) -> dict[str, Any]:
    return {"metadata": {"name": "b", "namespace": HERE}, "spec": {"minAvailable": 1, "selector": selector}}


BUDGET_BY_HASH = "PodDisruptionBudget b selects the pod by its label pod-template-hash"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param(CHAT, "", id="other labels"),
        pytest.param({}, "", id="all pods of the namespace"),
        pytest.param(None, "", id="no selector: no pod"),
        pytest.param(["app"], "", id="of another type"),
        pytest.param({"matchLabels": {HASH: "old"}}, "", id="another revision"),
        pytest.param(expression(HASH, "Exists"), "", id="any hash"),
        pytest.param(BY_HASH, BUDGET_BY_HASH, id="the hash"),
        pytest.param({"matchLabels": {"app": "chat", HASH: "abc"}}, BUDGET_BY_HASH, id="the hash and another label"),
        pytest.param(expression(HASH, "In", "abc", "old"), BUDGET_BY_HASH, id="one of several hashes"),
        pytest.param(expression(HASH, "NotIn", "old", RELEASED_HASH), BUDGET_BY_HASH, id="not one of these hashes"),
        pytest.param(expression(HASH, "NotIn", "abc"), BUDGET_BY_HASH, id="one that would begin to count it"),
    ],
)
def test_a_budget_that_would_not_count_the_released_pod_is_named(selector, expected):
    assert describe_hash_selector(LABELS, HASH, Selecting(budgets=[budget(selector)]), HERE) == expected


def test_the_services_of_an_argo_rollout_are_recognised():
    """Its controller writes the hash into the selectors of the active, preview, stable and canary Services."""
    labels = {"app": "chat", ROLLOUT_HASH: "abc"}
    active, preview = (
        service("active", app="chat", **{ROLLOUT_HASH: "abc"}),
        service("preview", app="chat", **{ROLLOUT_HASH: "def"}),
    )
    words = "Service active selects the pod by its label rollouts-pod-template-hash"
    assert describe_hash_selector(labels, ROLLOUT_HASH, Selecting([preview, active]), HERE) == words
    assert describe_hash_selector(labels, ROLLOUT_HASH, Selecting([preview]), HERE) == ""
