"""Hostile responses to the request for a memory report: each costs bounded time and memory, and fails no roll."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from memroll.clients.probe import ProbeClient
from memroll.controller.key import Key
from tests.builders import line, policy_json
from tests.fakes import FakeCluster, FakeEventRecorder, FakePrometheus
from tests.hostile_pods import HOSTILE_RESPONSES, REPORT, HostilePod, respond, respond_with_report, serve_pod
from tests.scenario.simulation import FAST, POLICY, controllers

SLACK_S = 0.5
PEAK_BYTES = 8 * 2**20


async def roll_pod(served: HostilePod, **spec: Any) -> tuple[dict[str, Any], FakeEventRecorder, float]:
    """Roll the served pod; return the PodRoll's status, the published Events, and the duration of the longest step."""
    cluster, recorder, longest_s = FakeCluster(1), FakeEventRecorder(), 0.0
    old = cluster.pods["leaky-1"]
    declared = tuple(replace(c, ports=(served.port,)) for c in old.containers)
    cluster.pods["leaky-1"] = replace(old, ip="127.0.0.1", containers=declared)
    evidence = {"http": {"port": served.port}, "timeout": "1s"} | spec
    cluster.policies_json["leaky"] = policy_json(FAST | {"evidence": evidence})
    prometheus = FakePrometheus({"id-leaky-1": line(0.5)})
    made = controllers(cluster, prometheus, events=recorder, reports=ProbeClient(is_allowed=lambda _: True))
    await made.policies.reconcile(POLICY)
    (name,) = cluster.rolls_json
    for _ in range(12):
        begun_s = time.monotonic()
        await made.rolls.reconcile(Key("demo", name))
        longest_s = max(longest_s, time.monotonic() - begun_s)
        cluster.settle()
    return cluster.rolls_json[name]["status"], recorder, longest_s


@pytest.mark.parametrize("kind", HOSTILE_RESPONSES)
async def test_a_hostile_response_costs_bounded_time_and_fails_no_roll(kind: str) -> None:
    writer, message = HOSTILE_RESPONSES[kind]
    async with serve_pod(writer) as served:
        tracemalloc.start()
        status, _, longest_s = await roll_pod(served)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert status["phase"] == "Succeeded"
    assert len(served.request_heads) == 1, "one request, without redirects"
    (missing,) = status["evidence"]["missing"]
    assert missing["section"] == "http"
    assert message in missing["reason"]
    assert "probe" not in status["evidence"]
    assert status["evidence"]["series"]["points"], "the other sections are captured"
    assert longest_s < 1 + SLACK_S
    assert peak_bytes < PEAK_BYTES


async def test_the_event_begins_with_the_lines_of_the_report() -> None:
    async with serve_pod(respond_with_report()) as served:
        status, recorder, _ = await roll_pod(served)
    found = status["evidence"]
    assert "missing" not in found or found["missing"] == []
    assert [(g["file"], g["line"], g["bytes"]) for g in found["probe"]["growth"]] == [
        ("app/cache.py", 42, 118 << 20),
        ("app/web.py", 7, 1 << 20),
    ]
    assert [t["type"] for t in found["probe"]["types"]] == ["app.cache.Entry"]
    assert found["logs"][0]["lines"] == ["started", "served password=[redacted]"]
    messages = {e.regarding.kind: e.message for e in recorder.events if e.reason.value == "EvidenceCaptured"}
    assert set(messages) == {"Pod", "Deployment", "MemoryPolicy", "PodRoll"}
    assert messages["Pod"].startswith(
        "app/cache.py:42 +118.0 MiB, app/web.py:7 +1.0 MiB; 9000 app.cache.Entry and rising"
    )
    head = served.request_heads[0].lower()
    assert head.startswith("get /debug/memory http/1.1\r\n")
    assert "accept-encoding: identity\r\n" in head
    assert not any(word in head for word in ("authorization", "cookie", "gzip"))


@pytest.mark.parametrize(
    "report",
    [
        pytest.param({"growth": [{"file": 'token=\\"' + "\\" * 180, "bytes": 7}] * 500}, id="runs of backslashes"),
        pytest.param(
            {"types": [{"type": "a", "count": 1, "rising": True, "referrers": ["x.a@" * 200] * 12}] * 25},
            id="long texts",
        ),
    ],
)
async def test_text_that_is_slow_to_redact_does_not_block_the_event_loop(report: dict[str, Any]) -> None:
    longest_s = 0.0

    async def tick() -> None:
        nonlocal longest_s
        while True:
            begun_s = time.monotonic()
            await asyncio.sleep(0.005)
            longest_s = max(longest_s, time.monotonic() - begun_s)

    async with serve_pod(respond_with_report(**report)) as served:
        ticking = asyncio.create_task(tick())
        status, _, _ = await roll_pod(served)
        ticking.cancel()
    assert status["phase"] == "Succeeded"
    assert "probe" in status["evidence"]
    assert longest_s < SLACK_S


async def test_the_environment_s_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    async with serve_pod(respond_with_report()) as served:
        status, _, _ = await roll_pod(served)
    assert status["evidence"]["probe"]["rssBytes"] == REPORT["process"]["rssBytes"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"ip": ""}, "no IP address of its own", id="a pod on its host's network"),
        pytest.param({"ip": "127.0.0.1", "containers": ()}, "declares TCP port", id="an undeclared port"),
    ],
)
async def test_a_pod_that_must_not_be_contacted_is_not(change: dict[str, Any], message: str) -> None:
    async with serve_pod(respond_with_report()) as served:
        cluster = FakeCluster(1)
        changed = replace(cluster.pods["leaky-1"], **change)
        status = await roll_by_hand(cluster, changed, served.port)
    assert served.request_heads == []
    assert any(message in m["reason"] for m in status["evidence"]["missing"])


async def roll_by_hand(cluster: FakeCluster, changed: Any, port: int) -> dict[str, Any]:
    """Roll a pod without a policy, up to the end of the capture."""
    cluster.pods["leaky-1"] = changed
    spec = {"podName": "leaky-1", "evidence": {"http": {"port": port}, "timeout": "1s"}}
    await cluster.create_roll("demo", {"metadata": {"name": "r", "namespace": "demo"}, "spec": spec})
    made = controllers(cluster, FakePrometheus({}), reports=ProbeClient(is_allowed=lambda _: True))
    for _ in range(2):
        await made.rolls.reconcile(Key("demo", "r"))
    return dict(cluster.rolls_json["r"]["status"])


@pytest.mark.parametrize(
    "ip", ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "::ffff:127.0.0.1", "224.0.0.1", "0.0.0.0"]
)
async def test_addresses_that_belong_to_no_pod_are_never_contacted(ip: str) -> None:
    async with serve_pod(respond(b"{}")) as served:
        with pytest.raises(Exception, match="can't be a pod's own address"):
            await ProbeClient().fetch_report(ip, served.port, "/", 1.0)
    assert served.request_heads == []
