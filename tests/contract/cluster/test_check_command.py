"""`memroll check` against the fake API server."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from memroll import clock
from memroll.clients.kube.leader_election import LEASE_LABELS
from memroll.inspection.cluster_checks import READING
from memroll.inspection.operator_rights import operator_rights
from memroll.settings import Settings
from tests.builders import policy_json
from tests.contract.cluster.commands import execute
from tests.contract.cluster.fake_api import Fault
from tests.scenario.simulation import FAST

if TYPE_CHECKING:
    from tests.contract.cluster.commands import Ended
    from tests.contract.cluster.fake_api import FakeApi

POLICIES = "/apis/memroll.dev/v1alpha1/namespaces/demo/memorypolicies"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/memroll-system/leases"
ADMISSION = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
READY = {"type": "Ready", "status": "True", "reason": "Watching", "lastTransitionTime": "2026-03-01T12:00:00Z"}


def lease(seconds_ago: float = 2.0, holder: str = "memroll-1") -> dict[str, object]:
    renewed = (clock.now() - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    spec = {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}
    return {"metadata": {"name": "memroll"}, "spec": spec}


@pytest.fixture
def installed(server: FakeApi, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    resources = [{"name": "memorypolicies"}, {"name": "podrolls"}]
    server.documents["/version"] = {"gitVersion": "v1.35.4"}
    server.documents["/apis/memroll.dev/v1alpha1"] = {"resources": resources}
    server.add(LEASES, lease())
    server.add(ADMISSION, {"metadata": {"name": "memroll-eviction", "labels": {"app.kubernetes.io/name": "memroll"}}})
    server.add(POLICIES, policy_json(FAST) | {"status": {"conditions": [READY]}})
    return server


async def check(
    capsys: pytest.CaptureFixture[str], kubeconfig: str, *arguments: str
) -> tuple[Ended, dict[str, list[str]]]:
    options = ("--skip-prometheus", "-o", "json", "--kubeconfig", kubeconfig)
    ended = await execute(capsys, "check", *options, *arguments)
    found = json.loads(ended.out) if ended.out else []
    return ended, {item["check"]: [item["state"], item["message"]] for item in found}


async def test_an_installed_operator_passes(
    installed: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, found = await check(capsys, kubeconfig)
    assert (ended.code, ended.err) == (0, "")
    assert {name: state for name, (state, _) in found.items()} == {
        "cluster": "ok",
        "clock of the cluster": "ok",
        "CRDs": "ok",
        "operator": "ok",
        "rights": "ok",
        "admission policy": "ok",
        "policies": "ok",
    }
    assert found["cluster"][1] == "Kubernetes v1.35.4"
    assert found["operator"][1] == "memroll-1 leads"
    assert found["policies"][1] == "1, all Ready"
    assert {method for method, path, _ in installed.requests if "selfsubject" not in path} == {"GET"}


async def test_the_table_has_a_line_for_each_check(
    installed: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = await execute(capsys, "check", "--skip-prometheus", "--kubeconfig", kubeconfig)
    assert ended.out.splitlines()[0].split() == ["CHECK", "RESULT", "MESSAGE"]
    assert "operator              ok      memroll-1 leads" in ended.out


async def test_without_a_connection_to_prometheus_it_is_skipped_with_the_remedy(
    installed: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = await execute(capsys, "check", "--kubeconfig", kubeconfig)
    assert ended.code == 0
    assert "skipped  no connection to Prometheus: give --prometheus URL" in ended.out


async def test_an_operator_with_another_name_is_found_by_the_labels_of_its_lease(
    installed: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.remove(f"{LEASES}/memroll")
    installed.add(LEASES, lease() | {"metadata": {"name": "other-controller"}})
    installed.add(LEASES, lease(holder="ours-1") | {"metadata": {"name": "ours-memroll", "labels": LEASE_LABELS}})
    ended = await execute(capsys, "check", "--skip-prometheus", "--kubeconfig", kubeconfig)
    assert "ours-1 leads" in ended.out


async def test_a_user_who_may_not_request_reviews_fails_the_check(
    installed: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.faults.append(Fault("403", path="selfsubjectaccessreviews", times=99, message="no"))
    ended = await execute(capsys, "check", "--skip-prometheus", "--kubeconfig", kubeconfig)
    assert ended.code == 1
    assert "you may not create selfsubjectaccessreviews" in ended.out


async def test_an_unreachable_prometheus_fails(
    installed: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = await execute(capsys, "check", "--prometheus", "http://127.0.0.1:9", "--kubeconfig", kubeconfig)
    assert ended.code == 1
    assert "Prometheus default    failed  127.0.0.1:9" in ended.out


BROKEN = {
    "an old Kubernetes": (
        lambda api: api.documents.update({"/version": {"gitVersion": "v1.29.3"}}),
        "cluster", "failed", "Kubernetes v1.29.3: memroll needs 1.30 or newer",
    ),
    "no CRDs": (
        lambda api: api.documents.pop("/apis/memroll.dev/v1alpha1"),
        "CRDs", "failed", "memroll is not installed in this cluster",
    ),
    "one CRD": (
        lambda api: api.documents.update({"/apis/memroll.dev/v1alpha1": {"resources": [{"name": "podrolls"}]}}),
        "CRDs", "failed", "not served: memorypolicies: 'memroll crds",
    ),
    "no operator": (
        lambda api: api.remove(f"{LEASES}/memroll"),
        "operator", "failed", "no Lease memroll in namespace memroll-system: install memroll",
    ),
    "a stopped operator": (
        lambda api: api.touch(f"{LEASES}/memroll", lambda raw: raw.update(lease(3600))),
        "operator", "failed", "nobody leads for 1h: see 'kubectl get pods -n memroll-system'",
    ),
    "nobody": (
        lambda api: api.touch(f"{LEASES}/memroll", lambda raw: raw.update(lease(holder=""))),
        "operator", "failed", "nobody leads",
    ),
    "no rights": (
        lambda api: api.denied.add(("list", "podrolls")),
        "rights", "failed", "you may not list podrolls.memroll.dev: request it",
    ),
    "no admission policy": (
        lambda api: api.remove(f"{ADMISSION}/memroll-eviction"),
        "admission policy", "warning", "none: set enforcement.admissionPolicy",
    ),
    "no policy": (lambda api: api.remove(f"{POLICIES}/leaky"), "policies", "warning", "none: nothing is watched"),
    "an invalid policy": (
        lambda api: api.add(POLICIES, policy_json({"mode": "None"}, name="odd")),
        "policies", "warning", "invalid: demo/odd",
    ),
    "a policy that is not Ready": (
        lambda api: api.add(POLICIES, policy_json(FAST, name="new")),
        "policies", "warning", "not Ready: demo/new: see 'memroll status'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
async def test_each_fault_is_found_with_its_remedy(
    name: str, installed: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, item, state, words = BROKEN[name]
    damage(installed)
    ended, found = await check(capsys, kubeconfig)
    assert found[item][0] == state
    assert found[item][1].startswith(words)
    assert ended.code == (1 if state == "failed" else 0)


async def test_the_rights_of_the_operator_are_checked_with_its_service_account(
    installed: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    account = ("--as", "system:serviceaccount:memroll-system:memroll")
    _, found = await check(capsys, kubeconfig, *account)
    assert found["rights"] == [
        "ok",
        f"the operator has the {len({*READING, *operator_rights(Settings())})} that are needed",
    ]
    installed.denied |= {("create", "pods/eviction"), ("patch", "pods")}
    ended, found = await check(capsys, kubeconfig, *account)
    assert ended.code == 1
    assert found["rights"][1].startswith("the operator may not create pods/eviction, patch pods: request it")
    installed.denied = {("delete", "podrolls"), ("list", "poddisruptionbudgets")}
    _, found = await check(capsys, kubeconfig, *account)
    assert found["rights"][1].startswith(
        "the operator may not delete podrolls.memroll.dev, list poddisruptionbudgets.policy: request it"
    )
    installed.denied = {("update", "podrolls/status")}
    _, found = await check(capsys, kubeconfig, *account)
    assert found["rights"][1].startswith("the operator may not update podrolls.memroll.dev/status: request it")


async def test_an_optional_right_that_is_missing_is_a_warning_with_its_effect(
    installed: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.denied |= {("watch", "pods"), ("get", "persistentvolumeclaims"), ("list", "persistentvolumeclaims")}
    ended, found = await check(capsys, kubeconfig, "--as", "system:serviceaccount:memroll-system:memroll")
    assert (ended.code, found["rights"][0]) == (0, "warning")
    assert found["rights"][1] == (
        "the operator may not watch pods, get persistentvolumeclaims, list persistentvolumeclaims: "
        "rolls poll, pods with claims are evicted"
    )


async def test_what_may_not_be_read_is_skipped(
    installed: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.faults.append(Fault("403", path="validatingadmissionpolicies", times=9, message="no"))
    ended, found = await check(capsys, kubeconfig)
    assert (ended.code, found["admission policy"][0]) == (0, "skipped")
