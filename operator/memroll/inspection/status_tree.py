"""State of policies as a tree: policy, workload, pod. Built from what the operator has written, nothing is assessed.

`memroll status` passes in the policies, their PodRolls and the workloads of the pods. Without the permission to list
pods, the workload of a pod is derived from its name.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.conditions import ABNORMAL, PENDING, ConditionStatus, ConditionType
from memroll.api.pod_roll import Phase
from memroll.api.quantity import format_mib, humanize_duration
from memroll.model.pod_names import workload_from_pod_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from memroll.api.conditions import Condition
    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import AtRiskPod, MemoryPolicy

NOT_RECONCILED = "not reconciled yet: 'memroll check' finds out whether the operator runs"
"""Message of a policy without status."""


@dataclass(frozen=True, slots=True)
class PodNode:
    """Container that is close to its limit, with the roll of its pod that is in progress."""

    found: AtRiskPod
    roll: PodRoll | None = None

    @property
    def usage(self) -> str:
        """Usage and limit as text; empty without samples."""
        usage, limit = self.found.usage_bytes, self.found.limit_bytes
        if usage is None:
            return ""
        return f"{format_mib(usage)} of {format_mib(limit)} ({usage / limit:.0%})" if limit else format_mib(usage)

    @property
    def growth(self) -> str:
        """Growth per hour as text; empty if it is not known."""
        growth = self.found.growth_bytes_per_hour
        return "" if growth is None else f"{growth / 2**20:+.1f} MiB/h"

    @property
    def time_to_limit(self) -> str:
        """Time to the limit as text; empty if the container is not at risk."""
        left_s = self.found.time_to_limit_seconds
        return "" if left_s is None else humanize_duration(left_s)

    @property
    def state(self) -> str:
        """Roll in progress, else the gate that blocks, else the reason of the verdict."""
        if self.roll is not None:
            return f"rolling: {self.roll.status.phase or Phase.ANNOUNCED} (PodRoll {self.roll.name})"
        blocked = self.found.blocked_by
        if blocked is not None:
            others = f"; also by {', '.join(blocked.others)}" if blocked.others else ""
            return f"blocked by {blocked.gate}: {blocked.message}{others}"
        return self.found.reason


@dataclass(frozen=True, slots=True)
class WorkloadNode:
    """Workload with those of its containers that the status of the policy has."""

    name: str
    pods: tuple[PodNode, ...]


@dataclass(frozen=True, slots=True)
class PolicyNode:
    """Policy with its workloads."""

    policy: MemoryPolicy
    workloads: tuple[WorkloadNode, ...]

    @property
    def mode(self) -> str:
        """Mode of the policy, or that it is suspended."""
        return "suspended" if self.policy.spec.suspend else self.policy.spec.mode.value

    @property
    def ready(self) -> Condition | None:
        """Condition `Ready`; None while the operator has not seen the policy."""
        conditions = (c for c in self.policy.status.conditions if c.reason != PENDING)
        return next((c for c in conditions if c.type is ConditionType.READY), None)

    @property
    def message(self) -> str:
        """Message of the condition `Ready`."""
        return self.ready.message if self.ready else NOT_RECONCILED

    @property
    def is_ready(self) -> bool:
        """True if the last reconcile succeeded."""
        return self.ready is not None and self.ready.status is ConditionStatus.TRUE

    @property
    def warnings(self) -> tuple[Condition, ...]:
        """Conditions that require attention."""
        return tuple(
            c for c in self.policy.status.conditions if c.type in ABNORMAL and c.status is ConditionStatus.TRUE
        )

    @property
    def is_at_risk(self) -> bool:
        """True if a pod is at risk, by the last reconcile."""
        return self.policy.status.pods.at_risk > 0


def build_tree(
    policies: Iterable[MemoryPolicy], rolls: Iterable[PodRoll], workloads: Mapping[tuple[str, str], str]
) -> tuple[PolicyNode, ...]:
    """Build the tree of these policies. `workloads`: name of the workload by namespace and pod, as far as known."""
    active = {(r.namespace, r.spec.pod_name): r for r in rolls if r.active}
    return tuple(_policy_node(policy, active, workloads) for policy in policies)


def _policy_node(
    policy: MemoryPolicy, active: Mapping[tuple[str, str], PodRoll], workloads: Mapping[tuple[str, str], str]
) -> PolicyNode:
    grouped: dict[str, list[PodNode]] = defaultdict(list)
    for found in policy.status.at_risk:
        key = policy.namespace, found.pod
        grouped[workloads.get(key) or workload_from_pod_name(found.pod)].append(PodNode(found, active.get(key)))
    return PolicyNode(policy, tuple(WorkloadNode(name, tuple(pods)) for name, pods in grouped.items()))
