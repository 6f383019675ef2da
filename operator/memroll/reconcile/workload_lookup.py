"""Completes candidates with their workload, read once each per reconcile of a policy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from memroll.errors import TerminalError
from memroll.model.pods import ObjectRef, Workload
from memroll.reconcile.step_memory import Recent
from memroll.rolling.strategy_choice import would_release

if TYPE_CHECKING:
    from memroll.model.pods import Pod
    from memroll.planning.candidate import Candidate
    from memroll.reconcile.snapshot import PolicySnapshot
    from memroll.rolling.protocols import KubernetesClient

MAX_WORKLOAD_AGE_S = 900.0
"""Maximum age in seconds of a remembered workload. Chosen by hand: the schedule of pods that are not due uses its name,
its replicas and whether it is recreated, none of which changes often."""
MAX_WORKLOADS = 5000
"""Maximum number of remembered workloads, 1 KiB each. Chosen by hand."""

KnownWorkloads = Recent[ObjectRef, Workload]


def new_known_workloads() -> KnownWorkloads:
    """Return a memory of workloads by their controllers, for the reconciles of all policies."""
    return Recent(MAX_WORKLOAD_AGE_S, MAX_WORKLOADS)


@dataclass(frozen=True, slots=True)
class WorkloadLookup:
    """Reads workloads, and for a surge the objects that select a pod by its template hash.

    A workload that can't be read blocks its own pods; those of other workloads are not affected.
    """

    snapshot: PolicySnapshot
    kubernetes: KubernetesClient
    completed: set[ObjectRef] = field(default_factory=set)
    """Controllers whose pods have been completed."""
    _read: dict[ObjectRef, Workload | TerminalError | None] = field(default_factory=dict)
    _selectors: dict[tuple[ObjectRef, frozenset[tuple[str, str]]], str] = field(default_factory=dict)

    async def schedule(self, candidate: Candidate) -> Candidate:
        """Return the candidate with its workload, which may be remembered: enough to find out when the pod is due."""
        controller, snapshot = candidate.pod.controller, self.snapshot
        if controller is None:
            return candidate
        known = snapshot.workloads.get(controller, snapshot.now) if controller not in self._read else None
        return _with_workload(candidate, known or await self._find(controller))

    async def complete(self, candidate: Candidate) -> Candidate:
        """Return the candidate with its workload as it is now and what selects it, or why that can't be read."""
        controller = candidate.pod.controller
        if controller is None:
            return candidate
        self.completed.add(controller)
        completed = _with_workload(candidate, await self._find(controller))
        if completed.workload is None:
            return completed
        selector = await self._hash_selector(candidate.pod, controller, completed.workload)
        return replace(completed, hash_selector=selector)

    async def _find(self, controller: ObjectRef) -> Workload | TerminalError | None:
        if controller not in self._read:
            self._read[controller] = found = await self._request(controller)
            if isinstance(found, Workload):
                self.snapshot.workloads.put(controller, found, self.snapshot.now)
        return self._read[controller]

    async def _request(self, controller: ObjectRef) -> Workload | TerminalError | None:
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


def _with_workload(candidate: Candidate, found: Workload | TerminalError | None) -> Candidate:
    if isinstance(found, TerminalError):
        because = f"{candidate.pod.controller} can't be read: {found.message}"
        return replace(candidate, workload=None, unreadable_because=because)
    return replace(candidate, workload=found, unreadable_because="")
