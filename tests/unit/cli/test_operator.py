"""`memroll operator`: configuration errors end the process with a message, and no secret is printed or logged."""

from __future__ import annotations

import importlib
import json

import pytest

from memroll.cli import run

CANARY = "c4n4ry-s3cr3t"


@pytest.fixture(autouse=True)
def outside_of_a_cluster(monkeypatch, tmp_path):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "0"),
        ("LEASE_SECONDS", "soon"),
        ("LOG_FORMAT", "xml"),
        ("ALLOW_ACTING", "maybe"),
        ("MAX_ROLLS_PER_HOUR", "-1"),
        ("MAX_NAMESPACE_SHARE", "0"),
        ("NAMESPACE_QUOTA", "half"),
    ],
)
@pytest.mark.parametrize("command", ["operator", "cleanup"])
def test_the_message_for_an_invalid_setting_names_variable_and_value(command, name, value, capsys, monkeypatch):
    monkeypatch.setenv(f"MEMROLL_{name}", value)
    assert run(["memroll", command]) == 2
    assert f"memroll {command}: MEMROLL_{name}='{value}': " in capsys.readouterr().err


def test_the_message_for_an_invalid_flag_names_it(capsys):
    assert run(["memroll", "operator", "--http-port", "x"]) == 2
    assert "memroll operator: --http-port='x': " in capsys.readouterr().err


def test_the_message_for_a_missing_connections_file_names_its_path(tmp_path, capsys, monkeypatch):
    path = tmp_path / "nowhere.yaml"
    monkeypatch.setenv("MEMROLL_CONNECTIONS_FILE", str(path))
    assert run(["memroll", "operator"]) == 2
    assert f"memroll operator: {path}: No such file or directory" in capsys.readouterr().err


def connections(folder, text):
    (folder / "secret").write_text(CANARY)
    file = folder / "connections.yaml"
    file.write_text(text.format(secret=folder / "secret"))
    return str(file)


VALID = """
connections:
  default: {{url: "http://prometheus", authorization: {{credentialsFile: "{secret}"}}}}
  other: {{url: "http://prometheus", basicAuth: {{username: x, passwordFile: "{secret}"}}}}
"""
INVALID = """
connections:
  default: {{url: "http://user:c4n4ry-s3cr3t@prometheus"}}
"""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_the_settings_are_logged_at_the_start_with_their_origin_and_no_secret(log_format, tmp_path, capfd, monkeypatch):
    settings = tmp_path / "settings.yaml"
    settings.write_text("maxRollsPerHour: 7\n")
    monkeypatch.setenv("MEMROLL_PASSWORD", CANARY)
    monkeypatch.setenv("MEMROLL_LOG_FORMAT", log_format)
    file = connections(tmp_path, VALID)
    arguments = ("--connections-file", file, "--settings-file", str(settings))
    assert run(["memroll", "operator", *arguments]) == 1
    logged = capfd.readouterr().err
    line = next(found for found in logged.splitlines() if "settings: " in found)
    assert f"max_rolls_per_hour=7 ({settings}: maxRollsPerHour)" in line
    assert f"log_format='{log_format}' (MEMROLL_LOG_FORMAT)" in line
    assert f"connections_file='{file}' (--connections-file)" in line
    if log_format == "json":
        assert json.loads(line)["settings"]["max_rolls_per_hour"] == 7
        assert json.loads(line)["settings"]["lease_name"] == "memroll"
    assert "NoCluster" in logged
    assert CANARY not in logged


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("connections.yaml", INVALID),
        ("settings.yaml", f"password: {CANARY}\n"),
        ("settings.yaml", f"a: [{CANARY}\n"),
        ("settings.yaml", f"{CANARY}\n"),
    ],
)
def test_an_invalid_file_is_refused_without_its_secrets(name, content, tmp_path, capfd, monkeypatch):
    file = tmp_path / name
    file.write_text(content)
    monkeypatch.setenv("MEMROLL_CONNECTIONS_FILE", connections(tmp_path, VALID) if name[0] == "s" else str(file))
    option = ("--settings-file", str(file)) if name[0] == "s" else ()
    assert run(["memroll", "operator", *option]) == 2
    printed = capfd.readouterr()
    assert str(file) in printed.err
    assert CANARY not in printed.out + printed.err


@pytest.mark.parametrize("command", ["operator", "cleanup"])
def test_a_bug_is_logged_with_its_traceback(command, tmp_path, capfd, monkeypatch):
    async def fail(*_):
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(importlib.import_module(f"memroll.cli.{command}"), "_run", fail)
    monkeypatch.setenv("MEMROLL_CONNECTIONS_FILE", connections(tmp_path, VALID))
    assert run(["memroll", command]) == 1
    logged = capfd.readouterr().err
    assert "bug of memroll" in logged
    assert "ZeroDivisionError: odd" in logged
    assert "Traceback" in logged
