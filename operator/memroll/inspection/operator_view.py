"""The operator's view of a policy: the snapshot that it would reconcile, by the settings that it would have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from memroll.api.decode import decode_valid
from memroll.api.policy import MemoryPolicy
from memroll.api.quantity import parse_percentage
from memroll.clients.kube.json_access import get_str
from memroll.controller.context import bounds_from, permissions_from
from memroll.model.policy_record import PolicyRecord
from memroll.model.roll_record import RollRecord
from memroll.planning.rate_limit import RollRateLimit
from memroll.reconcile.examine import ClusterReader
from memroll.reconcile.snapshot import PolicySnapshot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from memroll.settings import Settings


class Inspected(ClusterReader, Protocol):
    """Roles of the Kubernetes API that an inspection needs. None of them writes."""

    async def list_policies(self, namespaces: Sequence[str]) -> tuple[dict[str, Any], ...]: ...
    async def get_policy(self, namespace: str, name: str) -> dict[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class NamespaceView:
    """Policies and PodRolls of a namespace, and the settings of the operator."""

    policies: tuple[MemoryPolicy, ...]
    """Valid policies, the oldest first: it is the one that a pod belongs to."""
    records: tuple[PolicyRecord, ...]
    invalid: tuple[str, ...]
    """Names of the invalid policies, which watch no pod."""
    rolls: tuple[RollRecord, ...]
    settings: Settings
    now: datetime

    def snapshot(self, policy: MemoryPolicy) -> PolicySnapshot:
        """Build the snapshot that the operator would reconcile. This process is assumed to lead."""
        settings = self.settings
        return PolicySnapshot(
            policy=policy,
            others=tuple(record for record in self.records if record.uid != policy.uid),
            rolls=self.rolls,
            now=self.now,
            permissions=permissions_from(settings),
            rate_limit=RollRateLimit(
                settings.max_rolls_per_hour, settings.max_namespace_share, parse_percentage(settings.namespace_quota)
            ),
            bounds=bounds_from(settings),
            namespaces=settings.watch_namespaces,
        )


async def read_namespace(cluster: Inspected, namespace: str, settings: Settings, now: datetime) -> NamespaceView:
    """Read the policies and PodRolls of a namespace. Invalid ones are left out, as the operator does."""
    raws = await cluster.list_policies((namespace,))
    records = tuple(decode_valid(raws, PolicyRecord.read))
    age = {record.uid: record.age_key for record in records}
    invalid: list[dict[str, Any]] = []
    policies = [p for p in decode_valid(raws, MemoryPolicy.read, invalid.append) if p.uid in age]
    rolls = [raw async for raw in cluster.iterate_rolls(namespace)]
    return NamespaceView(
        tuple(sorted(policies, key=lambda p: age[p.uid])),
        records,
        tuple(get_str(raw, "metadata", "name") for raw in invalid),
        tuple(decode_valid(rolls, RollRecord.read)),
        settings,
        now,
    )
