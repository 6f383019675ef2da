"""Reconcile one MemoryPolicy: select its pods, assess them, plan rolls, create PodRolls. Read this module first.

A PolicySnapshot goes in, an Outcome comes out; `controller.policy_controller` calls `reconcile`. Selecting pods,
reading samples and creating PodRolls do I/O; everything in between is pure and takes the time as an argument. An error
before the first write ends the reconcile with an Outcome that contains it: nothing is planned from incomplete data. A
later error leaves the Outcome as it is: what was created is reported and enqueued.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from memroll.detection.assess import Assessor, SampleReader
from memroll.errors import MemrollError
from memroll.model.roll_duration import RollDurations
from memroll.planning.misconfiguration import find_exceeded_limit, find_misconfigurations
from memroll.reconcile.autoscalers import find_autoscalers
from memroll.reconcile.examine import build_planner, with_limits
from memroll.reconcile.plan_rolls import plan_and_create
from memroll.reconcile.selection import DirectPods, select_pods
from memroll.reporting.outcome import Outcome

if TYPE_CHECKING:
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
        pods = await with_limits(snapshot, selection.pods, kubernetes)
        found = find_misconfigurations(policy.spec, pods, snapshot.permissions, now)
        outcome = replace(outcome, misconfigurations=found)  # also of a reconcile that fails later
        durations = RollDurations.measure(
            policy.name, policy.spec.roll.drain, snapshot.rolls, pods, snapshot.start_times
        )
        assessments = await Assessor(policy, pods, durations, now).assess(samples)
        outcome = replace(outcome, misconfigurations=(*found, *find_exceeded_limit(policy.spec, assessments)))
        planner = await build_planner(snapshot, pods, assessments, durations, kubernetes)
        plan, created = await plan_and_create(planner, kubernetes)
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
