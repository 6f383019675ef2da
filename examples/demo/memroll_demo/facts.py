"""What can be seen from outside while the demo runs: pods, rolls, memory, requests, OOM kills."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memroll_demo import news
from memroll_demo.oom import OomKills
from memroll_demo.site import CommandError

if TYPE_CHECKING:
    from memroll_demo.stage import Stage

TIMEOUT_S = 5.0
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass
class Service:
    """What is known of one service so far."""

    requests: int = 0
    failures: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    longest_outage_s: float = 0.0
    p99_ms: int = 0
    slowest_ms: int = 0
    shares: list[float] = field(default_factory=list)
    """Memory of each of its pods now, as a share of the limit."""
    verdict: str = ""
    rolls: int = 0
    rolls_failed: int = 0
    rolls_begun: int = 0
    """All PodRolls, whatever became of them."""
    oom_kills: int = 0


@dataclass
class Facts:
    """Everything seen so far; `look` adds what is to be seen now and returns what is new, in words."""

    stage: Stage
    services: dict[str, Service] = field(init=False)
    _kills: OomKills = field(default_factory=OomKills)
    _phases: dict[str, str] = field(default_factory=dict)
    _leaking: set[str] = field(default_factory=set)
    _losing: dict[str, int] = field(default_factory=dict)
    _blind: bool = False
    _limits: dict[str, int] = field(default_factory=dict)
    """The memory limit of each running container instance."""

    def __post_init__(self) -> None:
        self.services = {name: Service() for name in self.stage.services}

    def look(self) -> list[str]:
        try:
            seen = self._see_cluster()
            self._blind = False
        except CommandError as error:
            # One answer that fails must not end the run; the next look sees the same and more.
            seen = [] if self._blind else [news.blind(error)]
            self._blind = True
        self._see_memory()
        self._see_oom_events()
        for name, service in self.services.items():
            killed = self._kills.of(name)
            seen += [news.oom_killed(name)] * (killed - service.oom_kills)
            service.oom_kills = killed
        return seen + self._see_requests()

    def _see_cluster(self) -> list[str]:
        stage, site = self.stage, self.stage.site
        objects = site.get("pods,podrolls,mempol", stage.watched) + site.get("pods", stage.control)
        by_kind: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for found in objects:
            by_kind[found["kind"]].append(found)
        self._see_pods(by_kind["Pod"])
        told = [words for policy in by_kind["MemoryPolicy"] for words in self._see_policy(policy)]
        return told + self._see_rolls(by_kind["PodRoll"])

    def _see_pods(self, pods: list[dict[str, Any]]) -> None:
        self._limits = {}
        for pod in pods:
            self._kills.see_pod(pod["metadata"]["labels"].get("app", ""), pod)
            self._limits |= limits_of_running(pod)

    def _see_rolls(self, rolls: list[dict[str, Any]]) -> list[str]:
        for name, service in self.services.items():
            own = [r.get("status", {}).get("phase") for r in rolls if news.service_of(r["spec"]["podName"]) == name]
            service.rolls, service.rolls_failed = own.count("Succeeded"), own.count("Failed")
            service.rolls_begun = len(own)
        in_order = sorted(rolls, key=lambda r: r["metadata"]["creationTimestamp"])
        return [words for roll in in_order for words in self._see_roll(roll) if words]

    def _see_roll(self, roll: dict[str, Any]) -> list[str]:
        name, phase = roll["metadata"]["name"], roll.get("status", {}).get("phase", "")
        before = self._phases.get(name)
        if not phase or before == phase:
            return []
        self._phases[name] = phase
        return ([] if before else [news.roll_announced(roll)]) + [news.roll_moved(roll)]

    def _see_policy(self, policy: dict[str, Any]) -> list[str]:
        told: list[str] = []
        by_service: dict[str, list[str]] = defaultdict(list)
        for near in policy.get("status", {}).get("nearest", []):
            by_service[news.service_of(near["pod"])].append(words_of(near))
            if near["verdict"] == "Breach" and near["pod"] not in self._leaking:
                self._leaking.add(near["pod"])
                told.append(news.leak_told(near))
        for name, verdicts in by_service.items():
            if name in self.services:
                self.services[name].verdict = verdicts[0]
        return told

    def _see_memory(self) -> None:
        newest: dict[str, dict[str, float]] = defaultdict(dict)
        for labels, value in self._query("container_memory_working_set_bytes"):
            limit = self._limits.get(labels.get("name", ""))
            if limit:
                newest[news.service_of(labels["pod"])][labels["pod"]] = value / limit
        for name, shares in newest.items():
            if name in self.services:
                self.services[name].shares = [shares[pod] for pod in sorted(shares)]

    def _see_oom_events(self) -> None:
        for labels, value in self._query("container_oom_events_total"):
            if value:
                container = labels.get("name") or labels.get("id", "")
                self._kills.see_event_count(news.service_of(labels["pod"]), container, value)

    def _see_requests(self) -> list[str]:
        try:
            lines = self.stage.site.kubectl("logs", "load", "-n", self.stage.load, "--tail=1").splitlines()
            totals = json.loads(lines[-1]) if lines else {}
        except (CommandError, json.JSONDecodeError):
            return []  # the next look sees the same totals and more
        return [words for name, seen in totals.items() for words in self._see_load(name, seen)]

    def _see_load(self, name: str, seen: dict[str, Any]) -> list[str]:
        """Take over the totals of one service; tell of lost requests when no more are being lost."""
        service = self.services[name]
        lost = seen["failures"] - service.failures
        service.requests, service.failures, service.kinds = seen["requests"], seen["failures"], seen["kinds"]
        service.longest_outage_s = seen["longest_outage_s"]
        service.p99_ms, service.slowest_ms = seen["p99_ms"], seen["slowest_ms"]
        if lost:
            self._losing[name] = self._losing.get(name, 0) + lost
            return []
        return [news.requests_lost(name, self._losing.pop(name))] if name in self._losing else []

    def _query(self, metric: str) -> list[tuple[dict[str, str], float]]:
        promql = f'{metric}{{namespace=~"{self.stage.watched}|{self.stage.control}",container="app"}}'
        url = f"{self.stage.site.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': promql})}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the demo's own Prometheus
                found = json.load(answer)["data"]["result"]
        except (OSError, ValueError):
            return []
        return [(row["metric"], float(row["value"][1])) for row in found]


def words_of(near: dict[str, Any]) -> str:
    """Say a verdict in a few words."""
    left = near.get("timeToLimitSeconds")
    leak = f"leaks, limit in {left}s" if left is not None else "leaks"
    if near.get("reason") == "Suspected":
        return "suspected"
    return {"Breach": leak, "Healthy": "healthy", "Inconclusive": "not judged yet"}.get(near["verdict"], "")


def limits_of_running(pod: dict[str, Any]) -> dict[str, int]:
    """Return the memory limit of each running container, by the ID that its series carry as `name`."""
    limits = {c["name"]: c.get("resources", {}).get("limits", {}).get("memory", "") for c in pod["spec"]["containers"]}
    return {
        status["containerID"].rpartition("/")[2]: as_bytes(limits[status["name"]])
        for status in pod.get("status", {}).get("containerStatuses", [])
        if "running" in status.get("state", {})
    }


def as_bytes(quantity: str) -> int:
    """Read a memory quantity as the API server writes it: whole numbers, binary units."""
    unit = UNITS.get(quantity[-2:])
    return int(quantity[:-2]) * unit if unit else int(quantity or 0)
