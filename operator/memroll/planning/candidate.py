"""A pod in breach, with everything that the gates ask about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.detection.verdict import Told, seconds_left, told
from memroll.model.permissions import EVERYTHING, Permits
from memroll.planning.rate_limit import DEFAULT_GUARD, Guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import PolicySpec
    from memroll.detection.verdict import Breach
    from memroll.model.pods import Target, Workload
    from memroll.planning.rate_limit import Tally


@dataclass(frozen=True, slots=True)
class Candidate:
    """One pod in breach."""

    target: Target
    container: str
    breach: Breach
    limit_bytes: int | None
    workload: Workload | None = None
    """Looked up only for a pod that may be due; None for a pod without a controller."""
    hash_selected_by: str = ""
    """What selects the pod by its template hash, in words; looked up with the workload. Empty: nothing does."""
    start_by: datetime | None = None
    """When its roll must begin at the latest, siblings and windows considered; None where nothing is scheduled."""
    hurried: str = ""
    """Why it is due before its own deadline, or empty."""
    pressed: bool = False
    """Whether those queued behind it would come too late, were it rolled any later."""
    outside: str = ""
    """Why it is rolled outside of the windows, or empty."""

    @property
    def due(self) -> bool:
        """Whether it must be rolled now."""
        return self.breach.due or bool(self.hurried)

    @property
    def movable(self) -> bool:
        """Whether it may be rolled before its own deadline: a confirmed leak that nothing but the distance holds.

        What is nearer than its lead and still not due is doubted by the judgement: no queue may overrule that.
        """
        left_s, lead_s = self.breach.time_to_limit_s, self.breach.lead_s
        if self.breach.due or told(self.breach) is not Told.CONFIRMED or left_s is None or lead_s is None:
            return False
        return left_s > lead_s

    @property
    def urgency(self) -> tuple[float, str]:
        """Seconds to the limit, infinite without one, and the name. The least goes first."""
        return seconds_left(self.breach), self.target.key.name


@dataclass(frozen=True, slots=True)
class Context:
    """What the gates know beside the candidate: one snapshot per pass."""

    policy: str
    spec: PolicySpec
    rolls: tuple[PodRoll, ...]
    """All PodRolls of the namespace: budgets, cooldowns and concurrency are counted from them."""
    now: datetime
    namespace_annotations: Mapping[str, str] = field(default_factory=dict)
    permits: Permits = EVERYTHING
    planned: tuple[Candidate, ...] = ()
    """What this pass has already decided to roll."""
    leads: bool = True
    """Whether this process holds the Lease."""
    breaching: tuple[Candidate, ...] = ()
    """All candidates of the pass, due or not."""
    healthy: frozenset[str] = frozenset()
    """The uids of the pods that are past their warm-up and healthy."""
    guard: Guard = DEFAULT_GUARD
    watched_pods: int = 0
    """Of the namespace, by all policies."""
    tally: Tally | None = None
    """What the runaway guard counts; None while nothing is about to be rolled."""


def same_workload(workload: Workload, roll: PodRoll) -> bool:
    """Whether a PodRoll is about a pod of this workload."""
    ref = roll.status.workload or roll.spec.workload
    return ref is not None and (ref.kind, ref.name) == (workload.top.kind, workload.top.name)


def rolls_of(workload: Workload | None, rolls: Iterable[PodRoll]) -> list[PodRoll]:
    """Return the PodRolls of a workload; none where it is not known."""
    return [] if workload is None else [r for r in rolls if same_workload(workload, r)]
