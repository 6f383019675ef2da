"""Which finished PodRolls have served their time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.pod_roll import Effect

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll

KEPT_FOR = timedelta(days=7)
KEPT_INEFFECTIVE_FOR = timedelta(days=30)
"""Rolls that did not help hold their workload for up to 7 days each: those in a row must be remembered."""
KEPT_MOST = 100
"""Finished rolls kept in one namespace."""


def expired(rolls: Iterable[PodRoll], now: datetime) -> tuple[PodRoll, ...]:
    """Return the finished rolls of one namespace that are too old, or too many; active ones never are."""
    finished = sorted((r for r in rolls if not r.active), key=lambda r: r.created_at, reverse=True)
    return tuple(r for rank, r in enumerate(finished) if rank >= KEPT_MOST or now - r.created_at > _kept_for(r))


def _kept_for(roll: PodRoll) -> timedelta:
    in_vain = roll.status.memory is not None and roll.status.memory.effect is Effect.INEFFECTIVE
    return KEPT_INEFFECTIVE_FOR if in_vain else KEPT_FOR
