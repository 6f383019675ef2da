"""Plan of one reconcile: pods to roll now, and the gate that blocks each of the others.

`reconcile.plan_rolls` passes in the pods at risk and creates a PodRoll for each planned roll; `reporting` reports the
blocked ones. The pod with the least time to its limit comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from memroll.api.policy import Mode
from memroll.planning import holds
from memroll.planning.gate_result import Gate
from memroll.planning.gates import GATES, also_blocking, check_no_dry_run, explain, first_blocking_gate
from memroll.planning.keep_up import find_shortfall
from memroll.planning.plan_index import index_of, with_index
from memroll.planning.rate_gates import budget_state
from memroll.planning.schedule import is_queued, schedule_candidates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memroll.errors import MemrollError
    from memroll.planning.candidate import Candidate, Context
    from memroll.planning.gate_result import GateResult
    from memroll.planning.keep_up import Shortfall

PACE_GATES = frozenset(
    {
        Gate.NOT_DUE,
        Gate.CONCURRENCY,
        Gate.COOLDOWN,
        Gate.FAILURE_BACKOFF,
        Gate.BUDGET,
        Gate.OUTSIDE_MAINTENANCE_WINDOW,
        Gate.RATE_LIMITED,
        Gate.CANARY_PENDING,
    }
)
"""Gates that only delay a roll: their pods need time in the schedule. Other pods wait for something else."""

_ORDER = {gate: number for number, gate in enumerate(GATES)}


@dataclass(frozen=True, slots=True)
class Blocked:
    """Candidate that is not rolled now, with the gate that blocks it."""

    candidate: Candidate
    gate: Gate
    message: str
    error: MemrollError | None = None
    """Error because of which the PodRoll could not be created; None for every other gate."""
    others: tuple[Gate, ...] = ()
    """In mode DryRun: the other gates that block a pod that is due."""


@dataclass(frozen=True)
class Plan:
    """Candidates to roll now, and the others."""

    rolls: tuple[Candidate, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    shortfall: Shortfall | None = None
    """Reason why not all pods can be rolled in time; None if all can."""
    spent_budget: str = ""
    """Message of a budget that was spent before this plan; empty if none was, or if the policy only observes."""
    dry_runs: tuple[Candidate, ...] = ()
    """In mode DryRun: candidates that would be rolled now. They are blocked as well, by the gate of that name."""

    @property
    def held(self) -> tuple[Blocked, ...]:
        """Blocked pods that are near their limit and wait until they are Ready, or for the end of a rollout."""
        gates = (Gate.POD_NOT_READY, Gate.ROLLOUT_IN_PROGRESS)
        return tuple(b for b in self.blocked if b.candidate.is_held_at_limit and b.gate in gates)

    def passed(self, gate: Gate) -> tuple[Candidate, ...]:
        """Return the candidates that a gate and those before it do not block."""
        later = _ORDER[gate]
        return (*self.rolls, *(b.candidate for b in self.blocked if _ORDER.get(b.gate, len(_ORDER)) > later))

    def blocked_by(self, pod_uid: str) -> Blocked | None:
        """Return the gate that blocks a pod, with its message; None if the pod is rolled or is no candidate."""
        return self._blocked_by_pod.get(pod_uid)

    @cached_property
    def _blocked_by_pod(self) -> dict[str, Blocked]:
        return {b.candidate.pod.key.uid: b for b in reversed(self.blocked)}


def make_plan(candidates: Iterable[Candidate], context: Context) -> Plan:
    """Evaluate the gates for each candidate in order of urgency; planned rolls count for the next candidates."""
    blocked: list[Blocked] = []
    candidates = list(candidates)
    context = with_index(context, candidates)
    index = index_of(context)
    spent_budget = budget_state(context).message if context.spec.mode is not Mode.OBSERVE else ""
    for candidate in _in_order(candidates, context):
        blocking = first_blocking_gate(candidate, context)
        if blocking is None:
            index.plan(candidate)
        else:
            gate, message = blocking
            blocked.append(Blocked(candidate, gate, message, others=_others(candidate, context, gate)))
    waiting = [b.candidate for b in blocked if b.gate in PACE_GATES and is_queued(b.candidate)]
    shortfall = find_shortfall([*index.planned, *waiting], context)
    return Plan(tuple(index.planned), tuple(blocked), shortfall, spent_budget)


def _others(candidate: Candidate, context: Context, first: Gate) -> tuple[Gate, ...]:
    """Return the other gates that block; only in mode DryRun, and for a pod that is due and not yet recorded."""
    if context.spec.mode is not Mode.DRY_RUN or not candidate.due or first is Gate.DRY_RUN:
        return ()
    return also_blocking(candidate, context, first)


def explain_candidate(
    candidates: Iterable[Candidate], context: Context, pod_uid: str
) -> tuple[Candidate, dict[Gate, GateResult]] | None:
    """Return a candidate and the results of all gates, evaluated at its place in the plan; None if it is none.

    The rolls that the plan makes before it count, as in `make_plan`.
    """
    candidates = list(candidates)
    context = with_index(context, candidates)
    index = index_of(context)
    for candidate in _in_order(candidates, context):
        if candidate.pod.key.uid == pod_uid:
            return candidate, explain(candidate, context)
        if first_blocking_gate(candidate, context) is None:
            index.plan(candidate)
    return None


def _in_order(candidates: Iterable[Candidate], context: Context) -> Iterator[Candidate]:
    """Yield the candidates as they are planned: scheduled and completed, the most urgent first.

    A pod that a dry run has rolled needs no time in the schedule: it comes last.
    """
    recorded: list[Candidate] = []
    waiting: list[Candidate] = []
    for candidate in candidates:
        (recorded if check_no_dry_run(candidate, context).blocks else waiting).append(candidate)
    return (_complete(c, context) for c in (*schedule_candidates(waiting, context), *recorded))


def _complete(candidate: Candidate, context: Context) -> Candidate:
    """Return a scheduled candidate with what its PodRoll contains besides."""
    durations, pod = context.roll_durations, candidate.pod
    marked = holds.mark(candidate, context)
    return replace(marked, known_start_s=durations.known_start_s(pod), roll_duration_s=durations.of_pod_s(pod))
