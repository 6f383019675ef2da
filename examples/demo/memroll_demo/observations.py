"""Observe a running demo from outside: pods, rolls, memory, requests and OOM kills."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memroll_demo import event_lines
from memroll_demo.cluster import CommandError
from memroll_demo.oom import OomKills

if TYPE_CHECKING:
    from memroll_demo.scenario import DemoScenario

TIMEOUT_S = 5.0
AT_RISK = ("Leaking", "Exhausting")
"""Verdicts of a pod that will be rolled before its limit."""
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass
class ServiceObservations:
    """Observations of one service so far."""

    requests: int = 0
    failures: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    longest_outage_s: float = 0.0
    p99_ms: int = 0
    slowest_ms: int = 0
    usage_ratios: list[float] = field(default_factory=list)
    """Current ratio of memory to limit, one per pod."""
    verdict: str = ""
    rolls: int = 0
    rolls_failed: int = 0
    rolls_begun: int = 0
    """Number of all PodRolls, in any phase."""
    oom_kills: int = 0


@dataclass
class Observations:
    """All observations of a demo so far."""

    scenario: DemoScenario
    services: dict[str, ServiceObservations] = field(init=False)
    _kills: OomKills = field(default_factory=OomKills)
    _phases: dict[str, str] = field(default_factory=dict)
    _leaking: set[str] = field(default_factory=set)
    _unreported_failures: dict[str, int] = field(default_factory=dict)
    _unreachable: bool = False
    _limits: dict[str, int] = field(default_factory=dict)
    """Memory limit of each running container, by its ID."""

    def __post_init__(self) -> None:
        self.services = {name: ServiceObservations() for name in self.scenario.services}

    def observe(self) -> list[str]:
        """Add the current state of cluster and load; return lines for the new events."""
        try:
            lines = self._observe_cluster()
            self._unreachable = False
        except CommandError as error:
            # One failed request must not end the demo; the next observation includes everything.
            lines = [] if self._unreachable else [event_lines.describe_unreachable(error)]
            self._unreachable = True
        self._observe_memory()
        self._observe_oom_events()
        for name, service in self.services.items():
            killed = self._kills.of(name)
            lines += [event_lines.describe_oom_kill(name)] * (killed - service.oom_kills)
            service.oom_kills = killed
        return lines + self._observe_requests()

    def _observe_cluster(self) -> list[str]:
        scenario, cluster = self.scenario, self.scenario.cluster
        objects = cluster.get("pods,podrolls,mempol", scenario.watched) + cluster.get("pods", scenario.control)
        by_kind: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for obj in objects:
            by_kind[obj["kind"]].append(obj)
        self._observe_pods(by_kind["Pod"])
        leaks = [line for policy in by_kind["MemoryPolicy"] for line in self._observe_policy(policy)]
        return leaks + self._observe_rolls(by_kind["PodRoll"])

    def _observe_pods(self, pods: list[dict[str, Any]]) -> None:
        self._limits = {}
        for pod in pods:
            self._kills.count_pod(pod["metadata"]["labels"].get("app", ""), pod)
            self._limits |= limits_of_running(pod)

    def _observe_rolls(self, rolls: list[dict[str, Any]]) -> list[str]:
        for name, service in self.services.items():
            own = [r for r in rolls if event_lines.service_of(r["spec"]["podName"]) == name]
            phases = [r.get("status", {}).get("phase") for r in own]
            service.rolls, service.rolls_failed = phases.count("Succeeded"), phases.count("Failed")
            service.rolls_begun = len(phases)
        in_order = sorted(rolls, key=lambda r: r["metadata"]["creationTimestamp"])
        return [line for roll in in_order for line in self._observe_roll(roll) if line]

    def _observe_roll(self, roll: dict[str, Any]) -> list[str]:
        name, phase = roll["metadata"]["name"], roll.get("status", {}).get("phase", "")
        before = self._phases.get(name)
        if not phase or before == phase:
            return []
        self._phases[name] = phase
        return ([] if before else [event_lines.describe_roll_start(roll)]) + [event_lines.describe_phase(roll)]

    def _observe_policy(self, policy: dict[str, Any]) -> list[str]:
        lines: list[str] = []
        by_service: dict[str, list[str]] = defaultdict(list)
        for pod in policy.get("status", {}).get("atRisk", []):
            by_service[event_lines.service_of(pod["pod"])].append(describe_verdict(pod))
            if pod["verdict"] in AT_RISK and pod["pod"] not in self._leaking:
                self._leaking.add(pod["pod"])
                lines.append(event_lines.describe_leak(pod))
        for name, verdicts in by_service.items():
            if name in self.services:
                self.services[name].verdict = verdicts[0]
        return lines

    def _observe_memory(self) -> None:
        by_service: dict[str, dict[str, float]] = defaultdict(dict)
        for labels, value in self._query("container_memory_working_set_bytes"):
            limit = self._limits.get(labels.get("name", ""))
            if limit:
                by_service[event_lines.service_of(labels["pod"])][labels["pod"]] = value / limit
        for name, usage_ratios in by_service.items():
            if name in self.services:
                self.services[name].usage_ratios = [usage_ratios[pod] for pod in sorted(usage_ratios)]

    def _observe_oom_events(self) -> None:
        for labels, value in self._query("container_oom_events_total"):
            if value:
                container = labels.get("name") or labels.get("id", "")
                self._kills.count_events(event_lines.service_of(labels["pod"]), container, value)

    def _observe_requests(self) -> list[str]:
        try:
            lines = self.scenario.cluster.kubectl("logs", "load", "-n", self.scenario.load, "--tail=1").splitlines()
            totals = json.loads(lines[-1]) if lines else {}
        except (CommandError, json.JSONDecodeError):
            return []  # totals accumulate: the next observation includes these
        return [line for name, of_service in totals.items() for line in self._observe_load(name, of_service)]

    def _observe_load(self, name: str, totals: dict[str, Any]) -> list[str]:
        """Record the totals of one service; report failed requests once no further ones fail."""
        service = self.services[name]
        failed = totals["failures"] - service.failures
        service.requests, service.failures, service.kinds = totals["requests"], totals["failures"], totals["kinds"]
        service.longest_outage_s = totals["longest_outage_s"]
        service.p99_ms, service.slowest_ms = totals["p99_ms"], totals["slowest_ms"]
        unreported = self._unreported_failures
        if failed:
            unreported[name] = unreported.get(name, 0) + failed
            return []
        return [event_lines.describe_failed_requests(name, unreported.pop(name))] if name in unreported else []

    def _query(self, metric: str) -> list[tuple[dict[str, str], float]]:
        promql = f'{metric}{{namespace=~"{self.scenario.watched}|{self.scenario.control}",container="app"}}'
        url = f"{self.scenario.cluster.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': promql})}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 - the demo's own Prometheus
                rows = json.load(response)["data"]["result"]
        except (OSError, ValueError):
            return []
        return [(row["metric"], float(row["value"][1])) for row in rows]


def describe_verdict(pod: dict[str, Any]) -> str:
    """Return a verdict in a few words, for the timeline."""
    remaining = pod.get("timeToLimitSeconds")
    if pod["verdict"] in AT_RISK:
        return f"leaks, limit in {remaining}s" if remaining is not None else "leaks"
    return {"Healthy": "healthy", "Suspected": "suspected", "Inconclusive": "inconclusive"}.get(pod["verdict"], "")


def limits_of_running(pod: dict[str, Any]) -> dict[str, int]:
    """Return the memory limit of each running container, by its ID: label `name` of its series."""
    limits = {c["name"]: c.get("resources", {}).get("limits", {}).get("memory", "") for c in pod["spec"]["containers"]}
    return {
        status["containerID"].rpartition("/")[2]: as_bytes(limits[status["name"]])
        for status in pod.get("status", {}).get("containerStatuses", [])
        if "running" in status.get("state", {})
    }


def as_bytes(quantity: str) -> int:
    """Parse a memory quantity as written by the API server: whole numbers, binary units."""
    unit = UNITS.get(quantity[-2:])
    return int(quantity[:-2]) * unit if unit else int(quantity or 0)
