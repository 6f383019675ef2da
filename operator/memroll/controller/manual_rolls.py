"""Number of PodRolls by hand that begin in a namespace within an hour, and the refusal of those beyond the bound.

`RollController` calls `refuse` before the first step of a PodRoll without a policy, and `note` with the PodRolls that
the resync lists. In memory: after a restart the resync restores the count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.policy_bounds import NO_COUNT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.model.roll_record import RollRecord

PERIOD = timedelta(hours=1)
"""Period in which PodRolls by hand are counted."""
TOO_MANY = "TooManyManualRolls"
"""Reason of a PodRoll that is refused."""


@dataclass(frozen=True, slots=True)
class ManualRolls:
    """PodRolls by hand that began within the last hour: for each namespace their times by UID."""

    max_per_hour: int = NO_COUNT
    _begun: dict[str, dict[str, datetime]] = field(default_factory=dict)

    def refuse(self, roll: PodRoll, now: datetime) -> str:
        """Return why a PodRoll must not begin; empty, and counted, if it may."""
        begun = self._recent(roll.namespace, now)
        if roll.uid not in begun and len(begun) >= self.max_per_hour:
            again = f"; the next one may begin at {rfc3339(min(begun.values()) + PERIOD)}" if begun else ""
            return (
                f"{len(begun)} PodRolls by hand began in namespace {roll.namespace} within an hour: the administrator "
                f"allows {self.max_per_hour} (policyBounds.manualRollsPerHour){again}"
            )
        begun[roll.uid] = now
        return ""

    def note(self, rolls: Iterable[PodRoll | RollRecord], now: datetime) -> None:
        """Count the PodRolls by hand that began, of all those that exist."""
        for roll in rolls:
            at = roll.status.times.announced
            if at is not None and not roll.spec.policy and now - at < PERIOD:
                self._recent(roll.namespace, now).setdefault(roll.uid, at)

    def _recent(self, namespace: str, now: datetime) -> dict[str, datetime]:
        """Return the current times of a namespace, without those that are too old."""
        begun = self._begun.setdefault(namespace, {})
        for uid in [uid for uid, at in begun.items() if now - at >= PERIOD]:
            del begun[uid]
        return begun
