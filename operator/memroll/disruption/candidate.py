"""A pod in breach, with everything that the gates ask about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.analysis.verdict import seconds_left
from memroll.disruption.strategy import EVERYTHING, Permits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from memroll.analysis.verdict import Breach
    from memroll.api.policy import PolicySpec
    from memroll.api.roll import PodRoll
    from memroll.disruption.target import Target, Workload


@dataclass(frozen=True, slots=True)
class Candidate:
    """One pod in breach."""

    target: Target
    container: str
    breach: Breach
    limit_bytes: int | None
    workload: Workload | None = None
    """Looked up only for a pod that is due; None for a pod without a controller."""

    @property
    def due(self) -> bool:
        """Whether it must be rolled now."""
        return self.breach.due

    @property
    def urgency(self) -> float:
        """Seconds to the limit; infinite without one. The least goes first."""
        return seconds_left(self.breach)


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


def same_workload(workload: Workload, roll: PodRoll) -> bool:
    """Whether a PodRoll is about a pod of this workload."""
    ref = roll.status.workload or roll.spec.workload
    return ref is not None and (ref.kind, ref.name) == (workload.top.kind, workload.top.name)
