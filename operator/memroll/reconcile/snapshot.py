"""Snapshot that one reconcile of a policy works on. `controller.policy_controller` builds it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.api.policy_bounds import UNBOUNDED, PolicyBounds
from memroll.model.permissions import ALL_PERMISSIONS, Permissions
from memroll.model.roll_duration import StartTimes
from memroll.planning.rate_limit import DEFAULT_RATE_LIMIT, RollRateLimit
from memroll.reconcile.step_memory import CreatedRoll, Recent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from memroll.api.policy import MemoryPolicy
    from memroll.model.pods import ObjectRef, Workload
    from memroll.model.policy_record import PolicyRecord
    from memroll.model.roll_record import RollRecord
    from memroll.reconcile.selection import PodSource
    from memroll.rolling.protocols import RollSource


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """A policy, the other policies and the PodRolls of its namespace, the time, and the permissions of this process."""

    policy: MemoryPolicy
    others: tuple[PolicyRecord, ...]
    rolls: tuple[RollRecord, ...]
    now: datetime
    permissions: Permissions = ALL_PERMISSIONS
    leads: Callable[[], bool] = lambda: True
    """Return whether this process holds the Lease. Called again before each write."""
    rate_limit: RollRateLimit = DEFAULT_RATE_LIMIT
    bounds: PolicyBounds = UNBOUNDED
    """Bounds that the administrator set."""
    namespaces: tuple[str, ...] = ()
    """Namespaces whose rolls count for the rate limit; empty: all."""
    is_due_elsewhere: Callable[[], bool] = lambda: False
    """Return whether a pod of another namespace is due. Called when PodRolls are counted."""
    planning_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Lock for planning and creating PodRolls: concurrent reconciles would not count each other's rolls."""

    read_others: Callable[[], Awaitable[tuple[PolicyRecord, ...]]] | None = None
    """Read the other policies again, before a roll is created; None: `others` were just read."""
    pod_source: PodSource | None = None
    """Lists the pods of the policy; None: each policy lists its own."""
    start_times: StartTimes = field(default_factory=StartTimes)
    """Start times of the policy's pods in earlier reconciles. The reconcile updates them."""

    roll_source: RollSource | None = None
    """Reads the PodRolls again, before a roll is created; None: they are listed with all that they contain."""
    planned: Recent[tuple[str, str], CreatedRoll] = field(default_factory=lambda: Recent(0.0))
    """As in `StepMemory`. The reconcile updates it."""
    workloads: Recent[ObjectRef, Workload] = field(default_factory=lambda: Recent(0.0))
    """Workloads that earlier reconciles have read. The reconcile updates them."""

    @property
    def own_rolls(self) -> tuple[RollRecord, ...]:
        """PodRolls of this policy."""
        return tuple(r for r in self.rolls if r.spec.policy == self.policy.name)
