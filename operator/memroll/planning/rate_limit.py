"""Rate limit: maximum number of rolls in an hour, whatever policies and verdicts request.

It protects against bugs of memroll itself. Therefore it depends on nothing but the PodRolls that exist: each PodRoll
created within the last hour counts, regardless of who created it and how it ended. `rate_gates` calls `check`;
`reconcile.counts` counts the PodRolls.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.planning.gate_result import GateResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

PERIOD = timedelta(hours=1)
"""Period in which rolls are counted."""
MIN_NAMESPACE_ROLLS = 3
"""Minimum of the limit per namespace, in rolls per hour: a ratio of a small namespace would be less than one pod."""


@dataclass(frozen=True, slots=True)
class RollRateLimit:
    """Rate limit as the administrator configures it."""

    max_rolls_per_hour: int = 30
    """Maximum rolls per hour in all namespaces together."""
    max_namespace_ratio: float = 0.5
    """Maximum rolls per hour in one namespace, as a ratio of its watched pods."""

    def max_in_namespace(self, watched_pods: int) -> int:
        """Return the maximum rolls per hour of a namespace with that many watched pods."""
        return max(MIN_NAMESPACE_ROLLS, int(self.max_namespace_ratio * watched_pods))


DEFAULT_RATE_LIMIT = RollRateLimit()
"""Rate limit without configuration."""


@dataclass(frozen=True, slots=True)
class RecentRolls:
    """Creation times of the PodRolls of the last hour, oldest first."""

    all_namespaces: tuple[datetime, ...]
    in_namespace: tuple[datetime, ...]
    """Only those in the namespace of the policy."""


def count_recent_rolls(created: Iterable[tuple[str, datetime]], namespace: str, now: datetime) -> RecentRolls:
    """Count PodRolls, each given by its namespace and its creation time."""
    recent = sorted((at, where) for where, at in created if at > now - PERIOD)
    return RecentRolls(tuple(at for at, _ in recent), tuple(at for at, where in recent if where == namespace))


def check(limit: RollRateLimit, recent: RecentRolls, watched_pods: int, planned: int, now: datetime) -> GateResult:
    """Block if one more roll would exceed the limit.

    `watched_pods`: number of pods that all policies of the namespace watch; `planned`: number of rolls that are
    planned, but not created yet.
    """
    max_total, max_here = limit.max_rolls_per_hour, limit.max_in_namespace(watched_pods)
    total, here = len(recent.all_namespaces) + planned, len(recent.in_namespace) + planned
    message = ""
    if total >= max_total:
        until = _until(recent.all_namespaces, planned, max_total, now)
        message = f"the roll rate limit blocks all rolls{until}: {total} within an hour, at most {max_total}"
    elif here >= max_here:
        until = _until(recent.in_namespace, planned, max_here, now)
        message = (
            f"the roll rate limit blocks the rolls of this namespace{until}:"
            f" {here} within an hour, at most {max_here} with {watched_pods} watched pods"
        )
    observed = f"{total} rolls, {here} of them in the namespace"
    required = f"under {max_total} in an hour, under {max_here} of them in the namespace"
    return GateResult(message, observed, required)


def _until(times: Sequence[datetime], planned: int, max_rolls: int, now: datetime) -> str:
    free_at = next_free_at(times, planned, max_rolls, PERIOD, now)
    return "" if free_at is None else f" until {rfc3339(free_at)}"


def next_free_at(
    times: Sequence[datetime], planned: int, max_rolls: int, period: timedelta, now: datetime
) -> datetime | None:
    """Return the time at which fewer than `max_rolls` will lie within the last `period`; None: never.

    `times`: the rolls within the last `period`, oldest first.
    """
    counted = [*times, *([now] * planned)]
    return counted[len(counted) - max_rolls] + period if 0 < max_rolls <= len(counted) else None
