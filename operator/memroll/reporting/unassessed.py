"""Status of a policy without an outcome: while its first reconcile runs, and while it can't be read.

`controller.policy_controller` writes it. A new policy has the default of the CRD before. See design note 0033.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.conditions import ConditionStatus, ConditionType, merge_conditions, new_condition

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.policy import MemoryPolicy, PolicyStatus

REASON = "Reconciling"
MESSAGE = "the first reconcile of this spec is in progress"
REPLACED = frozenset({ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.SUSPENDED})
"""Conditions of the former spec that do not apply to the new one. The others stay, with their own generation."""


def reconciling_status(policy: MemoryPolicy, now: datetime) -> PolicyStatus | None:
    """Return the status to write before a reconcile; None if the spec was reconciled before.

    That is one more write for each new or changed policy, and none for any other reconcile.
    """
    old = policy.status
    if old.observed_generation == policy.generation or policy.spec.suspend:
        return None
    types = {ConditionType.READY: ConditionStatus.UNKNOWN, ConditionType.RECONCILING: ConditionStatus.TRUE}
    new = [new_condition(t, s, REASON, MESSAGE, generation=policy.generation, now=now) for t, s in types.items()]
    kept = [c for c in old.conditions if c.type not in REPLACED]
    merged = merge_conditions(old.conditions, [*new, *kept])
    return old.model_copy(update={"conditions": merged, "observed_generation": policy.generation})


def invalid_status(old: PolicyStatus, generation: int, message: str, now: datetime) -> PolicyStatus:
    """Return the status of a policy that can't be read. `message`: the errors, with their fields."""
    types = {
        ConditionType.READY: ConditionStatus.FALSE,
        ConditionType.ACCEPTED: ConditionStatus.FALSE,
        ConditionType.STALLED: ConditionStatus.TRUE,
    }
    new = [new_condition(t, s, "Invalid", message, generation=generation, now=now) for t, s in types.items()]
    merged = merge_conditions(old.conditions, new)
    return old.model_copy(update={"conditions": merged, "observed_generation": generation})
