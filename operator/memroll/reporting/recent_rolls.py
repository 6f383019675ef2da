"""Rolls of a policy in its status: their counts, and the most recent ones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from memroll.api.last_roll import LastAction, LastRoll
from memroll.api.pod_roll import Phase
from memroll.api.policy import MAX_LAST_ROLLS, RollCounts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memroll.api.dry_run import DryRun
    from memroll.model.roll_record import RollRecord
    from memroll.reporting.outcome import Outcome


ACTIONS = {Phase.SUCCEEDED: "Rolled", Phase.FAILED: "Failed", Phase.ABORTED: "Aborted"}
"""Words of the column LAST-ACTION for rolls that have ended."""


def last_action(outcome: Outcome, dry_runs: Iterable[DryRun]) -> LastAction | None:
    """Return the newest of the rolls, the dry runs, and the action that the status has: its PodRoll may be deleted."""
    rolled = [_roll_action(r) for r in outcome.rolls]
    dry = [LastAction(action="WouldRoll", pod=d.pod, time=d.time) for d in dry_runs]
    old = outcome.policy.status.last_action
    known = () if old is None else (old,)
    return max((*rolled, *dry, *known), key=lambda action: action.time, default=None)


def _roll_action(roll: RollRecord) -> LastAction:
    phase = roll.status.phase or Phase.ANNOUNCED
    time = roll.status.times.finished or roll.created_at
    return LastAction(action=ACTIONS.get(phase, "Rolling"), pod=roll.spec.pod_name, time=time)


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
