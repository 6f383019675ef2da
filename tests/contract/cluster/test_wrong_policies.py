"""Wrong policies, and statuses, on a real API server without an operator."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import line
from tests.contract.cluster.real_api_server import serving
from tests.fakes import FakeCluster, FakePrometheus
from tests.kstatus import IN_PROGRESS, is_met, kstatus
from tests.scenario.simulation import FAST, Simulation, leaking
from tests.wrong_policy_files import NOT_ACCEPTED, REFUSED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.cluster.real_api_server import RealApiServer

DRY_RUN = FAST | {"mode": "DryRun", "roll": FAST["roll"] | {"budgets": [{"rolls": 1, "per": "24h"}]}}
GOOD = """
apiVersion: memroll.dev/v1alpha1
kind: MemoryPolicy
metadata: {name: good, namespace: ai}
spec: {mode: DryRun, selector: {matchLabels: {app: chat}}}
---
apiVersion: memroll.dev/v1alpha1
kind: PodRoll
metadata: {name: by-hand, namespace: ai}
spec: {podName: chat-1}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealApiServer]:
    with serving(tmp_path_factory.mktemp("server")) as started:
        started.install()
        yield started


def test_the_api_server_refuses_each_with_the_message_that_its_author_needs(server: RealApiServer) -> None:
    other = {w.name: (w.admission, found) for w in REFUSED if w.admission not in (found := refusal(server, w.path))}
    assert other == {}


def refusal(server: RealApiServer, path: Path) -> str:
    """Return the API server's message to `kubectl apply`; empty if it accepts the policy."""
    try:
        server.read("apply", "--dry-run=server", "-f", str(path))
    except subprocess.CalledProcessError as error:
        return str(error.stderr)
    return ""


def test_what_only_the_operator_can_refuse_is_accepted(server: RealApiServer) -> None:
    assert {w.name: found for w in NOT_ACCEPTED if (found := refusal(server, w.path))} == {}


def test_a_new_object_is_in_progress_before_an_operator_runs(server: RealApiServer) -> None:
    server.apply(GOOD)
    for kind, name in (("mempol", "good"), ("proll", "by-hand")):
        raw = json.loads(server.read("get", kind, name, "-n", "ai", "-o", "json"))
        assert (kstatus(raw), is_met(raw, "Ready")) == (IN_PROGRESS, False)
    header, row = server.read("get", "mempol", "good", "-n", "ai").splitlines()
    assert "LAST-ACTION" in header
    assert "Unknown" in row
    assert "waiting for the operator" in row


async def test_the_schema_has_every_field_of_the_statuses_that_the_controllers_write(server: RealApiServer) -> None:
    """The API server drops a field that the schema does not have, without an error."""
    server.apply(GOOD)
    sim = Simulation(FakeCluster(2), FakePrometheus({f"id-leaky-{n}": line(0.5) for n in (1, 2)}), DRY_RUN)
    await sim.reconcile()
    assert sim.status["dryRuns"]
    assert sim.status["atRisk"][1]["blockedBy"]["others"]
    rolled = leaking()
    await rolled.reconcile()
    await rolled.run_rolls()
    (roll,) = rolled.cluster.rolls_json.values()
    for kind, name, status in (("mempol", "good", sim.status), ("proll", "by-hand", roll["status"])):
        patch = ("patch", kind, name, "-n", "ai", "--subresource=status", "--type=merge", "-p")
        server.read(*patch, json.dumps({"status": status}))
        stored = json.loads(server.read("get", kind, name, "-n", "ai", "-o", "json"))["status"]
        assert stored == status
        server.read("wait", "--for=condition=Ready", f"{kind}/{name}", "-n", "ai", "--timeout=10s")
    assert "WouldRoll" in server.read("get", "mempol", "good", "-n", "ai")
