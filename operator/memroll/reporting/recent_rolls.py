"""Rolls of a policy in its status: their counts, and the most recent ones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.policy import MAX_LAST_ROLLS, LastRoll, RollCounts

if TYPE_CHECKING:
    from memroll.model.roll_record import RollRecord
    from memroll.reporting.outcome import Outcome


def roll_counts(outcome: Outcome) -> RollCounts:
    """Return the number of the policy's PodRolls by result."""
    ended = Counter(r.status.phase for r in outcome.rolls)
    active = sum(1 for r in outcome.rolls if r.active)
    return RollCounts(succeeded=ended[Phase.SUCCEEDED], failed=ended[Phase.FAILED], active=active)


def last_rolls(outcome: Outcome) -> tuple[LastRoll, ...]:
    """Return the most recent PodRolls, newest first."""
    newest = sorted(outcome.rolls, key=lambda r: r.created_at, reverse=True)[:MAX_LAST_ROLLS]
    return tuple(_last_roll(r) for r in newest)


def _last_roll(roll: RollRecord) -> LastRoll:
    return LastRoll(
        name=roll.name,
        pod=roll.spec.pod_name,
        phase=roll.status.phase or Phase.ANNOUNCED,
        time=roll.status.times.finished or roll.created_at,
        reason=roll.spec.reason,
    )
