"""Record of a MemoryPolicy in memory: what the other policies of its namespace need of it.

`controller.object_index` keeps one for each policy; the policy itself is read by its name at its own reconcile.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memroll.api.policy import MemoryPolicy
from memroll.model.object_record import ObjectRecord

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from memroll.api.base import WorkloadRef
    from memroll.api.selector import LabelSelector


@dataclass(frozen=True, slots=True)
class PolicyRecord(ObjectRecord):
    """One MemoryPolicy, without its settings for its own pods."""

    created_at: datetime
    selector: LabelSelector | None
    target_ref: WorkloadRef | None
    suspend: bool
    interval: timedelta
    watched_pods: int
    """Number of pods that the policy watches, by its status."""

    @classmethod
    def of(cls, policy: MemoryPolicy, *, deleting: bool = False) -> PolicyRecord:
        """Build the record of a policy."""
        spec = policy.spec
        return cls(
            namespace=sys.intern(policy.namespace),
            name=policy.name,
            uid=policy.uid,
            resource_version=policy.resource_version,
            generation=policy.generation,
            deleting=deleting,
            created_at=policy.created_at,
            selector=spec.selector,
            target_ref=spec.target_ref,
            suspend=spec.suspend,
            interval=spec.interval,
            watched_pods=policy.status.pods.total,
        )

    @classmethod
    def read(cls, raw: dict[str, Any]) -> PolicyRecord:
        """Parse the API server's JSON. Raises pydantic's ValidationError for an invalid object."""
        policy = MemoryPolicy.read(raw)
        return cls.of(policy, deleting=bool(raw["metadata"].get("deletionTimestamp")))

    @property
    def age_key(self) -> tuple[datetime, str]:
        """Sort key: pods belong to the oldest policy that selects them."""
        return self.created_at, self.name
