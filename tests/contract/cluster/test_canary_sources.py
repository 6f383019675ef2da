"""No command prints a secret, wherever it comes from: plugin, proxy, URL, token file, or a file that is invalid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.builders import policy_json
from tests.contract.cluster.commands import execute
from tests.contract.cluster.fake_api import Fault
from tests.contract.prometheus.scripted_server import ScriptedServer
from tests.scenario.simulation import FAST

if TYPE_CHECKING:
    from tests.contract.cluster.fake_api import FakeApi
    from tests.contract.prometheus.scripted_server import Exchange

CANARY = "c4n4ry"
PLUGIN = f"""#!/bin/sh
echo '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {{"token": "{CANARY}"}}}}'
"""
COMMANDS = (
    "status -n demo",
    "explain chat-1 -n demo",
    "plan -n demo",
    "events -n demo",
    "check",
    "roll chat-1 -n demo",
    "cancel chat-1 -n demo",
    "suspend leaky -n demo",
    "resume leaky -n demo",
    "report -n demo",
)
QUERYING = ("explain chat-1 -n demo", "plan -n demo", "check", "backtest -n demo")


@pytest.fixture(autouse=True)
def outside_of_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBERNETES_SERVICE_HOST", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def use_plugin(kubeconfig: Path, called: dict[str, str]) -> None:
    content = yaml.safe_load(kubeconfig.read_text())
    content["users"][0]["user"] = {"exec": called}
    kubeconfig.write_text(yaml.safe_dump(content))


async def assert_silent(capsys: pytest.CaptureFixture[str], words: str, *arguments: str) -> None:
    """Assert that a command reports an error with these words, and nothing secret."""
    ended = await execute(capsys, *arguments)
    assert ended.code in (1, 2) or arguments[0] == "check", ended  # it skips what is forbidden
    assert words in ended.out + ended.err
    assert CANARY not in ended.out + ended.err


@pytest.mark.parametrize("status", ["401", "403", "500"])
@pytest.mark.parametrize("command", COMMANDS)
async def test_the_token_of_a_plugin_that_a_server_repeats(
    command: str, status: str, kubeconfig: str, server: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(PLUGIN)
    plugin.chmod(0o755)
    called = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    use_plugin(Path(kubeconfig), called)
    server.faults.append(Fault(status, times=999, message=f"refused: Bearer {CANARY}"))
    await assert_silent(capsys, "Bearer ***", *command.split(), "--kubeconfig", kubeconfig)
    assert set(server.tokens) == {f"Bearer {CANARY}"}


@pytest.mark.parametrize("address", [f"http://me:{CANARY}@127.0.0.1:9", f"me:{CANARY}@127.0.0.1:9", f"::{CANARY}@"])
async def test_the_password_of_a_proxy(
    address: str, kubeconfig: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", address)
    monkeypatch.setenv("http_proxy", address)
    await assert_silent(capsys, "check the proxy", "status", "-n", "demo", "--kubeconfig", kubeconfig)


@pytest.mark.parametrize("command", QUERYING)
async def test_the_password_in_the_url_of_prometheus(
    command: str, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = () if command.startswith("backtest") else ("--kubeconfig", kubeconfig)
    url = f"https://me:{CANARY}@127.0.0.1:9"
    await assert_silent(capsys, "must not hold a user or password", *command.split(), *cluster, "--prometheus", url)


def echo(exchange: Exchange) -> None:
    exchange.send(403, f"<html>{exchange.headers.get('Authorization')}</html>")


FILES = {
    "a token that the server repeats": (
        "connections: {{default: {{url: '{url}', authorization: {{credentialsFile: '{token}'}}}}}}",
        "does not permit POST",
    ),
    "a password instead of a file": (
        "connections: {{default: {{url: '{url}', basicAuth: {{username: me, password: " + CANARY + "}}}}}}",
        "basicAuth.password: Extra inputs are not permitted",
    ),
    "a URL with a password": (
        "connections: {{default: {{url: 'http://me:" + CANARY + "@x'}}}}",
        "must not hold a user or password",
    ),
    "broken YAML": ("connections: [" + CANARY, "not valid YAML in line 1"),
    "an invalid header": (
        "connections: {{default: {{url: '{url}', headers: {{X-Key: ['" + CANARY + "']}}}}}}",
        "headers.X-Key: Input should be a valid string",
    ),
}
"""Connections file, and words of the message."""


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", QUERYING)
async def test_the_secrets_of_a_connection(
    command: str, name: str, kubeconfig: str, server: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.add("/apis/memroll.dev/v1alpha1/namespaces/demo/memorypolicies", policy_json(FAST))
    pod = {"metadata": {"name": "chat-1", "uid": "u", "labels": {"app": "leaky"}}, "status": {"phase": "Running"}}
    server.add("/api/v1/namespaces/demo/pods", pod | {"spec": {"containers": [{"name": "app"}]}})
    server.documents["/version"] = {"gitVersion": "v1.35.4"}
    content, words = FILES[name]
    (tmp_path / "token").write_text(CANARY)
    file = tmp_path / "connections.yaml"
    cluster = () if command.startswith("backtest") else ("--kubeconfig", kubeconfig)
    with ScriptedServer([echo]) as prometheus:
        file.write_text(content.format(url=prometheus.url, token=tmp_path / "token"))
        await assert_silent(capsys, words, *command.split(), *cluster, "--connections", str(file))


@pytest.mark.parametrize("command", ["operator", "cleanup", "plan -n demo"])
@pytest.mark.parametrize("content", [f"a: [{CANARY}", f"{{namespace: !!python/x {CANARY}}}", f"{CANARY}"])
async def test_a_settings_file_that_is_another_file(
    command: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(content)
    await assert_silent(capsys, "settings.yaml", *command.split(), "--settings-file", str(file))
