"""Which finished PodRolls have served their time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from memroll.api.roll import PodRoll

KEPT_FOR = timedelta(days=7)
KEPT_MOST = 100
"""Finished rolls kept in one namespace."""


def expired(rolls: Iterable[PodRoll], now: datetime) -> tuple[PodRoll, ...]:
    """Return the finished rolls of one namespace that are too old, or too many; active ones never are."""
    finished = sorted((r for r in rolls if not r.active), key=lambda r: r.created_at, reverse=True)
    return tuple(r for rank, r in enumerate(finished) if rank >= KEPT_MOST or now - r.created_at > KEPT_FOR)
