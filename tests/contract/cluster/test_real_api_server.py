"""Commands against a real API server: its own messages, selectors, reviews and patches."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from memroll import clock
from memroll.api.base import rfc3339
from memroll.cli import run
from memroll.clients.kube.event_recorder import CONTROLLER
from memroll.inspection.remedies import NOT_INSTALLED
from tests.contract.cluster.real_api_server import serving
from tests.unit.api.test_cel_checks import CASES, SELECTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contract.cluster.real_api_server import RealApiServer

POLICIES = """
apiVersion: memroll.dev/v1alpha1
kind: MemoryPolicy
metadata: {name: chat, namespace: ai, labels: {team: search}}
spec: {mode: Observe, selector: {matchLabels: {app: chat}}}
---
apiVersion: memroll.dev/v1alpha1
kind: MemoryPolicy
metadata: {name: web, namespace: ai}
spec: {mode: Enforce, selector: {matchLabels: {app: web}}}
"""
POD = """
apiVersion: v1
kind: Pod
metadata:
  name: chat-1
  namespace: ai
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: chat-5d, uid: 5d, controller: true}]
spec: {containers: [{name: app, image: x}]}
"""
EVENT = """
apiVersion: v1
kind: Event
metadata: {name: NAME, namespace: ai}
involvedObject: {kind: Pod, name: chat-1, namespace: ai}
reason: LeakConfirmed
message: leaks
type: Warning
lastTimestamp: "AT"
reportingComponent: REPORTER
reportingInstance: x
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealApiServer]:
    with serving(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def memroll(
    server: RealApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    def memroll(*arguments: str) -> tuple[int, str, str]:
        code = run(["memroll", *arguments, "--kubeconfig", server.kubeconfig])
        return code, *capsys.readouterr()

    return memroll


def test_commands_from_an_empty_cluster_to_the_first_roll(
    server: RealApiServer, memroll: Callable[..., tuple[int, str, str]]
) -> None:
    for command in ("status", "report", "plan", "suspend chat"):
        name = command.split(maxsplit=1)[0]
        assert memroll(*command.split()) == (1, "", f"memroll {name}: {NOT_INSTALLED}\n")

    server.install()
    server.apply(POLICIES)
    server.apply(POD)
    for name, reporter in (("ours", CONTROLLER), ("foreign", "kubelet")):
        event = EVENT.replace("NAME", name).replace("REPORTER", reporter).replace("AT", rfc3339(clock.now()))
        server.apply(event)

    code, out, _ = memroll("check", "-o", "json")
    found = {item["check"]: item["state"] for item in json.loads(out)}
    assert (code, found["cluster"], found["CRDs"], found["rights"]) == (1, "ok", "ok", "ok")
    assert found["operator"] == "failed", "none runs here"
    code, out, _ = memroll("check", "--as", "system:serviceaccount:memroll-system:memroll")
    assert "failed   the operator may not list memorypolicies.memroll.dev, " in out

    assert memroll("status", "-o", "name", "-l", "team=search")[1] == "memorypolicy.memroll.dev/chat\n"
    assert len(json.loads(memroll("events", "-o", "json")[1])) == 1
    code, _, err = memroll("status", "--as", "jo")
    assert (code, "'kubectl auth can-i list memorypolicies.memroll.dev' must answer yes" in err) == (1, True)

    assert memroll("suspend", "--all")[1].count(" suspended\n") == 2
    assert server.read("get", "mempol", "chat", "-o", "jsonpath={.spec.suspend},{.spec.mode}") == "true,Observe"
    assert memroll("resume", "chat")[0] == 0

    code, out, err = memroll("roll", "chat-1", "--reason", "by a test")
    assert (code, err) == (0, "")
    assert memroll("cancel", "chat-1")[1].endswith("canceled: the operator restores its pod\n")
    created = json.loads(server.read("get", "podrolls", "-o", "json"))["items"]
    assert [(r["spec"]["podName"], r["spec"]["reason"], r["spec"]["cancel"]) for r in created] == [
        ("chat-1", "by a test", True)
    ]


def test_the_api_server_refuses_the_policies_that_the_commands_refuse(server: RealApiServer) -> None:
    server.install()
    for message, spec in CASES:
        manifest = {
            "apiVersion": "memroll.dev/v1alpha1",
            "kind": "MemoryPolicy",
            "metadata": {"name": "refused", "namespace": "ai"},
            "spec": {"mode": "Observe", **SELECTOR, **spec},
        }
        with pytest.raises(subprocess.CalledProcessError) as caught:
            server.apply(json.dumps(manifest))
        assert message in caught.value.stderr.decode()
