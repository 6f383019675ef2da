"""Pods of a namespace, listed once for all of its policies, and the workloads that policies name, resolved once each.

`PolicyController` gives each reconcile a `NamespacePods`. A list is used for a tenth of the policy's interval, at most
`MAX_AGE_S`: a decision is not made about pods as they were long ago, and whatever acts on a pod reads it again. A
workload is resolved at the reconcile of its own policy, and again if a pod seems to belong to it by its name, but not
by the result: a new revision has a new ReplicaSet. Design note 0024.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.errors import NotFoundError
from memroll.model.pod_names import workload_of
from memroll.model.target import controller_uid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memroll.api.base import WorkloadRef
    from memroll.api.policy import MemoryPolicy
    from memroll.api.selector import LabelSelector
    from memroll.model.pods import Pod
    from memroll.model.policy_record import PolicyRecord
    from memroll.model.target import TargetControllers
    from memroll.rolling.protocols import PodReader

AGE_RATIO = 0.1
"""Maximum age of a list of pods, as a ratio of the policy's interval. Chosen by hand."""
MAX_AGE_S = 30.0
"""Maximum age of a list of pods in seconds, chosen by hand."""
MIN_SHARED_PODS = 200
"""Number of pods up to which a namespace is listed as a whole, whatever its policies watch: one page."""
MAX_UNWATCHED_RATIO = 2
"""Maximum ratio of a namespace's pods to those that its policies watch. In a namespace with more, each policy lists its
own pods. Chosen by hand."""
RETRY_SHARING_S = 3600.0
"""Time in seconds until a namespace with too many other pods is listed as a whole again. Chosen by hand."""
MAX_TARGETS = 2000
"""Number of resolved workloads above which the old ones are removed. Chosen by hand."""

TargetKey = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class _Listing:
    pods: tuple[Pod, ...] | None
    """None: the namespace has too many other pods."""
    at_s: float
    """Time before the request."""
    max_pods: int = 0


@dataclass(slots=True)
class SharedPods:
    """Lists of pods by namespace, and resolved workloads. Lists are removed once they are too old."""

    reader: PodReader
    elapsed_s: Callable[[], float]
    _listings: dict[str, _Listing] = field(default_factory=dict)
    _targets: dict[TargetKey, tuple[float, TargetControllers]] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def list_namespace(self, namespace: str, max_age_s: float, max_pods: int) -> tuple[Pod, ...] | None:
        """Return the pods of a namespace, no older than that; None if it has more than `max_pods`."""
        async with self._locks[namespace]:
            now_s, listing = self.elapsed_s(), self._listings.get(namespace)
            if listing is not None and now_s - listing.at_s <= self._max_age_s(listing, max_age_s, max_pods):
                return listing.pods
            listing = _Listing(await self.reader.list_all_pods(namespace, max_pods), now_s, max_pods)
            self._listings[namespace] = listing
            if listing.pods is not None:
                asyncio.get_running_loop().call_later(max_age_s, self._remove, namespace, listing)
            return listing.pods

    def _max_age_s(self, listing: _Listing, max_age_s: float, max_pods: int) -> float:
        """Return for how long a list is used. More pods may have been found to be watched since it was given up."""
        if listing.pods is not None:
            return max_age_s
        return RETRY_SHARING_S if max_pods < 2 * listing.max_pods else 0.0

    def _remove(self, namespace: str, listing: _Listing) -> None:
        if self._listings.get(namespace) is listing:
            del self._listings[namespace]

    async def resolve(self, namespace: str, ref: WorkloadRef) -> TargetControllers:
        """Resolve a workload now; raise NotFoundError if it does not exist."""
        key = _key(namespace, ref)
        self._targets.pop(key, None)
        found = await self.reader.resolve_target(namespace, ref.api_version, ref.kind, ref.name)
        if len(self._targets) >= MAX_TARGETS:
            del self._targets[min(self._targets, key=lambda k: self._targets[k][0])]
        self._targets[key] = self.elapsed_s(), found
        return found

    async def resolved(self, namespace: str, ref: WorkloadRef, max_age_s: float) -> TargetControllers:
        """Return a workload that was resolved no longer ago than that, or resolve it now."""
        known = self._targets.get(_key(namespace, ref))
        if known is not None and self.elapsed_s() - known[0] <= max_age_s:
            return known[1]
        return await self.resolve(namespace, ref)


def _key(namespace: str, ref: WorkloadRef) -> TargetKey:
    return namespace, ref.api_version, ref.kind, ref.name


@dataclass(frozen=True, slots=True)
class NamespacePods:
    """Source of the pods of one policy's namespace, which other policies share."""

    shared: SharedPods
    max_age_s: float
    max_pods: int
    """Maximum number of pods for a list of the whole namespace; 0: no other policy lists pods."""

    @classmethod
    def of(cls, shared: SharedPods, policy: MemoryPolicy, others: Sequence[PolicyRecord]) -> NamespacePods:
        """Return the source for a policy, with the bounds that follow from its interval and what is watched."""
        active = [other for other in others if not other.suspend]
        watched = policy.status.pods.total + sum(other.watched_pods for other in active)
        max_pods = max(MIN_SHARED_PODS, MAX_UNWATCHED_RATIO * watched) if active else 0
        max_age_s = min(MAX_AGE_S, AGE_RATIO * policy.spec.interval.total_seconds())
        return cls(shared, max_age_s, max_pods)

    async def list_selected(self, namespace: str, selector: LabelSelector) -> tuple[Pod, ...]:
        pods = await self._list(namespace)
        if pods is None:
            return await self.shared.reader.list_pods(namespace, selector.to_query())
        return tuple(p for p in pods if selector.matches(p.labels))

    async def list_targeted(self, namespace: str, ref: WorkloadRef) -> tuple[Pod, ...]:
        target = await self.shared.resolve(namespace, ref)
        pods = await self._list(namespace)
        if pods is None:
            pods = await self.shared.reader.list_pods(namespace, target.selector)
        return tuple(p for p in pods if controller_uid_of(p) in target.uids)

    async def find_targeted(self, pods: Sequence[Pod], other: PolicyRecord, ref: WorkloadRef) -> set[str]:
        try:
            target = await self.shared.resolved(other.namespace, ref, 2 * other.interval.total_seconds())
            if any(_seems_new(p, ref, target) for p in pods):
                target = await self.shared.resolve(other.namespace, ref)
        except NotFoundError:
            return set()
        return {p.key.uid for p in pods if controller_uid_of(p) in target.uids}

    @property
    def is_shared(self) -> bool:
        """True if other policies of the namespace list pods as well."""
        return self.max_pods > 0

    async def _list(self, namespace: str) -> tuple[Pod, ...] | None:
        if not self.is_shared:
            return None
        return await self.shared.list_namespace(namespace, self.max_age_s, self.max_pods)


def _seems_new(pod: Pod, ref: WorkloadRef, target: TargetControllers) -> bool:
    """Return whether a pod belongs to a workload by its names, but not by the controllers that are known."""
    workload = workload_of(pod)
    is_named = workload is not None and (workload.kind, workload.name) == (ref.kind, ref.name)
    return is_named and controller_uid_of(pod) not in target.uids
