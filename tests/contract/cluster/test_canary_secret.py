"""No command prints a secret: the kubeconfig's token, credentials of a connection, or what a server echoes of them."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from typing import TYPE_CHECKING

import pytest

from memroll.cli import app
from tests.builders import policy_json
from tests.contract.cluster.fake_api import Fault
from tests.contract.prometheus.scripted_server import ScriptedServer
from tests.scenario.simulation import FAST
from tests.texts import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.cluster.fake_api import FakeApi
    from tests.contract.prometheus.scripted_server import Exchange

TOKEN = "secret-token"
"""Token of the kubeconfig of all tests."""
PASSWORD = "c4n4ry-passw0rd"
SECRETS = (TOKEN, PASSWORD, base64.b64encode(f"me:{PASSWORD}".encode()).decode())
OF_THE_CLUSTER = {
    "status": ("status", "-n", "demo"),
    "explain": ("explain", "chat-1", "-n", "demo"),
    "plan": ("plan", "-n", "demo"),
    "events": ("events", "-n", "demo"),
    "check": ("check",),
    "roll": ("roll", "chat-1", "-n", "demo"),
    "cancel": ("cancel", "chat-1", "-n", "demo"),
    "suspend": ("suspend", "leaky", "-n", "demo"),
    "resume": ("resume", "leaky", "-n", "demo"),
    "report": ("report", "-n", "demo"),
    "scan": ("scan", "-n", "demo"),
}
WITHOUT_CLUSTER = {
    "backtest": ("backtest", "-n", "demo"),
    "operator": ("operator",),
    "cleanup": ("cleanup", "--timeout", "1s"),
}
QUERYING = {"explain", "plan", "check", "backtest", "scan"}
"""Commands that query Prometheus."""
PRINTING_ONLY = {"crds", "version", "completion", "help"}
"""Commands that read nothing."""
OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-5d", "uid": "rs", "controller": True}


def echo(exchange: Exchange) -> None:
    """Refuse a query with a text that repeats the credentials, as careless proxies do."""
    exchange.send(401, f"no access for {exchange.headers.get('Authorization')}: password {PASSWORD}")


@pytest.fixture
def connections(tmp_path: Path) -> Iterator[str]:
    with ScriptedServer([echo]) as prometheus:
        (tmp_path / "password").write_text(PASSWORD)
        file = tmp_path / "connections.yaml"
        auth = f"basicAuth: {{username: me, passwordFile: '{tmp_path}/password'}}"
        file.write_text(f"connections: {{default: {{url: '{prometheus.url}', {auth}}}}}")
        yield str(file)


@pytest.fixture
def cluster(server: FakeApi) -> FakeApi:
    server.add("/apis/memroll.dev/v1alpha1/namespaces/demo/memorypolicies", policy_json(FAST))
    pod = {
        "metadata": {"name": "chat-1", "uid": "u", "labels": {"app": "leaky"}, "ownerReferences": [OWNER]},
        "spec": {"containers": [{"name": "app"}]},
        "status": {"phase": "Running"},
    }
    server.add("/api/v1/namespaces/demo/pods", pod)
    server.documents["/version"] = {"gitVersion": "v1.35.4"}
    return server


async def output_of(kubeconfig: str, connections: str, *arguments: str) -> str:
    """Run a command with all log records, and return everything that it prints."""
    environment = {k: v for k, v in os.environ.items() if k != "KUBERNETES_SERVICE_HOST"} | {
        "KUBECONFIG": kubeconfig,
        "PYTHONPATH": str(ROOT / "operator"),
        "MEMROLL_CONNECTIONS_FILE": connections,
        "MEMROLL_DEBUG": "1",
        "MEMROLL_PASSWORD": PASSWORD,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "memroll", *arguments,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return out.decode()


def test_every_command_is_covered() -> None:
    assert set(app.ENTRIES) == set(OF_THE_CLUSTER) | set(WITHOUT_CLUSTER) | PRINTING_ONLY


@pytest.mark.parametrize("status", ["", "403"])
@pytest.mark.parametrize("command", [*OF_THE_CLUSTER, *WITHOUT_CLUSTER])
async def test_no_command_prints_a_secret(
    command: str, status: str, cluster: FakeApi, kubeconfig: str, connections: str
) -> None:
    if status:
        cluster.faults.append(Fault(status, times=999, message="no access"))
    arguments = (OF_THE_CLUSTER | WITHOUT_CLUSTER)[command]
    if command in ("backtest", "scan"):
        arguments = (*arguments, "--connections", connections)
    printed = await output_of(kubeconfig, connections, *arguments)
    assert printed, "each of these commands prints something"
    if command in QUERYING and not status:
        assert "check the connection's credentials" in printed, "the credentials were sent, and refused"
    assert [secret for secret in SECRETS if secret in printed] == []
