"""The four systems and their harmless twins, all at once: what leaks is rolled and named, what does not is left alone.

The tests share one stage and go on in the order of this file: each waits for its own part of what happens meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo import proof
from memroll_demo.play import APART, MIXED, Systems
from memroll_demo.site import ROOT, wait_for
from memroll_demo.systems import SYSTEMS, leaking_line
from tests.e2e import images
from tests.e2e.looking import RELEASE, show
from tests.soak.kube import prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.site import Site
    from memroll_demo.systems import Member

pytestmark = [
    *(pytest.mark.cluster, pytest.mark.timeout(420)),
    pytest.mark.watches(f"{RELEASE}-systems"),
]

PREFIX = f"{RELEASE}-systems"
MEMBERS = [member for system in SYSTEMS.values() for member in system.members]
LEAKING = [member for member in MEMBERS if member.leak]
HARMLESS = [member for member in MEMBERS if not member.leak]
OBSERVED = [member for member in LEAKING if member.told_first]
RACING = [member for system in SYSTEMS.values() if system.races for member in system.members]
ROLLED_S = 300


def names(member: Member) -> str:
    return member.name


@pytest.fixture(scope="module")
def stage(cluster: Site, operator: str, request: pytest.FixtureRequest) -> Iterator[Systems]:
    """Let all systems play at the same time, each under its load."""
    programs = cluster.systems_image(images.SYSTEMS)
    opened = Systems.of(cluster, *SYSTEMS.values(), prefix=PREFIX, programs=programs)
    opened.clear()
    opened.set_up()
    yield opened
    if request.session.testsfailed:
        show(cluster, opened.watched, operator)
    cluster.kubectl("delete", "namespace", *opened.namespaces, "--ignore-not-found", "--wait=false")


def rolls_of(stage: Systems, member: Member) -> list[dict[str, Any]]:
    return proof.of_service(stage.site.rolls(stage.watched), member.name)


@pytest.mark.parametrize("member", RACING, ids=names)
def test_shared_tracing_mixes_runs_at_the_same_time_and_context_variables_keep_them_apart(stage, member):
    code, words = stage.race(member)
    assert code == (MIXED if member.leak else APART), words


@pytest.mark.parametrize("member", OBSERVED, ids=names)
def test_a_policy_that_observes_tells_and_rolls_nothing_until_it_is_enforced(stage, member):
    wait_for(f"the leak of {member.name} to be told", lambda: stage.told(member), timeout_s=360)
    assert rolls_of(stage, member) == []
    stage.enforce(member)

    def events() -> list[str]:
        return [reason for reason, _ in stage.site.events(stage.watched, "MemoryPolicy", member.name)]

    wait_for("the event, which is written after the condition", lambda: "LeakConfirmed" in events(), timeout_s=60)


@pytest.mark.parametrize("member", LEAKING, ids=names)
def test_what_leaks_is_rolled_and_the_evidence_names_its_line_first(stage, member):
    def all_rolled() -> bool:
        return len(proof.succeeded(rolls_of(stage, member))) >= member.replicas

    wait_for(f"{member.replicas} rolls of {member.name}", all_rolled, ROLLED_S)
    line = leaking_line(member.leak)
    found = proof.named(rolls_of(stage, member), member.name, line)
    assert found.ok, found.detail
    events = stage.site.events(stage.watched, "Deployment", member.name)
    captured = [message for reason, message in events if reason == "EvidenceCaptured"]
    assert captured
    assert all(str(line) in message for message in captured)


@pytest.mark.parametrize("member", [m for m in LEAKING if m.replicas > 1], ids=names)
def test_replicas_are_rolled_one_after_another(stage, member):
    found = proof.one_at_a_time(rolls_of(stage, member), member.name)
    assert found.ok, found.detail


@pytest.mark.parametrize("member", HARMLESS, ids=names)
def test_a_harmless_twin_is_judged_and_never_rolled(stage, member):
    assert rolls_of(stage, member) == []
    counts = stage.site.get("mempol", stage.watched, member.name)["status"]["pods"]
    assert counts == {"total": 1, "healthy": 1, "breaching": 0, "inconclusive": 0}


def test_no_request_failed(stage):
    assert stage.load_runs()
    totals = json.loads(stage.site.kubectl("logs", "load", "-n", stage.load, "--tail=1"))
    assert set(totals) == set(stage.services)
    assert {name: seen["kinds"] for name, seen in totals.items() if seen["failures"]} == {}
    assert min(seen["requests"] for seen in totals.values()) > 500


def test_nothing_was_killed_for_its_memory(stage):
    pods = stage.site.get("pods", stage.watched)
    restarts = {p["metadata"]["name"]: c["restartCount"] for p in pods for c in p["status"]["containerStatuses"]}
    assert {name: count for name, count in restarts.items() if count} == {}
    promql = f'max_over_time(container_oom_events_total{{namespace="{stage.watched}",container="app"}}[15m]) > 0'
    assert [labels["pod"] for labels, _ in prometheus(stage.site, promql)] == []
    # A pod that was killed and then rolled has neither any more: memroll remembers it.
    for policy in stage.site.get("mempol", stage.watched):
        kills = sum(leak.get("oomKills", 0) for leak in policy["status"].get("ledger", []))
        assert kills == 0, policy["metadata"]["name"]


def test_the_report_says_what_leaks_and_where_and_nothing_else(stage):
    """As the service's team gets it: from the policies and PodRolls alone."""
    command = [sys.executable, "-m", "memroll", "report", "-n", stage.watched, "-o", "json"]
    environment = os.environ | {"KUBECONFIG": stage.site.kubeconfig, "PYTHONPATH": str(ROOT / "operator")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = {service["workload"].removeprefix("Deployment/"): service for service in json.loads(done.stdout)["services"]}
    assert set(told) == {member.name for member in LEAKING}
    for member in LEAKING:
        (revision,) = told[member.name]["revisions"]
        assert revision["lines"][0]["at"].endswith(str(leaking_line(member.leak)))
        assert revision["rolls"] >= member.replicas
        assert revision["growth_bytes_per_hour"] > 0
        assert revision["growth_bytes_per_request"] > 0
        assert (revision["oom_kills_before"], revision["oom_kills_since"]) == (0, 0)
