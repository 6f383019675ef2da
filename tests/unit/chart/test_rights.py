"""What the operator may do in a cluster, and how that is cut down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.chart.rendering import EVERYTHING, NAMESPACE, environment, named, of_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.chart.rendering import Helm, Manifest


def operator_rights(manifests: list[Manifest]) -> Iterator[tuple[str, str]]:
    """Yield resource and verb of every right that is bound to the operator's ServiceAccount."""
    bound = {m["roleRef"]["name"] for m in manifests if m["kind"] in {"ClusterRoleBinding", "RoleBinding"}}
    for role in manifests:
        if role["kind"] in {"ClusterRole", "Role"} and role["metadata"]["name"] in bound:
            for rule in role["rules"]:
                yield from ((resource, verb) for resource in rule["resources"] for verb in rule["verbs"])


def writes_on_the_cluster(manifests: list[Manifest]) -> set[tuple[str, str]]:
    """Return all rights to write, without those on memroll's own records, events and Lease."""
    own = {"podrolls", "podrolls/status", "memorypolicies/status", "events", "leases"}
    return {(r, v) for r, v in operator_rights(manifests) if v not in {"get", "list", "watch"} and r not in own}


EVICT, PATCH = ("pods/eviction", "create"), ("pods", "patch")
RESTART = {(kind, "patch") for kind in ("deployments", "statefulsets", "daemonsets", "rollouts")}


@pytest.mark.parametrize(
    ("sets", "writes"),
    [
        ((), {EVICT, PATCH}),
        (EVERYTHING, {EVICT, PATCH, *RESTART}),
        (("surge.enabled=false",), {EVICT}),
        (("surge.enabled=false", "restart.enabled=true"), {EVICT, *RESTART}),
        (("enforcement.enabled=false", "surge.enabled=true", "restart.enabled=true"), set()),
    ],
)
def test_the_operator_may_write_what_is_allowed_and_nothing_else(
    helm: Helm, sets: tuple[str, ...], writes: set[tuple[str, str]]
) -> None:
    manifests = helm.render(*sets)
    assert writes_on_the_cluster(manifests) == writes
    said = environment(manifests)
    assert [said[f"MEMROLL_ALLOW_{word}"] for word in ("ACTING", "SURGE", "RESTART")] == [
        str(right <= writes).lower() for right in ({EVICT}, {PATCH}, RESTART)
    ]


def test_without_enforcement_there_is_nothing_to_fence_and_nothing_to_retire(helm: Helm) -> None:
    kinds = {m["kind"] for m in helm.render("enforcement.enabled=false", "restart.enabled=true")}
    assert not kinds & {"ValidatingAdmissionPolicy", "Job"}


@pytest.mark.parametrize(
    ("sets", "logs", "http"),
    [
        ((), True, True),
        (("evidence.logs.enabled=false",), False, True),
        (("evidence.http.enabled=false",), True, False),
        (("enforcement.enabled=false",), False, False),
    ],
)
def test_logs_are_read_and_pods_asked_only_where_that_is_allowed(
    helm: Helm, sets: tuple[str, ...], *, logs: bool, http: bool
) -> None:
    manifests = helm.render(*sets, "networkPolicy.enabled=true", "networkPolicy.evidencePorts=[9000]")
    assert (("pods/log", "get") in set(operator_rights(manifests))) == logs
    said = environment(manifests)
    assert (said["MEMROLL_ALLOW_LOGS"], said["MEMROLL_ALLOW_EVIDENCE_HTTP"]) == (str(logs).lower(), str(http).lower())
    (network,) = of_kind(manifests, "NetworkPolicy")
    to_pods = [rule["ports"] for rule in network["spec"]["egress"] if "to" in rule]
    assert to_pods == ([[{"port": 9000, "protocol": "TCP"}]] if http else [])


def test_what_only_a_roll_looks_at_is_read_only_where_there_are_rolls(helm: Helm) -> None:
    looked_at = {"services", "networkpolicies"}

    def verbs(*sets: str) -> set[tuple[str, str]]:
        return {(resource, verb) for resource, verb in operator_rights(helm.render(*sets)) if resource in looked_at}

    assert verbs() == {(resource, verb) for resource in looked_at for verb in ("get", "list")}
    assert verbs("enforcement.enabled=false") == set()


