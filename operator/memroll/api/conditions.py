"""Conditions in the way of Kubernetes: a transition time moves only when the status flips."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from memroll.api.base import Message, Model, Time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


class ConditionType(StrEnum):
    READY = "Ready"
    """The policy is being carried out."""
    ACCEPTED = "Accepted"
    """The policy is understood and its target exists."""
    PROMETHEUS_REACHABLE = "PrometheusReachable"
    BREACHING = "Breaching"
    """At least one pod leaks."""
    STALLED = "Stalled"
    """kstatus: present only while a person must act."""


class Status(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


ABNORMAL = frozenset({ConditionType.STALLED})
"""Present only while True (kstatus), so that `kubectl wait` and GitOps tools read them rightly."""


class Condition(Model):
    type: ConditionType
    status: Status
    reason: str = Field(min_length=1, max_length=128)
    message: Message = ""
    last_transition_time: Time
    observed_generation: int | None = Field(default=None, ge=0)


def condition(
    type_: ConditionType, status: Status, reason: str, message: str, *, generation: int, now: datetime
) -> Condition:
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message[:1024],
        last_transition_time=now,
        observed_generation=generation,
    )


def merge(old: Sequence[Condition], new: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return `new` with the transition times of `old` kept where the status did not flip.

    Abnormal conditions that are not True are left out.
    """
    before = {c.type: c for c in old}
    merged = []
    for fresh in new:
        if fresh.type in ABNORMAL and fresh.status is not Status.TRUE:
            continue
        known = before.get(fresh.type)
        if known and known.status == fresh.status:
            merged.append(fresh.model_copy(update={"last_transition_time": known.last_transition_time}))
        else:
            merged.append(fresh)
    return tuple(merged)
