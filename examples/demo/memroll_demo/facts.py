"""What can be seen from outside while the demo runs: pods, rolls, memory, requests, OOM kills."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memroll_demo.site import CommandError
from memroll_demo.stage import CONTROL, LOAD, SERVICES, WATCHED

if TYPE_CHECKING:
    from memroll_demo.site import Site

TIMEOUT_S = 5.0


@dataclass
class Service:
    """What is known of one service so far."""

    requests: int = 0
    failures: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    longest_outage_s: float = 0.0
    shares: list[float] = field(default_factory=list)
    """Memory of each of its pods now, as a share of the limit."""
    verdict: str = ""
    rolls: int = 0
    rolls_failed: int = 0
    oom_kills: int = 0


class OomKills:
    """Counts OOM kills by two witnesses, also those of pods that are gone, and believes the one that saw more."""

    def __init__(self) -> None:
        self._containers: dict[str, set[str]] = defaultdict(set)
        self._events: dict[str, dict[str, float]] = defaultdict(dict)

    def see_pod(self, service: str, pod: dict[str, Any]) -> None:
        """Note the killed container instances in a pod's status: each has an ID of its own."""
        for status in pod.get("status", {}).get("containerStatuses", []):
            for state in (status.get("state", {}), status.get("lastState", {})):
                ended = state.get("terminated") or {}
                if ended.get("reason") == "OOMKilled":
                    self._containers[service].add(ended["containerID"])

    def see_event_count(self, service: str, container: str, count: float) -> None:
        """Note the kernel's count for one container's control group; it vanishes with the container."""
        known = self._events[service]
        known[container] = max(known.get(container, 0.0), count)

    def of(self, service: str) -> int:
        return max(len(self._containers[service]), int(sum(self._events[service].values())))


@dataclass
class Facts:
    """Everything seen so far; `look` adds what is to be seen now and returns what is new, in words."""

    site: Site
    services: dict[str, Service] = field(default_factory=lambda: {name: Service() for name in SERVICES})
    kills: OomKills = field(default_factory=OomKills)
    _phases: dict[str, str] = field(default_factory=dict)

    def look(self) -> list[str]:
        news = self._see_cluster()
        self._see_memory()
        self._see_oom_events()
        self._see_requests()
        for name, service in self.services.items():
            seen = self.kills.of(name)
            if seen > service.oom_kills:
                news.append(f"{name}: a container was OOM-killed")
            service.oom_kills = max(service.oom_kills, seen)
        return news

    def _see_cluster(self) -> list[str]:
        news: list[str] = []
        objects = self.site.get("pods,podrolls,mempol", WATCHED) + self.site.get("pods", CONTROL)
        rolls = [o for o in objects if o["kind"] == "PodRoll"]
        for found in objects:
            if found["kind"] == "Pod":
                self.kills.see_pod(found["metadata"]["labels"].get("app", ""), found)
            elif found["kind"] == "MemoryPolicy":
                self._see_policy(found)
        for roll in sorted(rolls, key=lambda r: r["metadata"]["creationTimestamp"]):
            news += self._see_roll(roll)
        for name, service in self.services.items():
            own = [r.get("status", {}).get("phase") for r in rolls if _service_of(r) == name]
            service.rolls = own.count("Succeeded")
            service.rolls_failed = own.count("Failed")
        return news

    def _see_roll(self, roll: dict[str, Any]) -> list[str]:
        name, status = roll["metadata"]["name"], roll.get("status", {})
        phase = status.get("phase", "")
        if not phase or self._phases.get(name) == phase:
            return []
        first = name not in self._phases
        self._phases[name] = phase
        pod = roll["spec"]["podName"]
        if first:
            return [f"rolling {pod}: {roll['spec'].get('reason', '')}"]
        newcomer = status.get("replacement", {}).get("name", "")
        words = {
            "Evicting": f"replacement {newcomer} is Ready: evicting {pod}",
            "Succeeded": f"rolled {pod}: {status.get('message', '')}",
            "Failed": f"NOT rolled {pod}: {status.get('message', '')}",
        }
        return [words[phase]] if phase in words else []

    def _see_policy(self, policy: dict[str, Any]) -> None:
        by_service: dict[str, list[str]] = defaultdict(list)
        for near in policy.get("status", {}).get("nearest", []):
            service = near["pod"].rsplit("-", 2)[0]
            left = near.get("timeToLimitSeconds")
            leak = f"leaks, limit in {left}s" if left is not None else "leaks"
            words = {"Breach": leak, "Healthy": "healthy", "Inconclusive": "not judged yet"}
            by_service[service].append(words.get(near["verdict"], ""))
        for name, verdicts in by_service.items():
            if name in self.services:
                self.services[name].verdict = verdicts[0]

    def _see_memory(self) -> None:
        query = f'container_memory_working_set_bytes{{namespace=~"{WATCHED}|{CONTROL}",container="app"}}'
        newest: dict[str, dict[str, float]] = defaultdict(dict)
        alive = self._alive()
        for labels, value in self._query(query):
            name = labels["pod"].rsplit("-", 2)[0]
            if name in self.services and labels.get("name", "") in alive:
                newest[name][labels["pod"]] = value / (128 * 2**20)
        for name, shares in newest.items():
            self.services[name].shares = [shares[pod] for pod in sorted(shares)]

    def _alive(self) -> set[str]:
        pods = self.site.get("pods", WATCHED) + self.site.get("pods", CONTROL)
        statuses = [s for p in pods for s in p.get("status", {}).get("containerStatuses", [])]
        return {s["containerID"].rpartition("/")[2] for s in statuses if "running" in s.get("state", {})}

    def _see_oom_events(self) -> None:
        for labels, value in self._query(
            f'container_oom_events_total{{namespace=~"{WATCHED}|{CONTROL}",container="app"}}'
        ):
            name = labels["pod"].rsplit("-", 2)[0]
            if value:
                self.kills.see_event_count(name, labels.get("name") or labels.get("id", ""), value)

    def _see_requests(self) -> None:
        try:
            lines = self.site.kubectl("logs", "load", "-n", LOAD, "--tail=1").splitlines()
            totals = json.loads(lines[-1]) if lines else {}
        except (CommandError, json.JSONDecodeError):
            return  # the next look sees the same totals and more
        for name, seen in totals.items():
            service = self.services[name]
            service.requests, service.failures = seen["requests"], seen["failures"]
            service.kinds, service.longest_outage_s = seen["kinds"], seen["longest_outage_s"]

    def _query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        url = f"{self.site.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': promql})}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the demo's own Prometheus
                found = json.load(answer)["data"]["result"]
        except OSError:
            return []
        return [(row["metric"], float(row["value"][1])) for row in found]


def _service_of(roll: dict[str, Any]) -> str:
    return str(roll["spec"].get("workload", {}).get("name") or roll["spec"]["podName"].rsplit("-", 2)[0])
