"""What a roll takes: measured where rolls have ended, else guessed by how long the pod took to become Ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.roll_spec import DrainMode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memroll.api.pod_roll import PodRoll
    from memroll.api.roll_spec import DrainSpec
    from memroll.model.pods import Target

ROLL_GUESS_S = 10.0
"""What a roll takes beside the time to become Ready, before one was measured."""
NEVER_READY_GUESS_S = 60.0
ROLLS_MEASURED = 5


def measured_s(rolls: Iterable[PodRoll]) -> float | None:
    """Return the longest of the last few successful rolls, in seconds; None when none has succeeded."""
    ended = sorted((r for r in rolls if r.status.phase is Phase.SUCCEEDED), key=lambda r: r.created_at)
    lasted = [s for r in ended if (s := _lasted_s(r)) is not None]
    return max(lasted[-ROLLS_MEASURED:], default=None)


def guessed_s(target: Target, drain: DrainSpec) -> float:
    """Return what a roll of this pod may take."""
    ready_s = NEVER_READY_GUESS_S
    if target.ready_at is not None:
        ready_s = max(0.0, (target.ready_at - target.created_at).total_seconds())
    return ready_s + ROLL_GUESS_S + _drained_s(drain)


def _lasted_s(roll: PodRoll) -> float | None:
    times = roll.status.times
    if times.announced is None or times.finished is None:
        return None
    return (times.finished - times.announced).total_seconds()


def _drained_s(drain: DrainSpec) -> float:
    """Return how long a pod may be left to drain: while it does, it leaks on."""
    if drain.mode is DrainMode.NONE:
        return 0.0
    return (drain.wait if drain.until is None else drain.timeout).total_seconds()
