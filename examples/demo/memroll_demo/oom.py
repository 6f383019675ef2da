"""OOM kills, counted from pods' statuses and from the kernel's events, also those of pods that are gone."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


class OomKills:
    """Counts by two witnesses, and believes the one that saw more."""

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
