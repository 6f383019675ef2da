"""Reconcile one MemoryPolicy: select its pods, assess them, plan rolls, create PodRolls. Read this module first.

A PolicySnapshot goes in, an Outcome comes out; `controller.policy_controller` calls `reconcile`. Selecting pods,
reading samples and creating PodRolls do I/O; everything in between is pure and takes the time as an argument. An error
before the first write ends the reconcile with an Outcome that contains it: nothing is planned from incomplete data. A
later error leaves the Outcome as it is: what was created is reported and enqueued.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from memroll.detection.assess import Assessor, SampleReader
from memroll.detection.effective_limit import with_effective_limits
from memroll.errors import MemrollError
from memroll.model.roll_duration import RollDurations
from memroll.planning.budgets import are_scarce
from memroll.planning.candidate import Candidate, Context
from memroll.planning.misconfiguration import find_exceeded_limit, find_misconfigurations
from memroll.reconcile.autoscalers import find_autoscalers
from memroll.reconcile.counts import count_watched_pods, healthy_pods
from memroll.reconcile.plan_rolls import RollPlanner
from memroll.reconcile.selection import DirectPods, select_pods
from memroll.reconcile.workload_lookup import WorkloadLookup
from memroll.reporting.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.detection.assessment import Assessment
    from memroll.model.pods import Pod
    from memroll.reconcile.snapshot import PolicySnapshot
    from memroll.rolling.protocols import KubernetesClient


async def reconcile(snapshot: PolicySnapshot, kubernetes: KubernetesClient, samples: SampleReader) -> Outcome:
    """Reconcile a policy once; return what was found and created."""
    policy, own_rolls, now = snapshot.policy, snapshot.own_rolls, snapshot.now
    outcome = Outcome(policy, now, rolls=own_rolls)
    if policy.spec.suspend:
        return outcome
    try:
        selection = await select_pods(snapshot, snapshot.pod_source or DirectPods(kubernetes))
        pods = await _with_limits(snapshot, selection.pods, kubernetes)
        found = find_misconfigurations(policy.spec, pods, snapshot.permissions, now)
        outcome = replace(outcome, misconfigurations=found)  # also of a reconcile that fails later
        durations = RollDurations.measure(
            policy.name, policy.spec.roll.drain, snapshot.rolls, pods, snapshot.start_times
        )
        assessments = await Assessor(policy, pods, durations, now).assess(samples)
        outcome = replace(outcome, misconfigurations=(*found, *find_exceeded_limit(policy.spec, assessments)))
        context = _build_context(snapshot, pods, assessments, durations)
        lookup = WorkloadLookup(snapshot, kubernetes)
        candidates = await _find_candidates(snapshot, assessments, context, lookup)
        plan, created = await RollPlanner(snapshot, kubernetes, lookup, candidates, context).plan_and_create()
    except MemrollError as error:
        return replace(outcome, error=error)
    return replace(
        outcome,
        watched_pods=len(pods),
        assessments=assessments,
        plan=plan,
        rolls=(*created, *own_rolls),
        conflicting_pods=selection.conflicting,
        suspended_owners=selection.suspended_owners,
        evicted_pods=selection.evicted,
        autoscalers=await find_autoscalers(snapshot, assessments, kubernetes),
    )


async def _with_limits(snapshot: PolicySnapshot, pods: Sequence[Pod], kubernetes: KubernetesClient) -> tuple[Pod, ...]:
    """Return the pods with the limits that count. Nodes are read only where that is permitted."""
    allocatable = await kubernetes.list_node_memory() if pods and snapshot.permissions.nodes else {}
    return with_effective_limits(pods, snapshot.policy.spec, allocatable)


async def _find_candidates(
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


def _build_context(
    snapshot: PolicySnapshot, pods: Sequence[Pod], assessments: Sequence[Assessment], durations: RollDurations
) -> Context:
    policy = snapshot.policy
    return Context(
        policy=policy.name,
        spec=policy.spec,
        rolls=snapshot.rolls,
        roll_durations=durations,
        now=snapshot.now,
        permissions=snapshot.permissions,
        is_leader=snapshot.leads(),
        healthy=healthy_pods(policy, assessments, snapshot.now),
        rate_limit=snapshot.rate_limit,
        watched_pods=count_watched_pods(snapshot, len(pods)),
        policy_pods=len(pods),
    )
