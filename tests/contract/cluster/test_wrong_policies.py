"""Wrong policies and the default status on a real API server, without an operator."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.contract.cluster.real_api_server import serving
from tests.contract.cluster.test_real_api_server import install
from tests.kstatus import IN_PROGRESS, is_met, kstatus
from tests.wrong_policy_files import NOT_ACCEPTED, REFUSED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.cluster.real_api_server import RealApiServer

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
        install(started)
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
