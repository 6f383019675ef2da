"""The runaway guard: how much the whole operator may do in an hour, whatever policies and verdicts say.

It is for the day on which something in here is wrong. So it trusts nothing but the PodRolls that exist: each one made
within the last hour counts, whoever made it and however it ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.planning.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

PERIOD = timedelta(hours=1)
NAMESPACE_ROLLS_LEAST = 3
"""A share of a small namespace would be less than one pod, or a workload that can't be kept alive."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What the administrator allows."""

    rolls_per_hour: int = 30
    namespace_share: float = 0.5
    """Of a namespace's watched pods, in an hour."""

    def in_namespace(self, watched_pods: int) -> int:
        """Return how many rolls an hour a namespace with so many watched pods may have."""
        return max(NAMESPACE_ROLLS_LEAST, int(self.namespace_share * watched_pods))


DEFAULT_GUARD = Guard()


@dataclass(frozen=True, slots=True)
class Tally:
    """When the PodRolls of the last hour were made, oldest first."""

    everywhere: tuple[datetime, ...]
    here: tuple[datetime, ...]
    """Those of the policy's namespace."""


def tally(made: Iterable[tuple[str, datetime]], namespace: str, now: datetime) -> Tally:
    """Count PodRolls, each given by its namespace and the time at which it was made."""
    recent = sorted((at, where) for where, at in made if at > now - PERIOD)
    return Tally(tuple(at for at, _ in recent), tuple(at for at, where in recent if where == namespace))


def held(guard: Guard, counted: Tally, watched_pods: int, planned: int, now: datetime) -> Answer:
    """Say whether one more roll is too many.

    `watched_pods`: of the namespace, by all policies; `planned`: rolls that are decided on, but not made yet.
    """
    most, most_here = guard.rolls_per_hour, guard.in_namespace(watched_pods)
    here, everywhere = len(counted.here) + planned, len(counted.everywhere) + planned
    value = f"{everywhere} rolls, {here} of them in the namespace"
    threshold = f"under {most} in an hour, under {most_here} of them in the namespace"
    words = ""
    if everywhere >= most:
        until = _until(counted.everywhere, planned, most, now)
        words = f"the runaway guard stops all rolls{until}: {everywhere} within an hour, at most {most}"
    elif here >= most_here:
        until = _until(counted.here, planned, most_here, now)
        words = (
            f"the runaway guard stops the rolls of this namespace{until}:"
            f" {here} within an hour, at most {most_here} with {watched_pods} watched pods"
        )
    return Answer(words, value, threshold)


def _until(times: Sequence[datetime], planned: int, most: int, now: datetime) -> str:
    free = freed_at(times, planned, most, PERIOD, now)
    return "" if free is None else f" until {rfc3339(free)}"


def freed_at(times: Sequence[datetime], planned: int, most: int, per: timedelta, now: datetime) -> datetime | None:
    """Return when fewer than `most` will be left of what was made within `per`; None: never.

    `times`: of those within `per`, oldest first.
    """
    spent = [*times, *([now] * planned)]
    return spent[len(spent) - most] + per if 0 < most <= len(spent) else None
