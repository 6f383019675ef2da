"""Select the pods of a policy: those that its selector or its workload selects, and that no older policy has.

`reconcile.policy` calls `select_pods` with a `PodSource`: one that lists the pods for this policy alone, or the one of
`controller.shared_pods`, which lists them once for all policies of a namespace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from memroll.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.api.base import WorkloadRef
    from memroll.api.selector import LabelSelector
    from memroll.model.pods import Pod
    from memroll.model.policy_record import PolicyRecord
    from memroll.reconcile.snapshot import PolicySnapshot
    from memroll.rolling.protocols import PodReader


class PodSource(Protocol):
    """Lists the pods of one namespace."""

    async def list_selected(self, namespace: str, selector: LabelSelector) -> tuple[Pod, ...]:
        """Return the pods that a selector selects."""

    async def list_targeted(self, namespace: str, ref: WorkloadRef) -> tuple[Pod, ...]:
        """Return the pods of a workload; raise NotFoundError if it does not exist."""

    async def find_targeted(self, pods: Sequence[Pod], other: PolicyRecord, ref: WorkloadRef) -> set[str]:
        """Return the uids of those of these pods that belong to the workload that another policy names."""


@dataclass(frozen=True, slots=True)
class DirectPods:
    """Lists pods for one policy alone."""

    reader: PodReader

    async def list_selected(self, namespace: str, selector: LabelSelector) -> tuple[Pod, ...]:
        return await self.reader.list_pods(namespace, selector.to_query())

    async def list_targeted(self, namespace: str, ref: WorkloadRef) -> tuple[Pod, ...]:
        return await self.reader.list_target_pods(namespace, ref.api_version, ref.kind, ref.name)

    async def find_targeted(self, pods: Sequence[Pod], other: PolicyRecord, ref: WorkloadRef) -> set[str]:
        uids = {p.key.uid for p in pods}
        try:
            return {p.key.uid for p in await self.list_targeted(other.namespace, ref)} & uids
        except NotFoundError:
            return set()


@dataclass(frozen=True, slots=True)
class Selection:
    """Pods that a policy selects."""

    pods: tuple[Pod, ...]
    """Pods to watch: neither ended nor terminating, and of no older policy."""
    conflicting: tuple[str, ...]
    """Pods that belong to an older policy, as text."""
    suspended_owners: tuple[str, ...]
    """Names of the suspended ones of these policies."""
    evicted: tuple[Pod, ...]
    """Ended pods that the kubelet evicted because their node was low on memory."""


async def select_pods(snapshot: PolicySnapshot, source: PodSource) -> Selection:
    """Return the pods that a policy selects.

    A pod belongs to the oldest policy that selects it, also while that is suspended: a suspended policy means that its
    pods are left alone, and policies that are suspended one after the other must not take pods over from each other.
    """
    selected = await _list_pods(snapshot, source)
    field = "spec.selector" if snapshot.policy.spec.target_ref is None else "spec.targetRef"
    snapshot.bounds.check_pods(sum(1 for p in selected if not p.has_ended), field)
    watched_by = await find_owners(snapshot, selected, source)
    suspended = {other.name for other in snapshot.others if other.suspend}
    own = [p for p in selected if p.key.uid not in watched_by]
    conflicting = [p for p in selected if p.key.uid in watched_by and not p.has_ended]
    return Selection(
        pods=tuple(p for p in own if not p.deleting and not p.has_ended),
        conflicting=tuple(f"{p.key.name} ({watched_by[p.key.uid]})" for p in conflicting),
        suspended_owners=tuple(sorted({watched_by[p.key.uid] for p in conflicting} & suspended)),
        evicted=tuple(p for p in own if p.node_pressure_evicted_at is not None),
    )


async def find_owners(snapshot: PolicySnapshot, pods: Sequence[Pod], source: PodSource) -> dict[str, str]:
    """Return the uids of those of these pods that an older policy selects, each with the name of the oldest one."""
    own_age = snapshot.policy.created_at, snapshot.policy.name
    older = sorted((other for other in snapshot.others if other.age_key < own_age), key=lambda other: other.age_key)
    owners: dict[str, str] = {}
    for other in older:
        owners = dict.fromkeys(await _also_selected(pods, other, source), other.name) | owners
    return owners


async def _list_pods(snapshot: PolicySnapshot, source: PodSource) -> tuple[Pod, ...]:
    """Return the pods that the policy selects or whose workload it names; none if that does not exist."""
    policy = snapshot.policy
    if policy.spec.target_ref is None:
        assert policy.spec.selector is not None, "the model requires exactly one of the two"
        return await source.list_selected(policy.namespace, policy.spec.selector)
    try:
        return await source.list_targeted(policy.namespace, policy.spec.target_ref)
    except NotFoundError:
        return ()


async def _also_selected(pods: Sequence[Pod], other: PolicyRecord, source: PodSource) -> set[str]:
    """Return the uids of the pods that another policy selects as well: by their labels, or those of its workload."""
    if other.selector is not None:
        return {p.key.uid for p in pods if other.selector.matches(p.labels)}
    if other.target_ref is None or not pods:
        return set()
    return await source.find_targeted(pods, other, other.target_ref)
