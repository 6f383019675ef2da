"""Retention of finished PodRolls: `reconcile.retention` deletes those that are too old, or too many."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.pod_roll import EffectResult

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from memroll.model.roll_record import RollRecord

RETENTION = timedelta(days=7)
"""Time for which a finished roll is kept. Chosen by hand."""
INEFFECTIVE_RETENTION = timedelta(days=30)
"""Time for which an ineffective roll is kept. Each one blocks its workload for up to 7 days, twice as long as the one
before: the consecutive ones must be remembered."""
MAX_FINISHED_ROLLS = 100
"""Maximum number of finished rolls kept in one namespace. Chosen by hand."""


def garbage_collectable(rolls: Iterable[RollRecord], now: datetime) -> tuple[RollRecord, ...]:
    """Return the finished rolls of one namespace that are too old, or too many; active ones never are."""
    rolls = tuple(rolls)
    return tuple({r.uid: r for r in (*surplus(rolls), *expired(rolls, now))}.values())


def surplus(rolls: Iterable[RollRecord]) -> tuple[RollRecord, ...]:
    """Return the finished rolls of one namespace that are too many: all but the newest ones."""
    finished = sorted((r for r in rolls if not r.active), key=lambda r: r.created_at, reverse=True)
    return tuple(finished[MAX_FINISHED_ROLLS:])


def expired(rolls: Iterable[RollRecord], now: datetime) -> tuple[RollRecord, ...]:
    """Return the finished rolls that are too old."""
    return tuple(r for r in rolls if not r.active and now - r.created_at > _kept(r))


def _kept(roll: RollRecord) -> timedelta:
    ineffective = roll.status.effect is not None and roll.status.effect.result is EffectResult.INEFFECTIVE
    return INEFFECTIVE_RETENTION if ineffective else RETENTION
