"""Requests to the API server per reconcile of a policy, when nothing happens, or pods leak that are not due."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.kube.cluster import KubeCluster
from memroll.controller.index_resync import resync_index
from memroll.controller.key import Key
from tests.builders import NOW, at, line, policy_json, roll_json, stamp
from tests.contract.cluster.fake_api import PATH, FakeApi
from tests.fakes import FakePrometheus
from tests.scenario.simulation import Controllers, controllers

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi

MEMROLL = "/apis/memroll.dev/v1alpha1/namespaces/demo"
APPS = "/apis/apps/v1/namespaces/demo"
POLICIES = 10
INTERVAL_S = 300.0


def owned_by(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": True}]


def add_workload(server: FakeApi, app: str) -> None:
    """Add a Deployment with one ReplicaSet and two pods."""
    labels = {"app": app, "pod-template-hash": "5d"}
    selector = {"selector": {"matchLabels": {"app": app}}}
    server.add(f"{APPS}/deployments", {"metadata": {"name": app, "uid": app}, "spec": selector})
    meta = {"name": f"{app}-5d", "uid": f"{app}-5d", "labels": labels, "ownerReferences": owned_by("Deployment", app)}
    server.add(f"{APPS}/replicasets", {"metadata": meta})
    for n in range(2):
        name = f"{app}-5d-{n}"
        meta = {"name": name, "labels": labels, "ownerReferences": owned_by("ReplicaSet", f"{app}-5d")}
        limit = {"name": "app", "resources": {"limits": {"memory": "128Mi"}}}
        running = {"name": "app", "containerID": f"c://id-{name}", "state": {"running": {"startedAt": stamp(-90_000)}}}
        status = {"phase": "Running", "containerStatuses": [running]}
        server.add(
            "/api/v1/namespaces/demo/pods", {"metadata": meta, "spec": {"containers": [limit]}, "status": status}
        )


def fill(server: FakeApi, *, by_target: bool) -> None:
    """Add policies with a workload each, and finished PodRolls."""
    for n in range(POLICIES):
        app = f"app-{n}"
        add_workload(server, app)
        ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": app}
        selected: dict[str, Any] = {"targetRef": ref} if by_target else {"selector": {"matchLabels": {"app": app}}}
        raw = policy_json({"mode": "Enforce", "interval": "5m"} | selected, app, creationTimestamp=stamp(-9000 + n))
        server.add(f"{MEMROLL}/memorypolicies", raw)
        roll = roll_json("Succeeded")
        server.add(f"{MEMROLL}/podrolls", roll | {"metadata": {"name": app, "creationTimestamp": stamp(-9000)}})


async def deliver(made: Controllers, server: FakeApi) -> None:
    """Feed the indexes as the watch does."""
    for (_, plural, _, _), raw in server.objects.items():
        for index in (made.context.policies, made.context.rolls):
            if index.kind == plural:
                index.put(index.decode(raw))


async def requests_of_last_round(server: FakeApi, api: KubeApi, mib_per_hour: float = 0.0) -> Counter[str]:
    """Reconcile all policies three times; return the requests of the last time, which writes nothing new."""
    started = {"age_s": 90_000, "ahead_s": int(2 * INTERVAL_S), "step_s": 30}
    grown = line(mib_per_hour / 3600, base_mib=30, **started)
    series = {f"id-app-{n}-5d-{i}": grown for n in range(POLICIES) for i in range(2)}
    clock = [NOW]
    made = controllers(KubeCluster(api), FakePrometheus(series), now=lambda: clock[0])
    await deliver(made, server)
    for index in (made.context.policies, made.context.rolls):
        assert await resync_index(index, made.context.kubernetes, (), lambda: 0.0) == []
        index.confirm(float("inf"))  # the clock of the process does not matter here
    for seconds in (0.0, INTERVAL_S, 2 * INTERVAL_S):
        clock[0] = at(seconds)
        server.requests.clear()
        made.policies.shared_pods._listings.clear()
        for n in range(POLICIES):
            await made.policies.reconcile(Key("demo", f"app-{n}"))
        seen = server.requests[:]
        await deliver(made, server)
    return Counter(_describe(method, path.partition("?")[0]) for method, path, _ in seen)


def _describe(method: str, path: str) -> str:
    found = PATH.fullmatch(path)
    assert found is not None
    verb = "list" if method == "GET" and not found["name"] else method.lower()
    return f"{verb} {found['plural']}"


@pytest.mark.parametrize(
    ("by_target", "expected"),
    [
        pytest.param(False, {"get memorypolicies": POLICIES, "list pods": 1}, id="selectors"),
        pytest.param(
            True,
            {"get memorypolicies": POLICIES, "get deployments": POLICIES, "list replicasets": POLICIES, "list pods": 1},
            id="targets",
        ),
    ],
)
async def test_a_reconcile_reads_its_policy_and_the_pods_are_listed_once(by_target, expected, server, api):
    fill(server, by_target=by_target)
    assert await requests_of_last_round(server, api) == expected


async def test_pods_that_leak_but_are_not_due_cost_no_more_requests(server, api):
    """Two pods of each workload leak, so that their rolls are scheduled."""
    fill(server, by_target=False)
    found = await requests_of_last_round(server, api, mib_per_hour=2.0)
    statuses = [raw["status"] for (_, plural, _, _), raw in server.objects.items() if plural == "memorypolicies"]
    assert {risk["blockedBy"]["gate"] for status in statuses for risk in status["atRisk"]} == {"NotDue"}
    assert sum(len(status["atRisk"]) for status in statuses) == 2 * POLICIES
    assert found == {"get memorypolicies": POLICIES, "list pods": 1}
