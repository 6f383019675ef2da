"""Commands without a cluster, without memroll, without rights: one line with the remedy, and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from aiohttp import web

from tests.contract.cluster.commands import assert_one_line, execute
from tests.contract.cluster.fake_api import Fault
from tests.texts import ROOT

if TYPE_CHECKING:
    from tests.contract.cluster.fake_api import FakeApi

COMMANDS = (
    "report -n ai",
    "status -n ai",
    "explain chat-1 -n ai",
    "plan -n ai",
    "events -n ai",
    "roll chat-1 -n ai",
    "cancel chat-1 -n ai",
    "suspend chat -n ai",
    "resume chat -n ai",
    "check",
)
"""Commands that use the cluster."""
CLUSTER = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "a",
    "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:9"}}],
    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
}
HINT = "Get it\n"
SHOUT = ["-c", "echo s3cr3t; echo no login >&2; echo token=s3cr3t >&2; exit 3"]
PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "args": [], "interactiveMode": "Never"}
KUBECONFIGS = {
    "broken YAML": ("{a: [", "no usable kubeconfig"),
    "an empty file": ("", "no usable kubeconfig"),
    "a list": ("[1]", "no usable kubeconfig"),
    "a text": ("hello", "kubeconfig: not a kubeconfig, must have clusters and contexts"),
    "bytes": ("a\0b", "kubeconfig: not valid YAML in UTF-8"),
    "deep nesting": ("[" * 5000, "kubeconfig: nested too deeply"),
    "no context": (CLUSTER | {"current-context": None}, "choose one with --context"),
    "a misspelt context": (CLUSTER | {"current-context": "aa"}, "no context 'aa'. Did you mean 'a'?"),
    "a missing cluster": (CLUSTER | {"clusters": []}, "has the cluster 'a', which is not in the file"),
    "a missing user": (CLUSTER | {"users": None}, "has the user 'a', which is not in the file"),
    "no server": (CLUSTER | {"clusters": [{"name": "a"}]}, "the server of cluster 'a' must be a URL"),
    "a server with a password": (
        CLUSTER | {"clusters": [{"name": "a", "cluster": {"server": "https://me:s3cr3t@127.0.0.1:9"}}]},
        "must not hold a user or password",
    ),
    "an invalid certificate": (
        CLUSTER | {"users": [{"name": "a", "user": {"client-certificate-data": "aGk=", "client-key-data": "aGk="}}]},
        "a certificate or key is not valid",
    ),
    "an invalid variable of a plugin": (
        CLUSTER | {"users": [{"name": "a", "user": {"exec": PLUGIN | {"command": "true", "env": [{"a": "s3cr3t"}]}}}]},
        "Expected key name",
    ),
    "a removed provider": (
        CLUSTER | {"users": [{"name": "a", "user": {"auth-provider": {"name": "gcp"}}}]},
        "no usable kubeconfig",
    ),
    "a missing plugin": (
        CLUSTER | {"users": [{"name": "a", "user": {"exec": PLUGIN | {"command": "/nowhere/a", "installHint": HINT}}}]},
        "the credential plugin /nowhere/a is not installed: Get it: set KUBECONFIG",
    ),
    "a plugin that fails": (
        CLUSTER | {"users": [{"name": "a", "user": {"exec": PLUGIN | {"command": "false"}}}]},
        "the credential plugin ended with 1",
    ),
    "a plugin that prints a secret": (
        CLUSTER | {"users": [{"name": "a", "user": {"exec": PLUGIN | {"command": "sh", "args": SHOUT}}}]},
        "the credential plugin ended with 3: token=[redacted]",
    ),
    "a plugin that prints no JSON": (
        CLUSTER | {"users": [{"name": "a", "user": {"exec": PLUGIN | {"command": "echo", "args": ["s3cr3t"]}}}]},
        "credential plugin: failed to decode process output",
    ),
    "a missing context": (CLUSTER | {"current-context": "b", "users": []}, "no usable kubeconfig"),
    "a missing certificate": (
        CLUSTER | {"users": [{"name": "a", "user": {"client-certificate": "/nowhere/a", "client-key": "/nowhere/b"}}]},
        "/nowhere/a",
    ),
}


@pytest.fixture(autouse=True)
def outside_of_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.mark.parametrize("name", KUBECONFIGS)
async def test_an_unusable_kubeconfig_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, words = KUBECONFIGS[name]
    file = tmp_path / "kubeconfig"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    ended = await execute(capsys, "report", "--kubeconfig", str(file))
    assert_one_line(ended, 1, "report")
    assert words in ended.err
    assert "set KUBECONFIG, or --kubeconfig and --context" in ended.err
    assert "s3cr3t" not in ended.err


HANGING_PLUGIN = """
import sys
from memroll.cli import run
from memroll.clients.kube import connection
connection.PLUGIN_TIMEOUT_S = 0.2
sys.exit(run(sys.argv[1:]))
"""
"""A command in a process of its own: asyncio keeps the process of the plugin until its garbage is collected."""


def test_a_plugin_that_hangs_is_not_awaited_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    user = {"exec": PLUGIN | {"command": "sleep", "args": ["60"]}}
    file.write_text(yaml.safe_dump(CLUSTER | {"users": [{"name": "a", "user": user}]}))
    with subprocess.Popen(
        [sys.executable, "-c", HANGING_PLUGIN, "memroll", "report", "--kubeconfig", str(file)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "operator")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        printed = process.stderr.readline()
        os.killpg(process.pid, signal.SIGKILL)  # with the plugin
    assert printed.startswith("memroll report: ")
    assert "the credential plugin did not end" in printed


async def test_blank_options_are_those_that_are_not_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    ended = await execute(capsys, "report", "--kubeconfig", "", "--context", "", "--as", "")
    assert_one_line(ended, 1, "report")
    assert "~/.kube/config does not exist" in ended.err


RESPONSES = {
    "a login page": (200, "text/html", "<html>Log in</html>", "a proxy or a login page may have responded"),
    "another API": (200, "application/json", "{}", "a proxy or a login page may have responded"),
    "a page without access": (401, "text/html", "<html>secret-token</html>", "log in again"),
    "an echo of the token": (403, "text/plain", "no access: Bearer secret-token", "no access: Bearer ***"),
    "a page that is missing": (404, "text/html", "<html>404</html>", "memroll is not installed"),
    "a proxy": (502, "text/html", "<html>Bad gateway</html>", "a proxy or a login page may have responded"),
}
"""Status, type and text of a response that is not of an API server, and the remedy."""


@pytest.mark.parametrize("name", RESPONSES)
async def test_a_server_that_is_no_api_server_is_reported(
    name: str, kubeconfig: str, server: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    status, kind, text, remedy = RESPONSES[name]

    async def respond(_: web.Request, __: Fault) -> web.Response:
        return web.Response(status=status, content_type=kind, text=text)

    server._fail = respond  # type: ignore[method-assign]
    server.faults.append(Fault("any", times=99))
    ended = await execute(capsys, "status", "-n", "ai", "--kubeconfig", kubeconfig)
    assert_one_line(ended, 1, "status")
    assert remedy in ended.err
    assert "secret-token" not in ended.err
    assert "<html>" not in ended.err


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_missing_kubeconfig_has_a_remedy(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = await execute(capsys, *command.split(), "--kubeconfig", "/nowhere/config")
    assert_one_line(ended, 1, command.split(maxsplit=1)[0])
    assert "/nowhere/config does not exist: set KUBECONFIG" in ended.err


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_cluster_that_does_not_respond(
    command: str, kubeconfig: str, server: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    await server.stop()
    ended = await execute(capsys, *command.split(), "--kubeconfig", kubeconfig)
    assert_one_line(ended, 1, command.split(maxsplit=1)[0])
    assert "check that the cluster runs" in ended.err


REFUSALS = {
    "404": ("the server could not find the requested resource", "memroll is not installed in this cluster"),
    "401": ("Unauthorized", "log in again, or use another --context"),
    "403": (
        'x is forbidden: User "jo" cannot list resource "memorypolicies" in API group "memroll.dev"',
        "'kubectl auth can-i list memorypolicies.memroll.dev' must answer yes",
    ),
    "500": ("etcd is down", "try again"),
}
"""Message of the API server, and the remedy, by the status of the response."""


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_refusal_of_the_api_server_has_a_remedy(
    command: str, status: str, kubeconfig: str, server: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    message, remedy = REFUSALS[status]
    if status == "404" and command.startswith(("events", "roll", "check")):
        return  # the first request is for Events, for a pod or for the version, which every cluster has
    if status == "403" and command == "check":
        return  # it reports all that is forbidden
    server.faults.append(Fault(status, times=99, message=message))
    ended = await execute(capsys, *command.split(), "--kubeconfig", kubeconfig)
    assert_one_line(ended, 1, command.split(maxsplit=1)[0])
    assert remedy in ended.err
    assert "/apis/" not in ended.err


AS_JO = ("--as", "jo", "--as-group", "dev", "--as-group", "ops")


@pytest.mark.parametrize("arguments", [["--as-group", "dev"], ["--as", "a\nb"], ["--connections", "/nowhere/x"]])
async def test_an_invalid_argument_is_reported_before_the_cluster_is_used(
    arguments: list[str], kubeconfig: str, server: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = await execute(capsys, "plan", "--kubeconfig", kubeconfig, *arguments)
    assert_one_line(ended, 2, "plan")
    assert server.requests == []


@pytest.fixture
def two_contexts(kubeconfig: str, tmp_path: Path) -> str:
    """Return a kubeconfig whose current context does not exist, with two that do."""
    content = yaml.safe_load(Path(kubeconfig).read_text())
    content["contexts"].append({"name": "other", "context": {"cluster": "fake", "user": "fake", "namespace": "ai"}})
    file = tmp_path / "two"
    file.write_text(yaml.safe_dump(content | {"current-context": "none"}))
    return str(file)


async def test_the_context_and_the_impersonated_user_are_used(
    two_contexts: str, server: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = await execute(capsys, "report", "--kubeconfig", two_contexts, "--context", "other", *AS_JO)
    assert ended.code == 0, ended.err
    assert all("/namespaces/ai/" in path for path in server.calls("GET"))
    assert server.users == {"jo"}
    assert server.groups == {("dev", "ops")}
    assert (await execute(capsys, "report", "--kubeconfig", two_contexts, "--context", "third")).code == 1
