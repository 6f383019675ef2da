"""What to roll now and what holds the rest: the pod with the least time to its limit first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.planning.gates import first_hold
from memroll.planning.schedule import scheduled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memroll.planning.candidate import Candidate, Context


@dataclass(frozen=True, slots=True)
class Hold:
    candidate: Candidate
    gate: str
    words: str


@dataclass(frozen=True, slots=True)
class Plan:
    rolls: tuple[Candidate, ...] = ()
    holds: tuple[Hold, ...] = ()

    def held_by(self, pod_uid: str) -> str:
        """Return what holds this pod, in words, or nothing."""
        return next((h.words for h in self.holds if h.candidate.target.key.uid == pod_uid), "")


def make_plan(candidates: Iterable[Candidate], context: Context) -> Plan:
    """Ask the gates for each candidate in order of urgency; what is planned counts for the next ones."""
    holds: list[Hold] = []
    context = replace(context, breaching=tuple(scheduled(candidates, context)))
    for candidate in context.breaching:
        hold = first_hold(candidate, context)
        if hold is None:
            context = replace(context, planned=(*context.planned, candidate))
        else:
            holds.append(Hold(candidate, *hold))
    return Plan(context.planned, tuple(holds))
