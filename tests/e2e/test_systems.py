"""The four systems and their harmless twins, concurrently: leaking services are rolled, harmless ones are not.

The tests share one scenario and run in the order of this file: each waits for a part of what happens in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo import assertions
from memroll_demo.cluster import ROOT, wait_for
from memroll_demo.systems import SYSTEMS, leaking_line
from memroll_demo.systems_demo import EXIT_ISOLATED, EXIT_MIXED, SystemsScenario
from tests.e2e import images
from tests.e2e.diagnostics import RELEASE, print_diagnostics
from tests.e2e.slowdown import slowdown
from tests.soak.kubectl_proxy import query_prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.cluster import DemoCluster
    from memroll_demo.systems import SystemDeployment

pytestmark = [
    *(pytest.mark.cluster, pytest.mark.timeout(1500)),
    pytest.mark.watches(f"{RELEASE}-systems"),
]

PREFIX = f"{RELEASE}-systems"
DEPLOYMENTS = [deployment for system in SYSTEMS.values() for deployment in system.deployments]
LEAKING = [deployment for deployment in DEPLOYMENTS if deployment.leak]
HARMLESS = [deployment for deployment in DEPLOYMENTS if not deployment.leak]
OBSERVED = [deployment for deployment in LEAKING if deployment.observe_first]
RACING = [deployment for system in SYSTEMS.values() if system.check_isolation for deployment in system.deployments]
ROLLED_S = 420
CONFIRMED_S = 360
MIN_LOAD_RATIO = 0.75
"""Minimum ratio of the load on a slow machine: tracing-race leaks only while runs overlap, at 3.5 requests per second
it did not."""


def name_of(deployment: SystemDeployment) -> str:
    return deployment.name


@pytest.fixture(scope="module")
def systems(cluster: DemoCluster, operator: str, request: pytest.FixtureRequest) -> Iterator[SystemsScenario]:
    """Run all systems concurrently, each under its load."""
    programs = cluster.build_systems_image(images.SYSTEMS)
    created = SystemsScenario.of(cluster, *SYSTEMS.values(), prefix=PREFIX, programs=programs)
    created.delete_namespaces()
    created.set_up(load_ratio=max(MIN_LOAD_RATIO, 1 / slowdown()))
    yield created
    if request.session.testsfailed:
        print_diagnostics(cluster, created.watched, operator)
    cluster.kubectl("delete", "namespace", *created.namespaces, "--ignore-not-found", "--wait=false")


def rolls_of(systems: SystemsScenario, deployment: SystemDeployment) -> list[dict[str, Any]]:
    return assertions.rolls_of_service(systems.cluster.rolls(systems.watched), deployment.name)


@pytest.mark.parametrize("deployment", RACING, ids=name_of)
def test_shared_tracing_mixes_concurrent_runs_and_context_variables_separate_them(systems, deployment):
    code, output = systems.check_isolation(deployment)
    assert code == (EXIT_MIXED if deployment.leak else EXIT_ISOLATED), output


@pytest.mark.parametrize("deployment", OBSERVED, ids=name_of)
def test_a_policy_in_mode_observe_reports_a_leak_and_rolls_nothing_until_enforce(systems, deployment):
    wait_for(
        f"the confirmed leak of {deployment.name}",
        lambda: systems.is_leak_confirmed(deployment),
        timeout_s=CONFIRMED_S * slowdown(),
    )
    assert rolls_of(systems, deployment) == []
    systems.enforce(deployment)

    def events() -> list[str]:
        return [reason for reason, _ in systems.cluster.events(systems.watched, "MemoryPolicy", deployment.name)]

    wait_for("the event, which is written after the condition", lambda: "LeakConfirmed" in events(), timeout_s=60)


@pytest.mark.parametrize("deployment", LEAKING, ids=name_of)
def test_a_leaking_service_is_rolled_and_its_evidence_begins_with_the_line(systems, deployment):
    def all_rolled() -> bool:
        return len(assertions.succeeded_rolls(rolls_of(systems, deployment))) >= deployment.replicas

    wait_for(f"{deployment.replicas} rolls of {deployment.name}", all_rolled, ROLLED_S * slowdown())
    line = leaking_line(deployment.leak)
    found = assertions.check_evidence_line(rolls_of(systems, deployment), deployment.name, line)
    assert found.ok, found.detail
    events = systems.cluster.events(systems.watched, "Deployment", deployment.name)
    captured = [message for reason, message in events if reason == "EvidenceCaptured"]
    assert captured
    assert all(str(line) in message for message in captured)


@pytest.mark.parametrize("deployment", [d for d in LEAKING if d.replicas > 1], ids=name_of)
def test_replicas_are_rolled_one_after_another(systems, deployment):
    found = assertions.check_one_at_a_time(rolls_of(systems, deployment), deployment.name)
    assert found.ok, found.detail


@pytest.mark.parametrize("deployment", HARMLESS, ids=name_of)
def test_a_harmless_twin_is_assessed_and_never_rolled(systems, deployment):
    assert rolls_of(systems, deployment) == []
    counts = systems.cluster.get("mempol", systems.watched, deployment.name)["status"]["pods"]
    assert (counts["total"], counts["healthy"] + counts["suspected"]) == (1, 1)
    assert (counts["atRisk"], counts["inconclusive"]) == (0, 0)


def test_no_request_failed(systems):
    assert systems.is_load_running()
    totals = json.loads(systems.cluster.kubectl("logs", "load", "-n", systems.load, "--tail=1"))
    assert set(totals) == set(systems.services)
    assert {name: counts["kinds"] for name, counts in totals.items() if counts["failures"]} == {}
    assert min(counts["requests"] for counts in totals.values()) > 500 / slowdown()


def test_no_container_was_oom_killed(systems):
    pods = systems.cluster.get("pods", systems.watched)
    restarts = {p["metadata"]["name"]: c["restartCount"] for p in pods for c in p["status"]["containerStatuses"]}
    assert {name: count for name, count in restarts.items() if count} == {}
    promql = f'max_over_time(container_oom_events_total{{namespace="{systems.watched}",container="app"}}[15m]) > 0'
    assert [labels["pod"] for labels, _ in query_prometheus(systems.cluster, promql)] == []
    # Of a pod that was killed and then rolled, only the leak ledger has the kill.
    for policy in systems.cluster.get("mempol", systems.watched):
        kills = sum(leak.get("oomKills", 0) for leak in policy["status"].get("ledger", []))
        assert kills == 0, policy["metadata"]["name"]


def read_report(systems: SystemsScenario) -> dict[str, Any]:
    """Return the services of the report, by Deployment."""
    command = [sys.executable, "-m", "memroll", "report", "-n", systems.watched, "-o", "json"]
    environment = os.environ | {"KUBECONFIG": systems.cluster.kubeconfig, "PYTHONPATH": str(ROOT / "operator")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return {s["workload"].removeprefix("Deployment/"): s for s in json.loads(done.stdout)["services"]}


def test_the_report_contains_exactly_the_leaks_and_their_lines(systems):
    """The report is made from the policies and PodRolls alone, as the service's team does it."""

    def with_all_rolls() -> dict[str, Any]:
        # A policy counts a roll at its next reconcile, seconds after the roll has ended.
        services = read_report(systems)
        counted = {name: sum(r["rolls"] for r in service["revisions"]) for name, service in services.items()}
        return services if all(counted.get(d.name, 0) >= d.replicas for d in LEAKING) else {}

    services = wait_for("a report of all rolls", with_all_rolls, timeout_s=60)
    assert set(services) == {deployment.name for deployment in LEAKING}
    for deployment in LEAKING:
        (revision,) = services[deployment.name]["revisions"]
        assert revision["lines"][0]["at"].endswith(str(leaking_line(deployment.leak)))
        assert revision["growth_bytes_per_hour"] > 0
        assert revision["growth_bytes_per_request"] > 0
        assert (revision["oom_kills_before"], revision["oom_kills_since"]) == (0, 0)
