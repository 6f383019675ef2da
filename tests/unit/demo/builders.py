"""Observations and PodRolls of a demo, for the tests."""

from __future__ import annotations

from typing import Any

from memroll_demo import event_lines
from memroll_demo.observations import ServiceObservations

POD = "leaky-8588b666c8-z4mbn"


def successful_demo() -> dict[str, ServiceObservations]:
    return {
        "leaky": ServiceObservations(
            requests=7000, rolls=2, rolls_begun=2, usage_ratios=[0.68], verdict="leaks, limit in 41s"
        ),
        "leaky-fleet": ServiceObservations(
            requests=7000, rolls=5, rolls_begun=5, usage_ratios=[0.4, 0.92, 0.1], verdict="leaks"
        ),
        "highwater": ServiceObservations(requests=7000, usage_ratios=[0.85], verdict="healthy"),
        "warmup": ServiceObservations(requests=7000, usage_ratios=[0.67], verdict="healthy"),
        "control": ServiceObservations(
            requests=7000, failures=214, oom_kills=2, longest_outage_s=13.2, kinds={"TimeoutError": 214}, p99_ms=12
        ),
    }


def roll(pod: str = "langflow-like-84f-x", *, grown: Any = (), **status: Any) -> dict[str, Any]:
    evidence = {"probe": {"growth": [{"file": f, "line": n, "bytes": 3 * 2**20} for f, n in grown]}}
    return {
        "metadata": {"name": f"{pod}-1", "creationTimestamp": status.pop("created", "2026-01-01T00:00:00Z")},
        "spec": {"podName": pod},
        "status": {"phase": "Succeeded", "evidence": evidence} | status,
    }


def pod(name: str = POD, *, container: str = "c1", limit: str = "128Mi", **states: Any) -> dict[str, Any]:
    status = {"name": "app", "containerID": f"containerd://{container}"} | (states or {"state": {"running": {}}})
    return {
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": event_lines.service_of(name)}},
        "spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": limit}}}]},
        "status": {"containerStatuses": [status]},
    }


def killed(container: str, reason: str = "OOMKilled", where: str = "lastState") -> dict[str, Any]:
    return {where: {"terminated": {"reason": reason, "containerID": container}}}
