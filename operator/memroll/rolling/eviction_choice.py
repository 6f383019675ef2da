"""Evictions that a policy permits although the pod's workload is in a rollout (`roll.duringRollout: Evict`). Pure.

`planning.holds` checks it before such an eviction is planned, the state machine once more before it begins: until then
the rollout may have gone on. A PodRoll contains the permission in `spec.duringRollout`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.roll_spec import HoldOrEvict, Strategy

if TYPE_CHECKING:
    from memroll.model.pods import Workload
    from memroll.rolling.observation import StepInput


def not_evicted_because(workload: Workload | None) -> str:
    """Return why the pods of a workload are never evicted in spite of a gate, or an empty string."""
    if workload is None:
        return "its workload is not known"
    if not workload.is_supported:
        return "its rollouts can't be read"
    if workload.has_recreate_strategy:
        return f"{workload.owner} has strategy Recreate"
    if workload.controller_replicas <= 0:
        return f"{workload.controller} has 0 replicas and would not create the pod again"
    return ""


def blocking_rollout(step: StepInput) -> str:
    """Return the rollout because of which a roll may not begin, or an empty string. The pod exists."""
    if step.workload is None:
        return "the workload is gone"
    spec = step.roll.spec
    is_permitted = spec.during_rollout is HoldOrEvict.EVICT and spec.strategy is Strategy.EVICT
    rollout = step.workload.rollout_of(step.pod)
    return "" if is_permitted and not not_evicted_because(step.workload) else rollout
