"""Reconcile one MemoryPolicy: select its pods, assess them, plan rolls, create PodRolls. Read this module first.

A PolicySnapshot goes in, an Outcome comes out; `controller.policy_controller` calls `reconcile`. Selecting pods,
reading samples and creating PodRolls do I/O; everything in between is pure and takes the time as an argument. An error
before the first write ends the reconcile with an Outcome that contains it: nothing is planned from incomplete data. A
later error leaves the Outcome as it is: what was created is reported and enqueued.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from memroll.detection.assess import Assessor, SampleReader
from memroll.errors import MemrollError
from memroll.model.roll_duration import RollDurations
from memroll.planning.misconfiguration import find_exceeded_limit, find_misconfigurations
from memroll.planning.plan import Plan, make_plan
from memroll.reconcile.autoscalers import find_autoscalers
from memroll.reconcile.counts import count_pod_rolls
from memroll.reconcile.create_rolls import create_rolls
from memroll.reconcile.examine import build_context, find_candidates, with_limits
from memroll.reconcile.selection import DirectPods, find_owners, select_pods
from memroll.reporting.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.model.roll_record import RollRecord
    from memroll.planning.candidate import Candidate, Context
    from memroll.reconcile.snapshot import PolicySnapshot
    from memroll.rolling.protocols import KubernetesClient

MAX_CANDIDATES_ON_LOOP = 50
"""Maximum number of candidates that are planned on the event loop: a plan takes about 0.3 ms for each, measured."""


async def reconcile(snapshot: PolicySnapshot, kubernetes: KubernetesClient, samples: SampleReader) -> Outcome:
    """Reconcile a policy once; return what was found and created."""
    policy, own_rolls, now = snapshot.policy, snapshot.own_rolls, snapshot.now
    outcome = Outcome(policy, now, rolls=own_rolls)
    if policy.spec.suspend:
        return outcome
    try:
        selection = await select_pods(snapshot, snapshot.pod_source or DirectPods(kubernetes))
        pods = await with_limits(snapshot, selection.pods, kubernetes)
        found = find_misconfigurations(policy.spec, pods, snapshot.permissions, now)
        outcome = replace(outcome, misconfigurations=found)  # also of a reconcile that fails later
        durations = RollDurations.measure(
            policy.name, policy.spec.roll.drain, snapshot.rolls, pods, snapshot.start_times
        )
        assessments = await Assessor(policy, pods, durations, now).assess(samples)
        outcome = replace(outcome, misconfigurations=(*found, *find_exceeded_limit(policy.spec, assessments)))
        context = await build_context(snapshot, pods, assessments, durations, kubernetes)
        candidates = await find_candidates(snapshot, assessments, context, kubernetes)
        plan, created = await _plan_and_create(snapshot, candidates, context, kubernetes)
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


async def _plan_and_create(
    snapshot: PolicySnapshot, candidates: Sequence[Candidate], context: Context, kubernetes: KubernetesClient
) -> tuple[Plan, tuple[RollRecord, ...]]:
    """Plan rolls and create their PodRolls.

    A plan without rolls neither counts PodRolls nor takes the lock. Otherwise the plan is made again under the lock,
    with the current PodRolls.
    """
    plan = await _make_plan(candidates, context)
    if not plan.rolls:
        return plan, ()
    candidates = await _without_foreign_pods(snapshot, candidates, kubernetes)
    async with snapshot.planning_lock:
        rolls, recent_rolls = await count_pod_rolls(snapshot, kubernetes)
        current = replace(context, rolls=rolls, recent_rolls=recent_rolls, is_leader=snapshot.leads())
        return await create_rolls(snapshot, await _make_plan(candidates, current), rolls, kubernetes)


async def _make_plan(candidates: Sequence[Candidate], context: Context) -> Plan:
    """Make a plan; for many candidates in a thread, so that the Lease is renewed meanwhile."""
    if len(candidates) <= MAX_CANDIDATES_ON_LOOP:
        return make_plan(candidates, context)
    return await asyncio.to_thread(make_plan, candidates, context)


async def _without_foreign_pods(
    snapshot: PolicySnapshot, candidates: Sequence[Candidate], kubernetes: KubernetesClient
) -> Sequence[Candidate]:
    """Return the candidates that belong to no older policy, by the policies as they are now.

    Those of the snapshot are as old as the last event of the watch, which may be down. The next reconcile reports what
    this one leaves out.
    """
    if snapshot.read_others is None:
        return candidates
    current = replace(snapshot, others=await snapshot.read_others())
    pods = [c.pod for c in candidates]
    owners = await find_owners(current, pods, snapshot.pod_source or DirectPods(kubernetes))
    return [c for c in candidates if c.pod.key.uid not in owners]
