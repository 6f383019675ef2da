"""Examine the pods of a policy: select them, assess them, find the candidates. Nothing is written.

`reconcile.policy` makes the same steps, plans with `RollPlanner` and creates PodRolls. Commands such as `memroll
explain` plan with it as well and create none, so that they report exactly what the operator would do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from memroll.detection.assess import Assessor, SampleReader
from memroll.detection.effective_limit import with_effective_limits
from memroll.model.roll_duration import RollDurations
from memroll.planning.budgets import are_scarce
from memroll.planning.candidate import Candidate, Context
from memroll.planning.dry_run import dry_run_records, dry_run_times
from memroll.reconcile.counts import count_watched_pods, healthy_pods
from memroll.reconcile.plan_rolls import PlanReader, RollPlanner
from memroll.reconcile.selection import DirectPods, Selection, select_pods
from memroll.reconcile.workload_lookup import WorkloadLookup
from memroll.rolling.protocols import NodeReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.detection.assessment import Assessment
    from memroll.model.pods import Pod
    from memroll.reconcile.snapshot import PolicySnapshot


class ClusterReader(PlanReader, NodeReader, Protocol):
    """Roles of the Kubernetes API that an examination needs. None of them writes."""


@dataclass(frozen=True, slots=True)
class Examination:
    """Pods of a policy with their assessments, and the planner of their rolls."""

    selection: Selection
    pods: tuple[Pod, ...]
    """Watched pods, with the limits that count."""
    assessments: tuple[Assessment, ...]
    planner: RollPlanner
    """Planner of the rolls, with the pods at risk and the context of the gates."""


async def examine(snapshot: PolicySnapshot, kubernetes: ClusterReader, samples: SampleReader) -> Examination:
    """Examine the pods of a policy as a reconcile does; raise MemrollError if anything can't be read."""
    selection = await select_pods(snapshot, snapshot.pod_source or DirectPods(kubernetes))
    pods = await with_limits(snapshot, selection.pods, kubernetes)
    policy = snapshot.policy
    durations = RollDurations.measure(policy.name, policy.spec.roll.drain, snapshot.rolls, pods, snapshot.start_times)
    assessments = await Assessor(policy, pods, durations, snapshot.now).assess(samples)
    planner = await build_planner(snapshot, pods, assessments, durations, kubernetes)
    return Examination(selection, pods, assessments, planner)


async def with_limits(snapshot: PolicySnapshot, pods: Sequence[Pod], kubernetes: ClusterReader) -> tuple[Pod, ...]:
    """Return the pods with the limits that count. Nodes are read only where that is permitted."""
    allocatable = await kubernetes.list_node_memory() if pods and snapshot.permissions.nodes else {}
    return with_effective_limits(pods, snapshot.policy.spec, allocatable)


async def build_planner(
    snapshot: PolicySnapshot,
    pods: Sequence[Pod],
    assessments: Sequence[Assessment],
    durations: RollDurations,
    kubernetes: ClusterReader,
) -> RollPlanner:
    """Return the planner of the policy's rolls, with its candidates."""
    context, lookup = build_context(snapshot, pods, assessments, durations), WorkloadLookup(snapshot, kubernetes)
    candidates = await find_candidates(snapshot, assessments, context, lookup)
    return RollPlanner(snapshot, kubernetes, lookup, candidates, context)


async def find_candidates(
    snapshot: PolicySnapshot, assessments: Sequence[Assessment], context: Context, lookup: WorkloadLookup
) -> list[Candidate]:
    """Return the pods at risk. Workloads are looked up once each, and only for pods that may be due."""
    urgent = _most_urgent_per_pod(assessments)
    per_controller = Counter(c.pod.controller for c in urgent)
    can_bring_forward = snapshot.policy.spec.roll.maintenance_windows is not None or are_scarce(len(urgent), context)
    found = []
    for candidate in urgent:
        ref = candidate.pod.controller
        can_advance = candidate.can_advance and (per_controller[ref] > 1 or can_bring_forward)
        if ref is not None and (candidate.verdict.due or can_advance):
            candidate = await lookup.schedule(candidate)  # noqa: PLW2901 - the same, with its workload
        found.append(candidate)
    return found


def _most_urgent_per_pod(assessments: Sequence[Assessment]) -> list[Candidate]:
    """Return one container per pod at risk: one that is due, else the one that reaches its limit first."""
    most_urgent: dict[str, Candidate] = {}
    for a in assessments:
        if not a.verdict.is_at_risk:
            continue
        candidate = Candidate(a.pod, a.container.name, a.verdict, a.container.limit_bytes)
        most_urgent[a.pod.key.uid] = min(
            (most_urgent.get(a.pod.key.uid, candidate), candidate), key=lambda c: (not c.due, c.verdict.remaining_s)
        )
    return list(most_urgent.values())


def build_context(
    snapshot: PolicySnapshot, pods: Sequence[Pod], assessments: Sequence[Assessment], durations: RollDurations
) -> Context:
    """Build the context in which the gates evaluate the candidates, without what only a pod that is due needs."""
    policy = snapshot.policy
    return Context(
        policy=policy.name,
        spec=policy.spec,
        rolls=(*snapshot.rolls, *dry_run_records(policy)),
        dry_runs=dry_run_times(policy),
        roll_durations=durations,
        now=snapshot.now,
        permissions=snapshot.permissions,
        is_leader=snapshot.leads(),
        healthy=healthy_pods(policy, assessments, snapshot.now),
        rate_limit=snapshot.rate_limit,
        watched_pods=count_watched_pods(snapshot, len(pods)),
        policy_pods=len(pods),
    )
