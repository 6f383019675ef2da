"""Count OOM kills from pod statuses and from the kernel's counters, including pods that are gone."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


class OomKills:
    """OOM kills by service, from two sources. Each may miss kills, so the higher count is used."""

    def __init__(self) -> None:
        self._containers: dict[str, set[str]] = defaultdict(set)
        self._kernel_counts: dict[str, dict[str, float]] = defaultdict(dict)

    def count_pod(self, service: str, pod: dict[str, Any]) -> None:
        """Add the OOM-killed container instances of a pod's status; each instance has its own ID."""
        for status in pod.get("status", {}).get("containerStatuses", []):
            for state in (status.get("state", {}), status.get("lastState", {})):
                ended = state.get("terminated") or {}
                if ended.get("reason") == "OOMKilled":
                    self._containers[service].add(ended["containerID"])

    def count_events(self, service: str, container: str, count: float) -> None:
        """Record the kernel's count for one container's control group, because it disappears with the container."""
        counts = self._kernel_counts[service]
        counts[container] = max(counts.get(container, 0.0), count)

    def of(self, service: str) -> int:
        return max(len(self._containers[service]), int(sum(self._kernel_counts[service].values())))
