"""Retention of finished PodRolls: `reconcile.policy` deletes what `garbage_collectable` returns."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.pod_roll import EffectResult

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll

RETENTION = timedelta(days=7)
"""Time for which a finished roll is kept. Chosen by hand."""
INEFFECTIVE_RETENTION = timedelta(days=30)
"""Time for which an ineffective roll is kept. Each one blocks its workload for up to 7 days, twice as long as the one
before: the consecutive ones must be remembered."""
MAX_FINISHED_ROLLS = 100
"""Maximum number of finished rolls kept in one namespace. Chosen by hand."""


def garbage_collectable(rolls: Iterable[PodRoll], now: datetime) -> tuple[PodRoll, ...]:
    """Return the finished rolls of one namespace that are too old, or too many; active ones never are."""
    finished = sorted((r for r in rolls if not r.active), key=lambda r: r.created_at, reverse=True)
    return tuple(r for rank, r in enumerate(finished) if rank >= MAX_FINISHED_ROLLS or now - r.created_at > _kept(r))


def _kept(roll: PodRoll) -> timedelta:
    ineffective = roll.status.effect is not None and roll.status.effect.result is EffectResult.INEFFECTIVE
    return INEFFECTIVE_RETENTION if ineffective else RETENTION
