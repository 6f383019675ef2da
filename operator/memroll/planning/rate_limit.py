"""Rate limit: maximum number of rolls in an hour, whatever policies and verdicts request.

It protects against bugs of memroll itself. Therefore it depends on nothing but the PodRolls that exist: each PodRoll
of the last hour counts that has changed a pod, or may still do so. `rate_gates` calls `check`; `reconcile.counts`
reads the PodRolls.

Namespaces are shared fairly, because a tenant can create PodRolls. Those created by hand count only in their own
namespace, and what a namespace uses beyond its quota does not count for others: a single namespace can't block them.
"""

from __future__ import annotations

from collections import defaultdict
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
    namespace_quota_ratio: float = 0.5
    """Ratio of `max_rolls_per_hour` that a namespace may use while a pod of another one is due."""

    @property
    def namespace_quota(self) -> int:
        """Rolls per hour that a namespace may use while a pod of another one is due; at least one."""
        return max(1, int(self.namespace_quota_ratio * self.max_rolls_per_hour))

    def max_in_namespace(self, watched_pods: int) -> int:
        """Return the maximum rolls per hour of a namespace with that many watched pods."""
        return max(MIN_NAMESPACE_ROLLS, int(self.max_namespace_ratio * watched_pods))


DEFAULT_RATE_LIMIT = RollRateLimit()
"""Rate limit without configuration."""


@dataclass(frozen=True, slots=True)
class CountedRoll:
    """PodRoll that counts for the rate limit."""

    namespace: str
    created_at: datetime
    counts_elsewhere: bool = True
    """False for a PodRoll that no policy requested, or that can't be read: it counts only in its own namespace."""


@dataclass(frozen=True, slots=True)
class RecentRolls:
    """Creation times of the PodRolls of the last hour that count for a namespace, oldest first."""

    elsewhere: tuple[datetime, ...]
    """PodRolls in other namespaces, of each namespace at most its quota."""
    in_namespace: tuple[datetime, ...]
    due_elsewhere: bool = False
    """True if a pod of another namespace is due."""


def count_recent_rolls(
    rolls: Iterable[CountedRoll], namespace: str, now: datetime, limit: RollRateLimit
) -> RecentRolls:
    """Count the PodRolls of the last hour for one namespace."""
    own: list[datetime] = []
    others: dict[str, list[datetime]] = defaultdict(list)
    for roll in sorted(rolls, key=lambda r: r.created_at):
        if roll.created_at <= now - PERIOD:
            continue
        if roll.namespace == namespace:
            own.append(roll.created_at)
        elif roll.counts_elsewhere:
            others[roll.namespace].append(roll.created_at)
    elsewhere = sorted(at for times in others.values() for at in times[-limit.namespace_quota :])
    return RecentRolls(tuple(elsewhere), tuple(own))


def check(limit: RollRateLimit, recent: RecentRolls, watched_pods: int, planned: int, now: datetime) -> GateResult:
    """Block if one more roll would exceed the limit.

    `watched_pods`: number of pods that all policies of the namespace watch; `planned`: number of rolls that are
    planned, but not created yet.
    """
    quota, max_total = limit.namespace_quota, limit.max_rolls_per_hour
    max_here = limit.max_in_namespace(watched_pods)
    everywhere = sorted((*recent.elsewhere, *recent.in_namespace))
    total, here = len(everywhere) + planned, len(recent.in_namespace) + planned
    blocks, message = "the roll rate limit blocks the roll", ""
    if total >= max_total:
        message = f"{blocks}{_until(everywhere, planned, max_total, now)}: {total} rolls {_total_remedy(max_total)}"
    elif here >= quota and recent.due_elsewhere:
        until = _until(recent.in_namespace, planned, quota, now)
        message = f"{blocks}{until}: {here} rolls of this namespace {_quota_remedy(quota, max_total)}"
    elif here >= max_here:
        until = _until(recent.in_namespace, planned, max_here, now)
        message = f"{blocks}{until}: {here} rolls of this namespace {_share_remedy(max_here, watched_pods)}"
    allowed_here = min(max_here, quota) if recent.due_elsewhere else max_here
    observed = f"{total} rolls, {here} of them in the namespace"
    required = f"under {max_total} in an hour, under {allowed_here} of them in the namespace"
    return GateResult(message, observed, required)


def _total_remedy(max_total: int) -> str:
    return (
        f"within an hour, at most {max_total}:"
        " check `kubectl get podrolls -A` before you raise rollRateLimit.maxRollsPerHour"
    )


def _quota_remedy(quota: int, max_total: int) -> str:
    return (
        f"within an hour, at most {quota} of {max_total} while a pod of another namespace is due:"
        " raise rollRateLimit.maxRollsPerHour or rollRateLimit.namespaceQuota"
    )


def _share_remedy(max_here: int, watched_pods: int) -> str:
    return f"within an hour, at most {max_here} with {watched_pods} watched pods: raise rollRateLimit.maxNamespaceShare"


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
