"""Index of a plan: PodRolls, candidates and planned rolls by the keys that the gates look them up by.

`plan` builds one for each plan, so that its time is linear in the candidates and in the PodRolls, and adds each roll
that it plans. A gate that is evaluated on its own gets one that is built for it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from memroll.api.base import WorkloadRef
    from memroll.model.pods import ObjectRef, Workload
    from memroll.model.roll_record import RollRecord
    from memroll.planning.candidate import Candidate, Context


class PlanIndex:
    """Contents of a context, by key."""

    def __init__(self, context: Context) -> None:
        self.used_times: list[datetime] = sorted(
            r.created_at for r in context.rolls if r.spec.policy == context.policy and r.has_used_budget
        )
        """Times of the policy's rolls that count against its budgets, oldest first."""
        self.at_risk = Counter(c.pod.controller for c in context.candidates)
        """Number of candidates of each controller."""
        self.active_by_pod: dict[str, str] = {}
        """Name of the roll in progress of each pod, by the uid of the pod."""
        self.planned: list[Candidate] = []
        self._rolls: dict[tuple[str, str], list[RollRecord]] = defaultdict(list)
        self._planned: dict[ObjectRef, list[Candidate]] = defaultdict(list)
        for roll in context.rolls:
            if roll.active:
                self.active_by_pod.setdefault(roll.pod_uid, roll.name)
            ref = workload_ref(roll)
            if ref is not None:
                self._rolls[ref.kind, ref.name].append(roll)
        self.active_names = frozenset(r.name for r in context.rolls if r.active)
        for candidate in context.planned:
            self.plan(candidate)

    def plan(self, candidate: Candidate) -> None:
        """Add a roll that the plan makes."""
        self.planned.append(candidate)
        if candidate.workload is not None:
            self._planned[candidate.workload.owner].append(candidate)

    def rolls_of(self, workload: Workload | None) -> Sequence[RollRecord]:
        """Return the PodRolls of a workload; none if the workload is not known."""
        return () if workload is None else self._rolls.get((workload.owner.kind, workload.owner.name), ())

    def planned_of(self, workload: Workload | None) -> Sequence[Candidate]:
        """Return the candidates of a workload that this plan rolls."""
        return () if workload is None else self._planned.get(workload.owner, ())


def workload_ref(roll: RollRecord) -> WorkloadRef | None:
    """Return the workload that a PodRoll is about; None while that is not known."""
    return roll.status.workload or roll.spec.workload


def with_index(context: Context, candidates: Iterable[Candidate]) -> Context:
    """Return the context with these candidates and an index of everything."""
    context = replace(context, candidates=tuple(candidates), index=None)
    return replace(context, index=PlanIndex(context))


def index_of(context: Context) -> PlanIndex:
    """Return the index of a context; built now for a context without one."""
    return context.index or PlanIndex(context)
