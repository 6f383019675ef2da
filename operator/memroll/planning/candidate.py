"""Pods that may have to be rolled, and the context in which the gates evaluate them.

`reconcile.examine` builds a `Candidate` for each pod at risk and one `Context` per reconcile; the schedule, the gates
and the plan read both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.model.permissions import ALL_PERMISSIONS, Permissions
from memroll.planning.rate_limit import DEFAULT_RATE_LIMIT, RollRateLimit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from memroll.api.policy import PolicySpec
    from memroll.detection.verdict import ContainerVerdict
    from memroll.model.pods import ObjectRef, Pod, PodKey, Workload
    from memroll.model.roll_duration import RollDurations
    from memroll.model.roll_record import RollRecord
    from memroll.planning.plan_index import PlanIndex
    from memroll.planning.rate_limit import RecentRolls

    PodGroup = ObjectRef | PodKey


@dataclass(frozen=True, slots=True)
class Candidate:
    """Pod at risk, with the verdict of its most urgent container and what the schedule found out about it."""

    pod: Pod
    container: str
    verdict: ContainerVerdict
    limit_bytes: int | None
    workload: Workload | None = None
    """Workload of the pod, looked up only if the pod may be due; None for a pod without a controller."""
    unreadable_because: str = ""
    """Reason why the workload can't be read, or empty."""
    hash_selector: str = ""
    """Object that selects the pod by its template hash, as text; empty if none does. Looked up with the workload."""
    latest_start: datetime | None = None
    """Latest time to begin the roll, given the peers and the maintenance windows; None if it is not scheduled."""
    advanced_because: str = ""
    """Reason why it is due before its own deadline; empty if it is not."""
    holds_up_queue: bool = False
    """True if a later roll of this pod would make a peer behind it in the queue miss its deadline."""
    outside_window_because: str = ""
    """Reason why it is rolled outside the maintenance windows; empty if it is not."""

    evicted_because: str = ""
    """Reason why it is evicted although it is not Ready or its workload is in a rollout; empty if it is not."""
    is_held_at_limit: bool = False
    """True if it is near its limit and not rolled because it is not Ready or its workload is in a rollout."""

    roll_duration_s: float | None = None
    """Expected duration of the roll, in seconds; None before the plan."""
    known_start_s: float | None = None
    """Time that pods of its workload take to become Ready, in seconds; None if it is not known."""

    @property
    def group(self) -> PodGroup:
        """Controller, whose pods are rolled one after the other; the pod itself if it has none."""
        return self.pod.controller or self.pod.key

    @property
    def due(self) -> bool:
        """True if the pod must be rolled now."""
        return self.verdict.due or bool(self.advanced_because)

    @property
    def can_advance(self) -> bool:
        """True if the pod may be rolled before its own deadline: a leak that is not due only for its remaining time.

        A pod within its lead time that is not due has failed a check; the schedule must not override that.
        """
        verdict, lead_s = self.verdict, self.verdict.lead_time_s
        if verdict.due or not verdict.is_confirmed_leak or verdict.time_to_limit_s is None or lead_s is None:
            return False
        return verdict.time_to_limit_s > lead_s

    @property
    def urgency(self) -> tuple[float, datetime, str]:
        """Sort key: seconds to the limit (infinite without one), then age, then name. The smallest is rolled first.

        Without the age, pods that were just replaced could come before older ones again and again.
        """
        return self.verdict.remaining_s, self.pod.created_at, self.pod.key.name


@dataclass(frozen=True, slots=True)
class Context:
    """Input of the gates besides the candidate: one snapshot for each reconcile."""

    policy: str
    spec: PolicySpec
    rolls: tuple[RollRecord, ...]
    """All PodRolls of the namespace: budgets, cooldowns and concurrency are counted from them."""
    now: datetime
    roll_durations: RollDurations
    namespace_annotations: Mapping[str, str] = field(default_factory=dict)
    permissions: Permissions = ALL_PERMISSIONS
    planned: tuple[Candidate, ...] = ()
    """Candidates that are rolled already when the plan begins."""
    is_leader: bool = True
    """True if this process holds the Lease."""
    candidates: tuple[Candidate, ...] = ()
    """All candidates of the reconcile, due or not."""
    healthy: frozenset[str] = frozenset()
    """UIDs of the pods whose watched containers are all healthy and past their warm-up."""
    rate_limit: RollRateLimit = DEFAULT_RATE_LIMIT
    watched_pods: int = 0
    """Number of pods that all policies of the namespace watch."""
    policy_pods: int = 0
    """Number of pods that the policy watches."""
    dry_runs: Mapping[str, datetime] = field(default_factory=dict)
    """Time of the last dry run of each pod, by UID; empty but in mode DryRun."""
    recent_rolls: RecentRolls | None = None
    """PodRolls that count for the rate limit; None while no roll is planned."""
    index: PlanIndex | None = field(default=None, repr=False, compare=False)
    """Index of the above, with the rolls planned so far; None outside of a plan."""
