"""Result of a scan: a finding for each container of each workload, and what could not be assessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.detection.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from memroll.model.pod_names import WorkloadName
    from memroll.model.pods import ObjectRef


@dataclass(frozen=True, slots=True)
class Finding:
    """One container of a workload, by its pod with the worst verdict. Bytes, seconds and bytes per second."""

    namespace: str
    workload: WorkloadName
    controller: ObjectRef | None
    container: str
    pod: str
    verdict: Verdict
    is_at_risk: bool
    message: str
    usage_bytes: float | None
    limit_bytes: int | None
    growth_bytes_per_s: float | None
    time_to_limit_s: float | None
    started_at: datetime | None
    revision: str
    """Template hash or revision of the pod; empty if its controller sets none."""
    image: str
    pods: int
    """Number of running pods of the workload with this container."""
    pods_at_risk: int
    oom_killed_pods: int
    """Number of these pods whose container was OOM-killed before it was restarted."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Namespace, workload and container."""
        return self.namespace, str(self.workload), self.container

    @property
    def is_notable(self) -> bool:
        """True if the container leaks, is suspected, or was OOM-killed."""
        return self.is_at_risk or self.verdict is Verdict.SUSPECTED or self.oom_killed_pods > 0

    @property
    def usage_ratio(self) -> float | None:
        """Ratio of the usage to the limit."""
        return None if self.usage_bytes is None or not self.limit_bytes else self.usage_bytes / self.limit_bytes


@dataclass(frozen=True, slots=True)
class NotAssessed:
    """Containers of a namespace that could not be assessed for one reason."""

    namespace: str
    reason: str
    containers: int


@dataclass(frozen=True, slots=True)
class PastLeak:
    """Replay of a workload's container over the recorded history."""

    instances: int
    """Number of container instances in the history."""
    replayed: int
    """Number of those that were replayed."""
    oom_kills: int
    """Number of replayed instances that were OOM-killed."""
    kills_avoided: int
    """Number of those that a policy would have rolled before."""
    rolls: int
    """Number of rolls of a policy."""
    wasted_ratio: float | None
    """Median ratio of their lifetime that rolling early would have given up; None without an avoided kill."""
    since_s: float | None
    """Earliest time at which a leak that was reported later was suspected, in seconds since the epoch; None if none
    was reported."""
    since_pod: str = ""
    """Pod in which it was suspected first."""
    since_revision: str = ""
    """Template hash in the name of that pod; empty if its name has none."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Findings of a scan, the most urgent first."""

    now: datetime
    namespaces: int
    pods: int
    containers: int
    findings: tuple[Finding, ...]
    not_assessed: tuple[NotAssessed, ...]
    past: Mapping[tuple[str, str, str], PastLeak] = field(default_factory=dict)
    """Replays, by the key of the finding."""

    @property
    def notable(self) -> tuple[Finding, ...]:
        """Findings that leak, are suspected, or were OOM-killed."""
        return tuple(f for f in self.findings if f.is_notable)

    @property
    def not_assessed_count(self) -> int:
        """Number of containers that could not be assessed."""
        return sum(item.containers for item in self.not_assessed)
