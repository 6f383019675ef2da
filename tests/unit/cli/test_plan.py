"""`memroll plan` as text and as a document."""

from __future__ import annotations

import json

import pytest

from memroll.errors import PrometheusUnavailableError
from tests.builders import line
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation, leaking


def observing() -> Simulation:
    return Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}), FAST | {"mode": "Observe"})


def healthy() -> Simulation:
    return Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.0, base_mib=110)}))


def test_the_table_has_the_time_the_pod_and_the_reason(execute):
    sim = leaking(2)
    sim.prometheus.by_container["id-leaky-2"] = line(0.5)
    header, first, second, _, summary, warning = execute(sim, "plan").out.splitlines()
    assert header.split() == ["WHEN", "POD", "POLICY", "WORKLOAD", "TIME-TO-LIMIT", "GATE", "REASON"]
    assert first.split()[:5] == ["now", "leaky-1", "leaky", "Deployment/leaky", "36s"]
    assert second.startswith("when permitted  leaky-2")
    assert "Concurrency" in second
    assert warning.startswith("  CannotKeepUp: the budget")
    assert summary == "leaky (mode: Enforce): 2 pods; 2 to be rolled within 6h"


def test_a_pod_that_waits_for_a_person_is_blocked(execute):
    lines = execute(observing(), "plan").out.splitlines()
    assert lines[1].startswith("blocked  leaky-1")
    assert lines[1].endswith("ObserveOnly  the policy only observes (mode: Observe)")
    assert lines[-1].endswith("0 to be rolled within 6h")


def test_without_pods_at_risk_there_is_only_the_summary(execute):
    assert execute(healthy(), "plan", "--ahead", "2d").out == (
        "leaky (mode: Enforce): 1 pods; 0 to be rolled within 48h\n"
    )


def test_the_document_has_every_policy_and_roll(execute):
    (found,) = json.loads(execute(leaking(), "plan", "-o", "json").out)
    assert (found["policy"], found["watchedPods"], found["error"]) == ("leaky", 1, "")
    assert found["rolls"][0] == {
        "pod": "leaky-1",
        "container": "app",
        "workload": "Deployment/leaky",
        "at": "2026-03-01T12:00:00Z",
        "message": "grows like a leak",
        "timeToLimitSeconds": pytest.approx(36, abs=1),
        "now": True,
    }


@pytest.mark.parametrize(
    ("simulation", "code"),
    [(leaking, 3), (observing, 0), (healthy, 0), (lambda: Simulation(FakeCluster(1), FakePrometheus({})), 4)],
)
def test_the_exit_code_is_that_of_the_plan_on_request(simulation, code, execute):
    assert execute(simulation(), "plan").code == 0
    assert execute(simulation(), "plan", "--exit-code").code == code


def test_if_no_policy_can_be_examined_the_command_fails(execute):
    error = PrometheusUnavailableError("Timeout", "prometheus:9090 did not answer within 5 s")
    ended = execute(Simulation(FakeCluster(1), FakePrometheus({}, error)), "plan", "-o", "json")
    assert ended == (1, "", "memroll plan: prometheus:9090 did not answer within 5 s\n")


def test_a_namespace_without_policies_has_not_enough_data(execute):
    sim = leaking()
    sim.cluster.policies_json.clear()
    ended = execute(sim, "plan")
    assert (ended.code, ended.out) == (4, "")
    assert "namespace demo has no valid policy" in ended.err
