"""Commands without a cluster, without memroll, without rights: one line with the remedy, and no traceback."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.contract.cluster.commands import assert_one_line, execute
from tests.contract.cluster.fake_api import Fault

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
PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "args": [], "interactiveMode": "Never"}
KUBECONFIGS = {
    "broken YAML": ("{a: [", "no usable kubeconfig"),
    "an empty file": ("", "no usable kubeconfig"),
    "a list": ("[1]", "no usable kubeconfig"),
    "a removed provider": (
        CLUSTER | {"users": [{"name": "a", "user": {"auth-provider": {"name": "gcp"}}}]},
        "no usable kubeconfig",
    ),
    "a missing plugin": (
        CLUSTER | {"users": [{"name": "a", "user": {"exec": PLUGIN | {"command": "/nowhere/plugin"}}}]},
        "/nowhere/plugin",
    ),
    "a plugin that fails": (
        CLUSTER | {"users": [{"name": "a", "user": {"exec": PLUGIN | {"command": "false"}}}]},
        "exec: process returned 1",
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
    ended = await execute(capsys, "report", "--kubeconfig", two_contexts, "--context", "other", "--as", "jo")
    assert ended.code == 0, ended.err
    assert all("/namespaces/ai/" in path for path in server.calls("GET"))
    assert server.users == {"jo"}
    assert (await execute(capsys, "report", "--kubeconfig", two_contexts, "--context", "third")).code == 1