@pytest.mark.parametrize("sets", [(), EVERYTHING])
def test_no_role_of_the_chart_reads_secrets_or_has_a_wildcard(helm: Helm, sets: tuple[str, ...]) -> None:
    rules = [rule for m in helm.render(*sets) for rule in m.get("rules", [])]
    assert rules
    words = {word for rule in rules for key in ("apiGroups", "resources", "verbs") for word in rule[key]}
    assert not words & {"*", "secrets", "configmaps", "pods/exec", "escalate", "bind", "impersonate"}


def test_the_lease_is_named_wherever_a_name_can_be_given(helm: Helm) -> None:
    role = named(helm.render(), "Role", "memroll-lease")
    assert [(r["verbs"], r.get("resourceNames")) for r in role["rules"]] == [
        (["create"], None),
        (["get", "update", "patch"], ["memroll"]),
    ]
    assert environment(helm.render())["MEMROLL_LEASE_NAME"] == "memroll"


def test_a_policy_s_editors_are_not_all_editors_of_the_namespace(helm: Helm) -> None:
    def aggregated(*sets: str) -> set[str]:
        roles = of_kind(helm.render(*sets), "ClusterRole")
        return {k.rpartition("/")[2] for m in roles for k in m["metadata"]["labels"] if "aggregate" in k}

    assert aggregated() == {"aggregate-to-view"}
    assert aggregated("rbac.aggregate.edit=true") == {"aggregate-to-view", "aggregate-to-edit"}
    assert aggregated("rbac.aggregate.view=false") == set()


def test_namespaces_are_watched_with_cluster_wide_rights_unless_told_otherwise(helm: Helm) -> None:
    manifests = helm.render("watchNamespaces=[ai, web]")
    assert environment(manifests)["MEMROLL_WATCH_NAMESPACES"] == "ai,web"
    assert {m["metadata"]["name"] for m in of_kind(manifests, "ClusterRoleBinding")} == {
        "memroll-read", "memroll-act",
    }  # fmt: skip


def test_rights_can_be_bound_in_the_watched_namespaces_alone(helm: Helm) -> None:
    manifests = helm.render("watchNamespaces=[ai, web]", "rbac.scope=namespaces")
    bound = {(m["metadata"]["namespace"], m["metadata"]["name"]) for m in of_kind(manifests, "RoleBinding")}
    assert bound == {
        (NAMESPACE, "memroll-lease"),
        *((ns, name) for ns in ("ai", "web") for name in ("memroll-read", "memroll-act")),
    }
    assert of_kind(manifests, "ClusterRoleBinding") == []


def test_rbac_can_be_left_to_the_administrator(helm: Helm) -> None:
    kinds = {m["kind"] for m in helm.render("rbac.create=false")}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


def test_the_fence_stands_where_kubernetes_has_it(helm: Helm) -> None:
    def fences(*sets: str, kubernetes: str = "1.35.0") -> set[str]:
        policies = of_kind(helm.render(*sets, kubernetes=kubernetes), "ValidatingAdmissionPolicy")
        return {m["metadata"]["name"] for m in policies}

    assert fences() == fences(kubernetes="1.30.0") == {"memroll-fence-eviction", "memroll-fence-patch"}
    assert fences(kubernetes="1.29.5") == fences("enforcement.fence=false") == set()
    assert fences("surge.enabled=false") == {"memroll-fence-eviction"}
    assert fences("restart.enabled=true") - fences() == {"memroll-fence-restart"}


def test_each_fence_holds_the_operator_in_its_namespaces(helm: Helm) -> None:
    sets = ("restart.enabled=true", "excludedNamespaces=[kube-system, vault]")
    manifests = helm.render(*sets, "watchNamespaces=[ai, web]")
    text = json.dumps(of_kind(manifests, "ValidatingAdmissionPolicy"))
    assert text.count(f"!(request.namespace in ['kube-system','vault','{NAMESPACE}'])") == 3
    assert text.count("request.namespace in ['ai','web']") == 3
    assert text.count(f"'system:serviceaccount:{NAMESPACE}:memroll'") == 3
    assert "does not watch" not in json.dumps(helm.render(*sets)), "all namespaces are watched"
    policies = {m["metadata"]["name"] for m in of_kind(manifests, "ValidatingAdmissionPolicy")}
    bound = of_kind(manifests, "ValidatingAdmissionPolicyBinding")
    assert {m["spec"]["policyName"] for m in bound} == policies
    assert all(m["spec"]["validationActions"] == ["Deny"] for m in bound)
