"""A pod with a long answer under way is taken out of its Service first, and evicted when it is idle."""

from __future__ import annotations

import threading
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from typing import TYPE_CHECKING

from tests.soak.outcome import Case
from tests.soak.stage import APP, FINAL, until

if TYPE_CHECKING:
    from tests.soak.kube import Json
    from tests.soak.stage import Stage

STRICT = {"minAvailable": "100%"}
STREAM_S = 30
TIMEOUT_S = 120
IN_FLIGHT = {"metric": "demo_inflight_requests", "atMost": 0}


@dataclass
class Stream:
    """One answer that takes long, being read."""

    url: str
    lines: list[str] = field(default_factory=list)
    trouble: str = ""
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        until("the first line of the stream", lambda: self.lines or self.trouble, timeout_s=10)
        assert not self.trouble, self.trouble

    def wait(self) -> None:
        assert self._thread, "it was started"
        self._thread.join(STREAM_S + 10)

    def _run(self) -> None:
        try:
            with urllib.request.urlopen(f"{self.url}stream?seconds={STREAM_S}", timeout=10) as answer:
                for line in answer:
                    self.lines.append(line.decode())
        except (OSError, HTTPException) as error:
            self.trouble = f"{type(error).__name__} {error}"


def detached(drain: Json, stage: Stage) -> Json:
    """Roll a pod with a stream under way by this drain; return the PodRoll's status."""
    stage.deploy(1, STRICT, scraped)
    old = stage.oldest()["metadata"]["name"]
    stage.load()
    stream = Stream(stage.url())
    stream.start()
    roll = stage.roll(stage.oldest(), drain={"mode": "Detach", "timeout": f"{TIMEOUT_S}s", **drain})
    until("the drain", lambda: stage.phase(roll) in ("Draining", *FINAL))
    assert stage.phase(roll) == "Draining", stage.status(roll)
    until("new connections at the replacement only", lambda: served_by_others(stage, old))
    assert stream.lines, stream.trouble
    stream.wait()
    assert not stream.trouble, f"{stream.trouble} after {len(stream.lines)} lines"
    assert len(stream.lines) == STREAM_S
    assert all(line.strip().endswith(f"by {old}") for line in stream.lines)
    assert stage.phase(roll) == "Draining", "it was evicted before it was idle"
    status = stage.ended(roll)
    assert status["phase"] == "Succeeded", status
    assert not status["detachment"].get("skipped"), status["detachment"]
    stage.settled(1)
    return status


def scraped(template: Json) -> None:
    template["metadata"]["annotations"] = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}


def served_by_others(stage: Stage, old: str) -> bool:
    """Ask often enough that a pod that is still behind the Service would have answered."""
    url, seen = stage.url(), set()
    for _ in range(20):
        with urllib.request.urlopen(url, timeout=5) as answer:
            seen.add(answer.read().decode().split()[-1])
    return old not in seen


def for_a_time(stage: Stage, _: int) -> None:
    detached({"wait": f"{STREAM_S + 10}s"}, stage)


def until_idle(stage: Stage, _: int) -> None:
    times = detached({"wait": "5s", "until": IN_FLIGHT}, stage)["times"]
    draining, evicting = (datetime.fromisoformat(times[name]) for name in ("draining", "evicting"))
    assert (evicting - draining).total_seconds() < TIMEOUT_S - 10, "it was evicted by the timeout, not for being idle"


def skipped(stage: Stage, _: int) -> None:
    """A NetworkPolicy selects the pod by the Service's only label: without it the pod would be cut off, or exposed."""
    stage.deploy(1, STRICT)
    stage.load()
    spec = {"podSelector": {"matchLabels": {"app": APP}}, "policyTypes": ["Ingress"], "ingress": [{}]}
    stage.kube.create("networkpolicies", stage.namespace, {"metadata": {"name": "by-app"}, "spec": spec})
    roll = stage.roll(stage.oldest(), drain={"mode": "Detach", "wait": "5s", "timeout": "60s"})
    status = stage.ended(roll)
    assert status["phase"] == "Succeeded", status
    assert "NetworkPolicy" in status["detachment"]["skipped"], status["detachment"]
    stage.settled(1)


CASES = [
    Case("drained-for-a-time", for_a_time),
    Case("drained-until-idle", until_idle),
    Case("drain-skipped", skipped),
]
