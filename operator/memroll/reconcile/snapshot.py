"""What one pass over one policy looks at, and through what."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from memroll.model.permissions import EVERYTHING, Permits
from memroll.planning.rate_limit import DEFAULT_GUARD, Guard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy
    from memroll.model.pods import ObjectRef, Target, Workload


class Cluster(Protocol):
    """What a pass needs of Kubernetes."""

    async def selector_of(self, namespace: str, api_version: str, kind: str, name: str) -> str: ...
    async def targets(self, namespace: str, selector: str) -> tuple[Target, ...]: ...
    async def workload_of(
        self, namespace: str, controller: ObjectRef, top: ObjectRef | None = None
    ) -> Workload | None: ...
    async def hash_selected_by(self, target: Target, hash_label: str) -> str: ...
    async def namespace_annotations(self, namespace: str) -> Mapping[str, str]: ...
    async def rolls(self, namespace: str) -> tuple[dict[str, Any], ...]: ...
    async def roll(self, namespace: str, name: str) -> dict[str, Any] | None: ...
    async def create_roll(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]: ...
    async def delete_roll(self, namespace: str, name: str, uid: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Scene:
    """What one pass looks at: the policy, its namespace's other policies and rolls, and the time."""

    policy: MemoryPolicy
    others: tuple[MemoryPolicy, ...]
    rolls: tuple[PodRoll, ...]
    now: datetime
    permits: Permits = EVERYTHING
    leads: Callable[[], bool] = lambda: True
    guard: Guard = DEFAULT_GUARD
    namespaces: tuple[str, ...] = ()
    """Those in which rolls are counted for the guard; empty: all."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Who plans and records holds it: passes at the same time would each count without the other's rolls."""

    @property
    def own_rolls(self) -> tuple[PodRoll, ...]:
        return tuple(r for r in self.rolls if r.spec.policy == self.policy.name)
