"""Autoscalers of a policy's workloads whose pods are at risk, suspected or being rolled, for the policy's status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.model.pod_names import workload_or_pod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.detection.assessment import Assessment
    from memroll.model.autoscalers import Autoscaler
    from memroll.reconcile.snapshot import PolicySnapshot
    from memroll.rolling.protocols import AutoscalerReader

MAX_AGE_RATIO = 0.9
"""Maximum age of known autoscalers as a ratio of the policy's interval. Chosen by hand: policies of a namespace share
one read in each interval, and with the jitter of the interval no policy gets the result of its own last reconcile."""


async def find_autoscalers(
    snapshot: PolicySnapshot, assessments: Sequence[Assessment], kubernetes: AutoscalerReader
) -> tuple[Autoscaler, ...] | None:
    """Return the autoscalers of these workloads; None if they can't be read now. Without a workload nothing is read."""
    workloads = {workload_or_pod(a.pod) for a in assessments if a.verdict.is_at_risk or a.verdict.is_suspected}
    rolled = (roll.status.workload for roll in snapshot.own_rolls if roll.active)
    workloads |= {f"{ref.kind}/{ref.name}" for ref in rolled if ref is not None}
    if not workloads:
        return ()
    max_age_s = MAX_AGE_RATIO * snapshot.policy.spec.interval.total_seconds()
    listed = await kubernetes.list_autoscalers(snapshot.policy.namespace, max_age_s)
    return None if listed is None else tuple(a for a in listed if str(a.target) in workloads)
