"""`memroll scan`: table, document, policies, exit codes."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
import yaml

from memroll import clock
from memroll.api.cel_checks import violations
from memroll.api.policy import MemoryPolicy
from memroll.cli import connection, run, scan
from memroll.clients.prometheus.config import Connection
from memroll.inspection.prometheus_discovery import FoundPrometheus
from memroll.inspection.scan_result import PastLeak
from tests.builders import at, line
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation, leaking

PAST = PastLeak(5, 4, 2, 2, 3, 0.07, at(-7200).timestamp(), "leaky-7d4b9c5f6-b2wqz", "7d4b9c5f6")


@pytest.fixture
def execute(capsys, monkeypatch, tmp_path):
    """Return the function that runs the command on a simulation, with the fast policy of the simulation."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump({"kind": "MemoryPolicy", "spec": FAST}))

    def execute(sim: Simulation, *arguments: str):
        @asynccontextmanager
        async def open_api(_):
            yield None

        @asynccontextmanager
        async def find(*_):
            yield FoundPrometheus("Prometheus, Service monitoring/prom", Connection(url="http://prom"))

        async def iterate_pods(namespace, selector):
            for pod in sim.cluster.pods.values():
                yield pod

        sim.cluster.iterate_pods = iterate_pods
        sim.prometheus.close = lambda: None
        monkeypatch.setattr(connection, "open_api", open_api)
        monkeypatch.setattr(scan, "find_prometheus", find)
        monkeypatch.setattr(scan, "KubeCluster", lambda _: sim.cluster)
        monkeypatch.setattr(scan, "PrometheusClient", lambda *_, **__: sim.prometheus)
        monkeypatch.setattr(scan, "read_history", lambda *_: ("a trace",))
        monkeypatch.setattr(scan, "replay_history", lambda *_: PAST)
        monkeypatch.setattr(clock, "now", lambda: at(sim.cluster.seconds))
        code = run(["memroll", "scan", "--policy", str(policy), *arguments])
        return code, *capsys.readouterr()

    return execute


def healthy() -> Simulation:
    return Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.0, base_mib=40)}))


def test_the_table_begins_with_a_sentence_and_ranks_what_leaks(execute):
    code, out, err = execute(leaking(2))
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("1 of 1 workloads' containers leak or are about to reach their limit")
    header = next(n for n, text in enumerate(lines) if text.startswith("NAMESPACE"))
    cells = lines[header + 1].split()
    assert cells[:4] == ["demo", "Deployment/leaky", "app", "Leaking"]
    assert "2h ago" in lines[header + 1]
    assert "7d4b9c5f6" in lines[header + 1]
    assert "roll 3 of 4, avoid 2 of 2 OOM kills, giving up 7% of their life" in lines[header + 1]
    assert "using Prometheus, Service monitoring/prom" in err
    assert "samples" in err
    assert lines[-1] == "Not assessed: 1 containers (1 NoData); by namespace: -o json"


def test_what_is_healthy_is_shown_with_all_only(execute):
    assert "leaky" not in execute(healthy())[1]
    assert "Deployment/leaky" in execute(healthy(), "--all")[1]


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_the_document_has_everything(output, execute):
    printed = execute(leaking(), "-o", output)[1]
    found = json.loads(printed) if output == "json" else yaml.safe_load(printed)
    (leak,) = found["findings"]
    assert (leak["workload"], leak["verdict"], leak["atRisk"], leak["revision"]) == (
        "Deployment/leaky",
        "Leaking",
        True,
        "5d",
    )
    assert leak["history"]["killsAvoided"] == 2
    assert leak["history"]["sinceRevision"] == "7d4b9c5f6"
    assert found["containers"] == 1


def test_policies_are_written_that_the_api_server_accepts(execute, tmp_path):
    code, _, err = execute(leaking(), "--write-policies", str(tmp_path / "policies"))
    (file,) = (tmp_path / "policies").iterdir()
    written = yaml.safe_load(file.read_text())
    written["metadata"] |= {
        "uid": "1",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    spec = MemoryPolicy.read(written).spec
    assert code == 0
    assert (file.name, spec.mode, spec.containers) == ("demo_deployment_leaky.yaml", "Observe", ("app",))
    assert str(spec.target_ref) == "Deployment/leaky"
    assert list(violations(spec)) == []
    assert "1 policies" in err


def test_a_folder_that_cannot_be_written_is_a_usage_error(execute, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = execute(leaking(), "--write-policies", str(tmp_path / "file"))
    assert code == 2
    assert "--write-policies" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("simulation", "code"),
    [(leaking, 3), (healthy, 0), (lambda: Simulation(FakeCluster(1), FakePrometheus({})), 4)],
)
def test_exit_codes(simulation, code, execute):
    assert execute(simulation(), "--exit-code")[0] == code
    assert execute(simulation())[0] == 0


def test_two_sources_are_refused(execute):
    code, _, err = execute(healthy(), "--prometheus", "http://x", "--connections", "file")
    assert code == 2
    assert "choose one of the two" in err
