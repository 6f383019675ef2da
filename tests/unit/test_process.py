"""Settings, the command line, the HTTP endpoints, the wake-ups: the parts around the decisions."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import kopf
import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import ValidationError

from memroll import __version__
from memroll.api import crd
from memroll.cli import logs, operator, run
from memroll.controller import http_server, watch
from memroll.reporting.metrics import Metrics
from memroll.settings import Settings, from_environment


def test_settings_come_from_the_environment():
    read = from_environment(
        {
            "MEMROLL_WATCH_NAMESPACES": "ai, web,",
            "MEMROLL_HTTP_PORT": "9090",
            "MEMROLL_ALLOW_SURGE": "false",
            "HOME": "/x",
        }
    )
    assert (read.watch_namespaces, read.http_port, read.allow_surge) == (("ai", "web"), 9090, False)
    assert from_environment({"MEMROLL_HTTP_PORT": " "}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "0"),
        ("LEASE_SECONDS", "soon"),
        ("LOG_FORMAT", "xml"),
        ("ALLOW_ACTING", "maybe"),
        ("MAX_ROLLS_PER_HOUR", "-1"),
        ("MAX_NAMESPACE_SHARE", "0"),
    ],
)
def test_a_bad_setting_names_its_variable_and_value(name, value, capsys):
    with pytest.raises(ValidationError):
        from_environment({f"MEMROLL_{name}": value})
    assert operator.run({f"MEMROLL_{name}": value}) == 2
    assert f"memroll operator: MEMROLL_{name}='{value}'" in capsys.readouterr().err


def test_missing_connections_are_said_with_the_path(tmp_path, capsys):
    path = tmp_path / "nowhere.yaml"
    assert operator.run({"MEMROLL_CONNECTIONS_FILE": str(path)}) == 2
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize(("invoked_as", "name"), [("memroll", "memroll"), ("/x/kubectl-memroll", "kubectl memroll")])
def test_usage_speaks_of_the_name_it_was_called_by(invoked_as, name, capsys):
    with pytest.raises(SystemExit) as ended:
        run([invoked_as, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {name} ")


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit):
        run(["memroll", "--version"])
    assert capsys.readouterr().out == f"memroll {__version__}\n"


def test_the_crds_are_printed_or_written(tmp_path, capsys):
    assert run(["memroll", "crds"]) == 0
    assert capsys.readouterr().out.count("kind: CustomResourceDefinition") == 2
    assert run(["memroll", "crds", "--write", str(tmp_path)]) == 0
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == crd.files()
    assert run(["memroll", "crds", "--write", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_a_log_line_is_one_json_object(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("json", "INFO")
        logging.getLogger("memroll.test").info("roll", extra={"pod": 'a"b\n'})
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    line = json.loads(stream.getvalue())
    assert (line["level"], line["message"], line["pod"], line["logger"]) == ("INFO", "roll", 'a"b\n', "memroll.test")


async def test_metrics_health_and_readiness_are_served():
    trouble = {"healthy": "", "ready": "not watching yet"}
    app = http_server.application(Metrics().registry, lambda: trouble["healthy"], lambda: trouble["ready"])
    async with TestClient(TestServer(app)) as client:
        assert f'memroll_build_info{{version="{__version__}"}} 1.0' in await (await client.get("/metrics")).text()
        assert (await client.get("/healthz")).status == 200
        waiting = await client.get("/readyz")
        assert (waiting.status, await waiting.text()) == (503, "not watching yet\n")
        trouble["ready"] = ""
        assert (await client.get("/readyz")).status == 200


def body(generation: int, **meta: Any) -> kopf.Body:
    return kopf.Body({"metadata": {"uid": "u", "name": "n", "namespace": "ns", "generation": generation} | meta})


async def test_only_changes_of_the_spec_and_deletions_wake():
    """A status write of our own must not wake the pass that wrote it."""
    woken: list[tuple[str, str]] = []
    made = watch.registry({"memorypolicies": lambda *key: woken.append(key)})
    (handler,) = made._watching.get_all_handlers()
    changes = [(None, body(1)), ("MODIFIED", body(1)), ("MODIFIED", body(2)), ("MODIFIED", body(2))]
    for type_, seen in [*changes, ("DELETED", body(2)), ("ADDED", body(2))]:
        await handler.fn(type=type_, body=seen)
    assert woken == [("ns", "n")] * 4
