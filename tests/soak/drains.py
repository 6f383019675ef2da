"""A pod with a long response in flight is first detached from its Service, and evicted when it is idle."""

from __future__ import annotations

import threading
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from typing import TYPE_CHECKING

from tests.soak.cases import SoakCase
from tests.soak.roll_scenario import APP, FINAL, wait_until

if TYPE_CHECKING:
    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

STRICT_BUDGET = {"minAvailable": "100%"}
STREAM_S = 30
TIMEOUT_S = 120
IN_FLIGHT = {"metric": "demo_inflight_requests", "maxValue": 0}


@dataclass
class Stream:
    """Response of 30 s that a thread reads."""

    url: str
    lines: list[str] = field(default_factory=list)
    error: str = ""
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_until("the first line of the stream", lambda: self.lines or self.error, timeout_s=10)
        assert not self.error, self.error

    def wait(self) -> None:
        assert self._thread, "not started"
        self._thread.join(STREAM_S + 10)

    def _run(self) -> None:
        try:
            with urllib.request.urlopen(f"{self.url}stream?seconds={STREAM_S}", timeout=10) as response:
                for line in response:
                    self.lines.append(line.decode())
        except (OSError, HTTPException) as error:
            self.error = f"{type(error).__name__} {error}"


def run_drain(drain: Json, scenario: RollScenario) -> Json:
    """Roll a pod with a stream in flight and this drain; return the PodRoll's status."""
    scenario.deploy(1, STRICT_BUDGET, enable_scraping)
    old = scenario.get_oldest_pod()["metadata"]["name"]
    scenario.start_load()
    stream = Stream(scenario.get_service_url())
    stream.start()
    spec = {"mode": "Detach", "timeout": f"{TIMEOUT_S}s", **drain}
    roll = scenario.create_roll(scenario.get_oldest_pod(), drain=spec)
    wait_until("the drain", lambda: scenario.get_phase(roll) in ("Draining", *FINAL))
    assert scenario.get_phase(roll) == "Draining", scenario.get_roll_status(roll)
    wait_until("new connections at the replacement only", lambda: is_served_by_others(scenario, old))
    assert stream.lines, stream.error
    stream.wait()
    assert not stream.error, f"{stream.error} after {len(stream.lines)} lines"
    assert len(stream.lines) == STREAM_S
    assert all(line.strip().endswith(f"by {old}") for line in stream.lines)
    assert scenario.get_phase(roll) == "Draining", "evicted before it was idle"
    status = scenario.wait_until_ended(roll)
    assert status["phase"] == "Succeeded", status
    assert not status["detachment"].get("skipped"), status["detachment"]
    scenario.wait_until_settled(1)
    return status


def enable_scraping(template: Json) -> None:
    template["metadata"]["annotations"] = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}


def is_served_by_others(scenario: RollScenario, old: str) -> bool:
    """Send enough requests that a pod that is still an endpoint of the Service would have served one."""
    url, pods = scenario.get_service_url(), set()
    for _ in range(20):
        with urllib.request.urlopen(url, timeout=5) as response:
            pods.add(response.read().decode().split()[-1])
    return old not in pods


def drain_for_a_time(scenario: RollScenario, _: int) -> None:
    run_drain({"minDuration": f"{STREAM_S + 10}s"}, scenario)


def drain_until_idle(scenario: RollScenario, _: int) -> None:
    times = run_drain({"minDuration": "5s", "until": IN_FLIGHT}, scenario)["times"]
    draining, evicting = (datetime.fromisoformat(times[name]) for name in ("draining", "evicting"))
    assert (evicting - draining).total_seconds() < TIMEOUT_S - 10, "evicted by the timeout, not because it was idle"


def skip_drain(scenario: RollScenario, _: int) -> None:
    """Select the pod by the Service's only label in a NetworkPolicy: a detached pod would be isolated, or exposed."""
    scenario.deploy(1, STRICT_BUDGET)
    scenario.start_load()
    spec = {"podSelector": {"matchLabels": {"app": APP}}, "policyTypes": ["Ingress"], "ingress": [{}]}
    scenario.kube.create("networkpolicies", scenario.namespace, {"metadata": {"name": "by-app"}, "spec": spec})
    drain = {"mode": "Detach", "minDuration": "5s", "timeout": "60s"}
    roll = scenario.create_roll(scenario.get_oldest_pod(), drain=drain)
    status = scenario.wait_until_ended(roll)
    assert status["phase"] == "Succeeded", status
    assert "NetworkPolicy" in status["detachment"]["skipped"], status["detachment"]
    scenario.wait_until_settled(1)


CASES = [
    SoakCase("drained-for-a-time", drain_for_a_time),
    SoakCase("drained-until-idle", drain_until_idle),
    SoakCase("drain-skipped", skip_drain),
]
