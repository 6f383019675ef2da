"""The operator's permissions, and the values that reduce them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from memroll.inspection.operator_rights import OPTIONAL_RIGHTS, operator_rights
from memroll.settings import from_environment
from tests.unit.chart.rendering import EVERYTHING, NAMESPACE, HelmError, environment, named, of_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.chart.rendering import Helm, Manifest


def operator_permissions(manifests: list[Manifest]) -> Iterator[tuple[str, str]]:
    """Yield resource and verb of each permission of the operator's ServiceAccount."""
    bound = {m["roleRef"]["name"] for m in manifests if m["kind"] in {"ClusterRoleBinding", "RoleBinding"}}
    for role in manifests:
        if role["kind"] in {"ClusterRole", "Role"} and role["metadata"]["name"] in bound:
            for rule in role["rules"]:
                yield from ((resource, verb) for resource in rule["resources"] for verb in rule["verbs"])


def granted_rights(manifests: list[Manifest]) -> set[tuple[str, str, str]]:
    """Return verb, group and resource of all permissions in namespaces of the operator's ServiceAccount."""
    roles = [role for role in of_kind(manifests, "ClusterRole") if role["metadata"]["name"].endswith(("-read", "-act"))]
    return {
        (verb, group, resource)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def writes_on_the_cluster(manifests: list[Manifest]) -> set[tuple[str, str]]:
    """Return all permissions to write, except those on memroll's own records, events and Lease."""
    own = {"podrolls", "podrolls/status", "memorypolicies/status", "events", "leases"}
    return {(r, v) for r, v in operator_permissions(manifests) if v not in {"get", "list", "watch"} and r not in own}


WARNING = "memroll-namespace"
"""Admission policy that refuses nothing: it warns about objects in namespaces that are not watched."""
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
def test_the_operator_has_only_the_enabled_permissions_to_write(
    helm: Helm, sets: tuple[str, ...], writes: set[tuple[str, str]]
) -> None:
    manifests = helm.render(*sets)
    assert writes_on_the_cluster(manifests) == writes
    variables = environment(manifests)
    assert [variables[f"MEMROLL_ALLOW_{word}"] for word in ("ACTING", "SURGE", "RESTART")] == [
        str(right <= writes).lower() for right in ({EVICT}, {PATCH}, RESTART)
    ]


@pytest.mark.parametrize(
    "sets",
    [
        (),
        EVERYTHING,
        ("nodeAllocatable.enabled=true",),
        ("surge.enabled=false",),
        ("evidence.logs.enabled=false",),
        ("enforcement.enabled=false",),
    ],
)
def test_the_preflight_checks_exactly_the_granted_permissions(helm: Helm, sets: tuple[str, ...]) -> None:
    manifests = helm.render(*sets)
    checked = {*operator_rights(from_environment(environment(manifests))), *OPTIONAL_RIGHTS}
    # A Surge lists nodes only where a binding for the whole cluster permits it: the settings do not contain that.
    assert granted_rights(manifests) - checked <= {("list", "", "nodes")}
    assert checked - granted_rights(manifests) == set()


def test_without_enforcement_no_admission_policy_restricts_the_operator_and_there_is_no_job(helm: Helm) -> None:
    manifests = helm.render("enforcement.enabled=false", "restart.enabled=true")
    assert [m["metadata"]["name"] for m in of_kind(manifests, "ValidatingAdmissionPolicy")] == [WARNING]
    assert not of_kind(manifests, "Job")


@pytest.mark.parametrize(
    ("sets", "logs", "http"),
    [
        ((), True, True),
        (("evidence.logs.enabled=false",), False, True),
        (("evidence.http.enabled=false",), True, False),
        (("enforcement.enabled=false",), False, False),
    ],
)
def test_logs_and_reports_are_read_only_if_enabled(
    helm: Helm, sets: tuple[str, ...], *, logs: bool, http: bool
) -> None:
    manifests = helm.render(*sets, "networkPolicy.enabled=true", "networkPolicy.evidencePorts=[9000]")
    assert (("pods/log", "get") in set(operator_permissions(manifests))) == logs
    variables = environment(manifests)
    assert (variables["MEMROLL_ALLOW_LOGS"], variables["MEMROLL_ALLOW_EVIDENCE_HTTP"]) == (
        str(logs).lower(),
        str(http).lower(),
    )
    (network,) = of_kind(manifests, "NetworkPolicy")
    to_pods = [rule["ports"] for rule in network["spec"]["egress"] if rule.get("to") == [{"namespaceSelector": {}}]]
    assert to_pods == ([[{"port": 9000, "protocol": "TCP"}]] if http else [])


def test_objects_that_only_rolls_read_are_permitted_only_with_enforcement(helm: Helm) -> None:
    kinds = {"services", "networkpolicies", "poddisruptionbudgets"}

    def verbs(*sets: str) -> set[tuple[str, str]]:
        return {(resource, verb) for resource, verb in operator_permissions(helm.render(*sets)) if resource in kinds}

    assert verbs() == {(resource, verb) for resource in kinds for verb in ("get", "list")}
    assert verbs("enforcement.enabled=false") == set()


@pytest.mark.parametrize(
    ("sets", "is_permitted"), [((), True), (("surge.enabled=false",), False), (("enforcement.enabled=false",), False)]
)
def test_nodes_are_listed_only_for_a_surge(helm: Helm, sets: tuple[str, ...], *, is_permitted: bool) -> None:
    on_nodes = {verb for resource, verb in operator_permissions(helm.render(*sets)) if resource == "nodes"}
    assert on_nodes == ({"list"} if is_permitted else set())


@pytest.mark.parametrize(
    ("sets", "is_permitted", "counts"),
    [
        ((), True, False),
        (("nodeAllocatable.enabled=true",), True, True),
        (("nodeAllocatable.enabled=true", "surge.enabled=false"), True, True),
        (("nodeAllocatable.enabled=true", "enforcement.enabled=false"), True, True),
        (("nodeAllocatable.enabled=true", "rbac.scope=namespaces", "watchNamespaces=[ai]"), True, False),
        (("surge.enabled=false",), False, False),
    ],
)
def test_the_memory_of_nodes_counts_only_where_it_is_enabled(
    helm: Helm, sets: tuple[str, ...], *, is_permitted: bool, counts: bool
) -> None:
    manifests = helm.render(*sets)
    on_nodes = {verb for resource, verb in operator_permissions(manifests) if resource == "nodes"}
    assert on_nodes == ({"list"} if is_permitted else set())
    assert environment(manifests)["MEMROLL_ALLOW_NODES"] == str(counts).lower()


@pytest.mark.parametrize("sets", [(), ("enforcement.enabled=false",)])
def test_autoscalers_are_only_listed(helm: Helm, sets: tuple[str, ...]) -> None:
    kinds = {"horizontalpodautoscalers", "verticalpodautoscalers", "scaledobjects"}
    found = {(resource, verb) for resource, verb in operator_permissions(helm.render(*sets)) if resource in kinds}
    assert found == {(kind, "list") for kind in kinds}


@pytest.mark.parametrize("sets", [(), EVERYTHING])
def test_no_role_of_the_chart_reads_secrets_or_has_a_wildcard(helm: Helm, sets: tuple[str, ...]) -> None:
    rules = [rule for m in helm.render(*sets) for rule in m.get("rules", [])]
    assert rules
    words = {word for rule in rules for key in ("apiGroups", "resources", "verbs") for word in rule[key]}
    assert not words & {"*", "secrets", "configmaps", "pods/exec", "escalate", "bind", "impersonate"}


def test_permissions_on_the_lease_are_restricted_to_its_name(helm: Helm) -> None:
    role = named(helm.render(), "Role", "memroll-lease")
    assert [(r["verbs"], r.get("resourceNames")) for r in role["rules"]] == [
        (["create"], None),
        (["get", "update", "patch"], ["memroll"]),
    ]
    assert environment(helm.render())["MEMROLL_LEASE_NAME"] == "memroll"


def test_editors_of_a_namespace_do_not_edit_policies_by_default(helm: Helm) -> None:
    def aggregated(*sets: str) -> set[str]:
        roles = of_kind(helm.render(*sets), "ClusterRole")
        return {k.rpartition("/")[2] for m in roles for k in m["metadata"]["labels"] if "aggregate" in k}

    assert aggregated() == {"aggregate-to-view"}
    assert aggregated("rbac.aggregate.edit=true") == {"aggregate-to-view", "aggregate-to-edit"}
    assert aggregated("rbac.aggregate.view=false") == set()


def test_permissions_are_cluster_wide_by_default(helm: Helm) -> None:
    manifests = helm.render("watchNamespaces=[ai, web]")
    assert environment(manifests)["MEMROLL_WATCH_NAMESPACES"] == "ai,web"
    assert {m["metadata"]["name"] for m in of_kind(manifests, "ClusterRoleBinding")} == {
        "memroll-read", "memroll-act",
    }  # fmt: skip


def test_permissions_can_be_bound_only_in_the_watched_namespaces(helm: Helm) -> None:
    manifests = helm.render("watchNamespaces=[ai, web]", "rbac.scope=namespaces")
    bound = {(m["metadata"]["namespace"], m["metadata"]["name"]) for m in of_kind(manifests, "RoleBinding")}
    assert bound == {
        (NAMESPACE, "memroll-lease"),
        *((ns, name) for ns in ("ai", "web") for name in ("memroll-read", "memroll-act")),
    }
    assert of_kind(manifests, "ClusterRoleBinding") == []


def test_rbac_can_be_disabled(helm: Helm) -> None:
    kinds = {m["kind"] for m in helm.render("rbac.create=false")}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


def test_admission_policies_are_installed_by_default(helm: Helm) -> None:
    def policies(*sets: str) -> set[str]:
        return {m["metadata"]["name"] for m in of_kind(helm.render(*sets), "ValidatingAdmissionPolicy")}

    assert policies() == {"memroll-eviction", "memroll-patch", WARNING}
    assert policies("enforcement.admissionPolicy=false") == set()
    assert policies("surge.enabled=false") == {"memroll-eviction", WARNING}
    assert policies("restart.enabled=true") - policies() == {"memroll-restart"}


def test_the_oldest_promised_kubernetes_gets_the_same_objects_and_an_older_one_is_refused(helm: Helm) -> None:
    assert helm.render(kubernetes="1.30.0") == helm.render()
    with pytest.raises(HelmError, match=r"kubeVersion: >=1\.30\.0-0 which is incompatible with Kubernetes v1\.29\.15"):
        helm.render(kubernetes="1.29.15")


def test_each_admission_policy_restricts_the_operator_to_its_namespaces(helm: Helm) -> None:
    sets = ("restart.enabled=true", "excludedNamespaces=[kube-system, vault]")
    manifests = helm.render(*sets, "watchNamespaces=[ai, web]")
    text = json.dumps([m for m in of_kind(manifests, "ValidatingAdmissionPolicy") if m["metadata"]["name"] != WARNING])
    assert text.count(f"!(request.namespace in ['kube-system','vault','{NAMESPACE}'])") == 3
    assert text.count("request.namespace in ['ai','web']") == 3
    assert text.count(f"'system:serviceaccount:{NAMESPACE}:memroll'") == 3
    assert "does not watch" not in json.dumps(helm.render(*sets)), "all namespaces are watched"
    policies = {m["metadata"]["name"] for m in of_kind(manifests, "ValidatingAdmissionPolicy")}
    bound = of_kind(manifests, "ValidatingAdmissionPolicyBinding")
    assert {m["spec"]["policyName"] for m in bound} == policies
    actions = {m["spec"]["policyName"]: m["spec"]["validationActions"] for m in bound}
    assert actions.pop(WARNING) == ["Warn"]
    assert all(action == ["Deny"] for action in actions.values())
