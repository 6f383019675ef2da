"""Plan of the rolls of a namespace: which pod would be rolled when, and the gate that blocks it until then.

`memroll plan` calls `plan_namespace`. Policies are examined and planned with the operator's own functions, the oldest
first; nothing is created.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.policy import Mode
from memroll.errors import MemrollError
from memroll.model.pod_names import workload_or_pod
from memroll.planning.plan import PACE_GATES
from memroll.planning.schedule import is_queued
from memroll.reconcile.examine import examine

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from memroll.api.policy import MemoryPolicy
    from memroll.detection.assess import SampleReader
    from memroll.inspection.operator_view import Inspected, NamespaceView
    from memroll.planning.candidate import Candidate
    from memroll.planning.gate_result import Gate
    from memroll.planning.plan import Plan

DRY_RUN_MESSAGE = "reported, and not rolled (mode: DryRun)"
"""Message of a pod that the policy would roll now in mode Enforce."""


@dataclass(frozen=True, slots=True)
class PlannedRoll:
    """Pod at risk, and the time of its roll."""

    policy: str
    candidate: Candidate
    gate: Gate | None = None
    """First gate that blocks the roll; None: it would be rolled now."""
    message: str = ""
    at: datetime | None = None
    """Time at which the roll begins at the latest, if nothing changes; None: not planned."""

    @property
    def workload(self) -> str:
        return workload_or_pod(self.candidate.pod)

    @property
    def is_now(self) -> bool:
        """True if no gate blocks: the next reconcile would roll the pod, or in mode DryRun report it."""
        return self.gate is None


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """Planned rolls of one policy."""

    policy: MemoryPolicy
    rolls: tuple[PlannedRoll, ...] = ()
    watched_pods: int = 0
    inconclusive_pods: int = 0
    shortfall: str = ""
    """Reason why not all pods can be rolled in time; empty if all can."""
    error: MemrollError | None = None
    """Error because of which the policy could not be examined."""


async def plan_namespace(
    view: NamespaceView, cluster: Inspected, samples: SampleReader, ahead: timedelta
) -> tuple[PolicyPlan, ...]:
    """Return the plan of each policy. An error of one policy does not hide the plans of the others."""
    return tuple([await _plan_policy(view, policy, cluster, samples, ahead) for policy in view.policies])


async def _plan_policy(
    view: NamespaceView, policy: MemoryPolicy, cluster: Inspected, samples: SampleReader, ahead: timedelta
) -> PolicyPlan:
    if policy.spec.suspend:
        return PolicyPlan(policy)
    snapshot = view.snapshot(policy)
    try:
        found = await examine(snapshot, cluster, samples)
        plan = await found.planner.preview()
    except MemrollError as error:
        return PolicyPlan(policy, error=error)
    inconclusive = {a.pod.key.uid for a in found.assessments if a.verdict.is_inconclusive}
    return PolicyPlan(
        policy,
        _planned_rolls(policy, plan, view.now, ahead),
        watched_pods=len(found.pods),
        inconclusive_pods=len(inconclusive),
        shortfall=plan.shortfall.message if plan.shortfall else "",
    )


def _planned_rolls(policy: MemoryPolicy, plan: Plan, now: datetime, ahead: timedelta) -> tuple[PlannedRoll, ...]:
    """Return the rolls of now, then the others by their time; those later than `ahead` are left out."""
    message = DRY_RUN_MESSAGE if policy.spec.mode is Mode.DRY_RUN else ""
    planned = [PlannedRoll(policy.name, c, message=message, at=now) for c in plan.rolls]
    for blocked in plan.blocked:
        waits = is_queued(blocked.candidate) and blocked.gate in PACE_GATES
        at = (blocked.candidate.latest_start or now) if waits else None  # one that is due has no later start
        if at is None or at <= now + ahead:
            planned.append(PlannedRoll(policy.name, blocked.candidate, blocked.gate, blocked.message, at))
    return tuple(sorted(planned, key=lambda p: (not p.is_now, p.at is None, p.at or now, p.candidate.urgency)))
