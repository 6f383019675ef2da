"""Status conditions as Kubernetes defines them: a transition time changes only when the status flips.

Takes the results of a reconcile and the previous conditions, returns the new ones. Called by `reporting.status`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import Field

from memroll.api.base import ApiModel, Message, Time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class ConditionType(StrEnum):
    READY = "Ready"
    """The policy is reconciled without an error."""
    ACCEPTED = "Accepted"
    """The policy is valid, and its pods exist and belong to no older policy."""
    PROMETHEUS_REACHABLE = "PrometheusReachable"
    """The last query was answered."""
    AT_RISK = "AtRisk"
    """At least one pod leaks, is about to reach its limit, or is above `usageThreshold`."""
    ROLLS_BLOCKED = "RollsBlocked"
    """Present only while a pod is held near its limit because it is not Ready or its workload is in a rollout."""
    CANNOT_KEEP_UP = "CannotKeepUp"
    """Present only while budgets, concurrency or windows leave too little time for all rolls."""
    MISCONFIGURED = "Misconfigured"
    """Present only while a setting of a valid policy can't have its effect."""
    RECONCILING = "Reconciling"
    """kstatus: present only until the first reconcile of a new or changed object has ended, and while a roll runs."""
    STALLED = "Stalled"
    """kstatus: present only while a person must act."""
    SUSPENDED = "Suspended"
    """Present only while `suspend` is true."""


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


ABNORMAL = frozenset(
    {
        ConditionType.ROLLS_BLOCKED,
        ConditionType.CANNOT_KEEP_UP,
        ConditionType.MISCONFIGURED,
        ConditionType.STALLED,
    }
)
"""Conditions that require attention, present only while True (kstatus), as GitOps tools expect."""
TRUE_ONLY = ABNORMAL | {ConditionType.RECONCILING, ConditionType.SUSPENDED}
"""All conditions that are present only while True."""
PENDING = "Pending"
"""Reason of the condition Ready that the API server sets by default: the operator has not seen the object yet."""
PENDING_MESSAGE = "waiting for the operator"
"""Message of that condition."""


class Condition(ApiModel):
    type: ConditionType
    """Type of the condition, such as `Ready`."""
    status: ConditionStatus
    """`True`, `False` or `Unknown`."""
    reason: str = Field(min_length=1, max_length=128)
    """Cause of the status, as one CamelCase word."""
    message: Message = ""
    """Cause of the status, as a sentence."""
    last_transition_time: Time
    """Time at which `status` last changed."""
    observed_generation: int | None = Field(default=None, ge=0)
    """`metadata.generation` of the policy for which the condition was set."""


CONDITION_LIST: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
"""Schema of a list of conditions: one of each type."""


def pending_status(**fields: int) -> dict[str, Any]:
    """Return the status that a new object has by default, so that kstatus does not take it for Current."""
    condition = Condition(
        type=ConditionType.READY,
        status=ConditionStatus.UNKNOWN,
        reason=PENDING,
        message=PENDING_MESSAGE,
        last_transition_time=datetime.fromtimestamp(0, UTC),
    )
    return {**fields, "conditions": [condition.to_dict()]}


def new_condition(
    type_: ConditionType, status: ConditionStatus, reason: str, message: str, *, generation: int, now: datetime
) -> Condition:
    """Build a condition that begins now."""
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message[:1024],
        last_transition_time=now,
        observed_generation=generation,
    )


def merge_conditions(old: Sequence[Condition], new: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return `new` with the transition times of `old` kept where the status did not flip.

    Conditions of `TRUE_ONLY` that are not True are dropped.
    """
    before = {c.type: c for c in old}
    merged = []
    for fresh in new:
        if fresh.type in TRUE_ONLY and fresh.status is not ConditionStatus.TRUE:
            continue
        known = before.get(fresh.type)
        if known and known.status == fresh.status:
            merged.append(fresh.model_copy(update={"last_transition_time": known.last_transition_time}))
        else:
            merged.append(fresh)
    return tuple(merged)
