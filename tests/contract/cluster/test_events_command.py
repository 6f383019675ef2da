"""`memroll events` against the fake API server."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from memroll import clock
from memroll.clients.kube.event_recorder import CONTROLLER
from tests.contract.cluster.commands import execute

if TYPE_CHECKING:
    from tests.contract.cluster.fake_api import FakeApi


def event(name: str, minutes_ago: float, **fields: Any) -> dict[str, Any]:
    at = (clock.now() - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "metadata": {"name": name},
        "reportingComponent": CONTROLLER,
        "lastTimestamp": at,
        "type": "Normal",
        "reason": "LeakConfirmed",
        "involvedObject": {"kind": "Pod", "name": "chat-1"},
        "message": "leaks",
        "count": 1,
    } | fields


@pytest.fixture
def events(server: FakeApi, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    path = "/api/v1/namespaces/ai/events"
    server.add(path, event("new", 2, count=3))
    server.add(path, event("older", 30, type="Warning", involvedObject={"kind": "Deployment", "name": "chat"}))
    server.add(path, event("old", 90))
    server.add(path, event("foreign", 1, reportingComponent="kubelet"))
    server.add(path, event("odd", 1, lastTimestamp="soon", metadata={"name": "odd", "creationTimestamp": "never"}))
    server.add("/api/v1/namespaces/web/events", event("other", 3))
    return server


async def test_events_of_the_last_hour_are_shown_the_oldest_first(
    events: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = await execute(capsys, "events", "-n", "ai", "--kubeconfig", kubeconfig)
    assert (ended.code, ended.err) == (0, "")
    header, older, new = ended.out.splitlines()
    assert header.split() == ["AGE", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert older.split() == ["30m", "Warning", "LeakConfirmed", "Deployment/chat", "leaks"]
    assert new.split() == ["2m", "(x3)", "Normal", "LeakConfirmed", "Pod/chat-1", "leaks"]
    assert "fieldSelector=reportingComponent" in events.calls("GET", "/events")[0]


@pytest.mark.parametrize(("about", "count"), [("deployment/chat", 1), ("chat", 1), ("chat-1", 2), ("nothing", 0)])
async def test_the_events_of_one_object_are_shown(
    about: str, count: int, events: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--since", "3h", "-o", "json", "--kubeconfig", kubeconfig)
    ended = await execute(capsys, "events", about, "-n", "ai", *arguments)
    assert len(json.loads(ended.out)) == count


async def test_all_namespaces_have_a_column(
    events: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = await execute(capsys, "events", "-A", "--kubeconfig", kubeconfig)
    assert [line.split()[0] for line in ended.out.splitlines()] == ["NAMESPACE", "ai", "web", "ai"]


async def test_without_events_there_is_a_hint(
    events: FakeApi, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = await execute(capsys, "events", "-n", "none", "--kubeconfig", kubeconfig)
    assert (ended.code, ended.out) == (0, "")
    assert "--since 1d" in ended.err
