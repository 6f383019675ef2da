"""A pod that is asked for its report answers as badly as it can: it costs its time, little memory, and no roll."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from memroll.clients.probe import PodReports
from memroll.controller.controllers import Passes
from memroll.controller.workqueue import Key
from memroll.reporting.metrics import Metrics
from tests.builders import at, line, policy_json
from tests.fakes import FakeCluster, FakePrometheus, Log
from tests.hostile import HOSTILE, REPORT, Pod, pod, report, saying

SLACK_S = 0.5
PEAK_BYTES = 8 * 2**20
FAST: dict[str, Any] = {
    "mode": "Enforce",
    "selector": {"matchLabels": {"app": "leaky"}},
    "interval": "5s",
    "growth": {"perHour": "50%", "window": "60s", "warmUp": "20s", "persist": "10s"},
    "roll": {"cooldown": "0s", "replacementTimeout": "60s"},
}


async def rolled(served: Pod, **spec: Any) -> tuple[dict[str, Any], Log, float]:
    """Roll the pod that is served; return the record's status, what was told, and how long the longest step took."""
    cluster, log, longest_s = FakeCluster(1), Log(), 0.0
    old = cluster.pods["leaky-1"]
    declared = tuple(replace(c, ports=(served.port,)) for c in old.containers)
    cluster.pods["leaky-1"] = replace(old, ip="127.0.0.1", containers=declared)
    evidence = {"http": {"port": served.port}, "timeout": "1s"} | spec
    cluster.policies_json["leaky"] = policy_json(FAST | {"evidence": evidence})
    passes = Passes(
        cluster=cluster,
        prometheus=FakePrometheus({"id-leaky-1": line(0.5)}),
        recorder=log,
        metrics=Metrics(),
        leads=lambda: True,
        wake_roll=lambda _: None,
        wake_policy=lambda _: None,
        now=lambda: at(cluster.seconds),
        reports=PodReports(allowed=lambda _: True),
    )
    await passes.over_policy(Key("demo", "leaky"))
    (name,) = cluster.rolls_json
    for _ in range(12):
        begun_s = time.monotonic()
        await passes.over_roll(Key("demo", name))
        longest_s = max(longest_s, time.monotonic() - begun_s)
        cluster.settle()
    return cluster.rolls_json[name]["status"], log, longest_s


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_pod_that_answers_badly_costs_its_time_and_no_roll(kind: str) -> None:
    answer, words = HOSTILE[kind]
    async with pod(answer) as served:
        tracemalloc.start()
        status, _, longest_s = await rolled(served)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert status["phase"] == "Succeeded"
    assert len(served.asked) == 1, "it is asked once, and nothing is followed"
    (missing,) = status["evidence"]["missing"]
    assert missing["part"] == "http"
    assert words in missing["reason"]
    assert "probe" not in status["evidence"]
    assert status["evidence"]["series"]["points"], "what else there is, is had"
    assert longest_s < 1 + SLACK_S
    assert peak_bytes < PEAK_BYTES


async def test_a_report_comes_first_in_the_event_and_names_the_line() -> None:
    async with pod(report()) as served:
        status, log, _ = await rolled(served)
    found = status["evidence"]
    assert "missing" not in found or found["missing"] == []
    assert [(g["file"], g["line"], g["bytes"]) for g in found["probe"]["growth"]] == [
        ("app/cache.py", 42, 118 << 20),
        ("app/web.py", 7, 1 << 20),
    ]
    assert [t["type"] for t in found["probe"]["types"]] == ["app.cache.Entry"]
    assert found["logs"][0]["lines"] == ["started", "served password=[redacted]"]
    told = {e.regarding.kind: e.message for e in log.events if e.reason.value == "EvidenceCaptured"}
    assert set(told) == {"Pod", "Deployment", "MemoryPolicy", "PodRoll"}
    assert told["Pod"].startswith("app/cache.py:42 +118.0 MiB, app/web.py:7 +1.0 MiB; 9000 app.cache.Entry and rising")
    head = served.asked[0].lower()
    assert head.startswith("get /debug/memory http/1.1\r\n")
    assert "accept-encoding: identity\r\n" in head
    assert not any(word in head for word in ("authorization", "cookie", "gzip"))


async def test_the_environment_s_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    async with pod(report()) as served:
        status, _, _ = await rolled(served)
    assert status["evidence"]["probe"]["rssBytes"] == REPORT["process"]["rssBytes"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"ip": ""}, "no address of its own", id="a pod on its host's network"),
        pytest.param({"ip": "127.0.0.1", "containers": ()}, "declares TCP port", id="a port that nobody declares"),
    ],
)
async def test_a_pod_that_may_not_be_asked_is_not(change: dict[str, Any], words: str) -> None:
    async with pod(report()) as served:
        cluster = FakeCluster(1)
        asked = replace(cluster.pods["leaky-1"], **change)
        status = await by_hand(cluster, asked, served.port)
    assert served.asked == []
    assert any(words in m["reason"] for m in status["evidence"]["missing"])


async def by_hand(cluster: FakeCluster, asked: Any, port: int) -> dict[str, Any]:
    """Roll a pod without a policy, to the end of the capture."""
    cluster.pods["leaky-1"] = asked
    spec = {"podName": "leaky-1", "evidence": {"http": {"port": port}, "timeout": "1s"}}
    await cluster.create_roll("demo", {"metadata": {"name": "r", "namespace": "demo"}, "spec": spec})
    passes = Passes(
        cluster=cluster,
        prometheus=FakePrometheus({}),
        recorder=Log(),
        metrics=Metrics(),
        leads=lambda: True,
        wake_roll=lambda _: None,
        wake_policy=lambda _: None,
        now=lambda: at(cluster.seconds),
        reports=PodReports(allowed=lambda _: True),
    )
    for _ in range(2):
        await passes.over_roll(Key("demo", "r"))
    return dict(cluster.rolls_json["r"]["status"])


@pytest.mark.parametrize(
    "ip", ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "::ffff:127.0.0.1", "224.0.0.1", "0.0.0.0"]
)
async def test_addresses_that_are_no_pod_s_are_never_asked(ip: str) -> None:
    async with pod(saying(b"{}")) as served:
        with pytest.raises(Exception, match="can't be a pod's own address"):
            await PodReports().report(ip, served.port, "/", 1.0)
    assert served.asked == []
