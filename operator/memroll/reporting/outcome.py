"""What one pass over one policy found and did: status, events, metrics and logs are all read from here."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.detection.verdict import Breach, Healthy, Inconclusive
from memroll.planning.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy
    from memroll.detection.assessment import Assessment
    from memroll.detection.verdict import Verdict
    from memroll.errors import MemrollError
    from memroll.model.pods import Target


NOTHING = Plan()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One pass. With `trouble` nothing was judged and nothing is rolled."""

    policy: MemoryPolicy
    now: datetime
    targets: int = 0
    assessments: tuple[Assessment, ...] = ()
    plan: Plan = NOTHING
    rolls: tuple[PodRoll, ...] = ()
    """The policy's PodRolls, those of this pass included."""
    trouble: MemrollError | None = None
    learned: tuple[PodRoll, ...] = ()
    """Those of which this pass has found out what they were worth, or that it can't be told."""
    conflicts: tuple[str, ...] = ()
    """Each as "pod (policy)", for each pod that an older policy watches already."""

    def by_pod(self) -> Iterator[tuple[Target, tuple[Assessment, ...]]]:
        grouped: dict[str, list[Assessment]] = defaultdict(list)
        for assessment in self.assessments:
            grouped[assessment.target.key.uid].append(assessment)
        for group in grouped.values():
            yield group[0].target, tuple(group)

    @property
    def breaching(self) -> tuple[Assessment, ...]:
        return tuple(a for a in self.assessments if isinstance(a.verdict, Breach))

    def verdict_of(self, group: tuple[Assessment, ...]) -> type[Verdict]:
        """Return the worst verdict of a pod's containers: Breach before Inconclusive before Healthy."""
        kinds = {type(a.verdict) for a in group}
        return next((k for k in (Breach, Inconclusive) if k in kinds), Healthy)
