"""`memroll explain` as text and as a document."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from memroll.clients.prometheus import promql
from memroll.planning.gates import GATES
from tests.builders import at, line
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import Simulation, leaking


def healthy() -> Simulation:
    return Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.0, base_mib=110)}))


def test_the_text_has_the_verdict_the_checks_the_gates_and_the_next_step(execute):
    ended = execute(leaking(), "explain", "leaky-1")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "Pod demo/leaky-1 of Deployment/leaky, policy leaky (mode: Enforce)"
    assert any(found.startswith("Container app: Leaking (Leaking): ") for found in lines)
    assert not [found for found in lines if found != found.rstrip()], "nothing is padded in a file"
    assert any("  110.0 MiB of 128.0 MiB (86%), +1800.0 MiB per hour, limit in 36s" in found for found in lines)
    checks = lines.index(next(found for found in lines if found.startswith("WINDOW")))
    assert lines[checks + 1].split()[:3] == ["60s", "NotGrowing", "passed"]
    assert "+1800.0 MiB per hour" in lines[checks + 1]
    assert "above +64.0 MiB per hour" in lines[checks + 1]
    gates = lines.index(next(found for found in lines if found.startswith("GATE")))
    assert [found.split()[0] for found in lines[gates + 1 : gates + 1 + len(GATES)]] == [g.value for g in GATES]
    assert any(found.startswith("Next: the next reconcile rolls the pod (Surge: ") for found in lines)
    assert any("container_memory_rss{" in found for found in lines)


def test_wide_shows_all_queries(execute):
    assert "container_cpu_usage" not in execute(leaking(), "explain", "leaky-1").out
    assert "container_cpu_usage" in execute(leaking(), "explain", "leaky-1", "-o", "wide").out


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_the_document_has_everything(output, execute):
    printed = execute(leaking(), "explain", "leaky-1", "-o", output).out
    found = json.loads(printed) if output == "json" else yaml.safe_load(printed)
    assert (found["pod"], found["namespace"], found["policy"]) == ("leaky-1", "demo", "leaky")
    assert (found["wouldRoll"], found["blockedBy"]) == (True, None)
    assert [gate["gate"] for gate in found["gates"]] == [gate.value for gate in GATES]
    (container,) = found["containers"]
    assert (container["verdict"], container["due"], container["usageBytes"]) == ("Leaking", True, 110 * 2**20)
    assert container["windows"][0]["isLeak"]
    assert {"check", "passed", "statistic", "observed", "required"} == set(container["windows"][0]["checks"][0])


@pytest.mark.parametrize(
    ("simulation", "code"),
    [(leaking, 3), (healthy, 0), (lambda: Simulation(FakeCluster(1), FakePrometheus({})), 4)],
)
def test_the_exit_code_is_that_of_the_verdict_on_request(simulation, code, execute):
    assert execute(simulation(), "explain", "leaky-1").code == 0
    assert execute(simulation(), "explain", "leaky-1", "--exit-code").code == code


def test_a_missing_pod_is_one_line_with_similar_names(execute):
    ended = execute(leaking(), "explain", "leaky-2")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "memroll explain: there is no pod leaky-2 in namespace demo. Did you mean leaky-1?\n"


def test_of_the_other_windows_the_failed_checks_are_shown(execute):
    sim = healthy()
    old = sim.cluster.pods["leaky-1"]
    sim.cluster.pods["leaky-1"] = replace(old, containers=(replace(old.containers[0], started_at=at(-900)),))
    sim.prometheus.by_container["id-leaky-1"] = line(0.0, base_mib=110, age_s=900)
    short, wide = (execute(sim, "explain", "leaky-1", "-o", output).out.splitlines() for output in ("table", "wide"))
    windows = [next(n for n, found in enumerate(lines) if found.startswith("4m ")) for lines in (short, wide)]
    assert [lines[n].split()[1:3] for lines, n in zip((short, wide), windows, strict=True)] == [
        ["NotGrowing", "failed"],
        ["NotGrowing", "failed"],
    ]
    assert sum("passed" in found for found in short) < sum("passed" in found for found in wide)


def test_the_queries_of_a_table_are_those_of_the_two_memory_series(execute):
    shown = execute(leaking(), "explain", "leaky-1").out.partition("Queries of its samples (all: -o wide):\n")[2]
    assert [query.split("{")[0].strip() for query in shown.splitlines()] == [promql.RSS, promql.WORKING_SET]
