"""The operator writes no secret of a connection: not in status, Events, logs or metrics, nor on the page of a report.

Prometheus refuses each query, and repeats the credentials in its answer, as careless proxies do.
"""

from __future__ import annotations

import base64
import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import yaml
from prometheus_client.exposition import generate_latest

from memroll.api.policy import MemoryPolicy
from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.credentials import ConnectionsFile
from memroll.report import html
from memroll.report.leaks import build_report
from tests.builders import at
from tests.contract.prometheus.scripted_server import ScriptedServer
from tests.fakes import FakeCluster
from tests.scenario.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.prometheus.scripted_server import Exchange

CANARY = "c4n4ry-passw0rd"
BASIC = base64.b64encode(f"me:{CANARY}".encode()).decode()
CREDENTIALS = {
    "a password": {"basicAuth": {"username": "me", "passwordFile": "password"}},
    "a token": {"authorization": {"credentialsFile": "password"}},
}


def echo(exchange: Exchange) -> None:
    authorization = exchange.headers.get("Authorization")
    exchange.send(401, json.dumps({"status": "error", "error": f"no access for {authorization}: {CANARY}"}))


@pytest.fixture(params=CREDENTIALS)
def prometheus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PrometheusClient]:
    (tmp_path / "password").write_text(CANARY)
    with ScriptedServer([echo]) as server:
        section = json.loads(json.dumps(CREDENTIALS[request.param]).replace('"password"', f'"{tmp_path}/password"'))
        file = tmp_path / "connections.yaml"
        file.write_text(yaml.safe_dump({"connections": {"default": {"url": server.url} | section}}))
        client = PrometheusClient(ConnectionsFile(file))
        yield client
        client.close()
        sent = {r.headers.get("authorization") for r in server.requests}
        assert sent & {f"Basic {BASIC}", f"Bearer {CANARY}"}, "the credentials were sent"


async def test_nothing_that_the_operator_writes_has_the_credentials(prometheus, caplog):
    caplog.set_level(logging.DEBUG)
    sim = Simulation(FakeCluster(1), prometheus)
    await sim.reconcile()
    assert sim.condition("PrometheusReachable")[:2] == ("False", "Unauthorized"), "the query was refused"
    assert "PrometheusUnavailable" in sim.recorder.reasons("MemoryPolicy")

    raw = sim.cluster.policies_json["leaky"]
    page = html.render_page(build_report([MemoryPolicy.read(raw)], [], at(0), timedelta(days=30)))
    metrics = generate_latest(sim.metrics.registry).decode()
    written = [json.dumps(raw), repr(sim.recorder.events), caplog.text, page, metrics]
    assert [text for text in written if CANARY in text or BASIC in text] == []
