"""Completes candidates with their workload, read once each per reconcile of a policy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from memroll.errors import TerminalError
from memroll.rolling.protocols import NetworkReader, WorkloadReader
from memroll.rolling.strategy_choice import would_release

if TYPE_CHECKING:
    from memroll.model.pods import ObjectRef, Pod, Workload
    from memroll.planning.candidate import Candidate
    from memroll.reconcile.snapshot import PolicySnapshot


class WorkloadClient(WorkloadReader, NetworkReader, Protocol):
    """Roles of the Kubernetes API that the lookup needs."""


@dataclass(frozen=True, slots=True)
class WorkloadLookup:
    """Reads workloads, and for a surge the objects that select a pod by its template hash.

    A workload that can't be read blocks its own pods; those of other workloads are not affected.
    """

    snapshot: PolicySnapshot
    kubernetes: WorkloadClient
    _workloads: dict[ObjectRef, Workload | TerminalError | None] = field(default_factory=dict)
    _selectors: dict[tuple[ObjectRef, frozenset[tuple[str, str]]], str] = field(default_factory=dict)

    async def complete(self, candidate: Candidate, controller: ObjectRef) -> Candidate:
        """Return the candidate with its workload, or with the reason why that can't be read."""
        if controller not in self._workloads:
            self._workloads[controller] = await self._find(controller)
        workload = self._workloads[controller]
        if isinstance(workload, TerminalError):
            return replace(candidate, unreadable_because=f"{controller} can't be read: {workload.message}")
        if workload is None:
            return candidate
        selector = await self._hash_selector(candidate.pod, controller, workload)
        return replace(candidate, workload=workload, hash_selector=selector)

    async def _find(self, controller: ObjectRef) -> Workload | TerminalError | None:
        try:
            return await self.kubernetes.find_workload(self.snapshot.policy.namespace, controller)
        except TerminalError as error:
            return error

    async def _hash_selector(self, pod: Pod, controller: ObjectRef, workload: Workload) -> str:
        """Find the selector once for all pods of a controller that have the same labels."""
        strategy = self.snapshot.policy.spec.roll.strategy
        if not would_release(strategy, pod, workload, self.snapshot.permissions):
            return ""
        key = controller, frozenset(pod.labels.items())
        if key not in self._selectors:
            self._selectors[key] = await self.kubernetes.find_hash_selector(pod, workload.hash_label)
        return self._selectors[key]
