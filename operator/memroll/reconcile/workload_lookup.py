"""Completes candidates with their workload, read once each per reconcile of a policy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from memroll.errors import TerminalError
from memroll.model.pods import ObjectRef, Workload
from memroll.reconcile.step_memory import Recent
from memroll.rolling.protocols import NetworkReader, WorkloadReader
from memroll.rolling.strategy_choice import would_release

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memroll.model.pods import Pod
    from memroll.planning.candidate import Candidate
    from memroll.reconcile.snapshot import PolicySnapshot

MAX_WORKLOAD_AGE_S = 900.0
"""Maximum age in seconds of a remembered workload. Chosen by hand: the schedule of pods that are not due uses its name,
its replicas and whether it is recreated, none of which changes often."""
MAX_WORKLOADS = 5000
"""Maximum number of remembered workloads, 1 KiB each. Chosen by hand."""

SelectorKey = tuple[ObjectRef | None, frozenset[tuple[str, str]]]
KnownWorkloads = Recent[ObjectRef, Workload]


def new_known_workloads() -> KnownWorkloads:
    """Return a memory of workloads by their controllers, for the reconciles of all policies."""
    return Recent(MAX_WORKLOAD_AGE_S, MAX_WORKLOADS)


class WorkloadClient(WorkloadReader, NetworkReader, Protocol):
    """Roles of the Kubernetes API that the lookup needs."""


@dataclass(frozen=True, slots=True)
class WorkloadLookup:
    """Reads workloads, and for a surge the objects that select a pod by its template hash.

    A workload that can't be read blocks its own pods; those of other workloads are not affected.
    """

    snapshot: PolicySnapshot
    kubernetes: WorkloadClient
    completed: set[ObjectRef] = field(default_factory=set)
    """Controllers whose pods have been completed."""
    _read: dict[ObjectRef, Workload | TerminalError | None] = field(default_factory=dict)
    _selectors: dict[SelectorKey, str] = field(default_factory=dict)

    async def schedule(self, candidate: Candidate) -> Candidate:
        """Return the candidate with its workload, which may be remembered: enough to find out when the pod is due."""
        controller, snapshot = candidate.pod.controller, self.snapshot
        if controller is None:
            return candidate
        known = snapshot.workloads.get(controller, snapshot.now) if controller not in self._read else None
        return _with_workload(candidate, known or await self._find(controller))

    async def complete(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Return the candidates with their workloads and what selects them now, or why that can't be read."""
        found = [await self._complete(candidate) for candidate in candidates]
        releasable = [c for c in found if self._would_release(c)]
        await self._find_selectors(releasable)
        selectors = {c.pod.key.uid: self._selectors[_selector_key(c.pod)] for c in releasable}
        return [replace(c, hash_selector=selectors.get(c.pod.key.uid, "")) for c in found]

    async def _complete(self, candidate: Candidate) -> Candidate:
        controller = candidate.pod.controller
        if controller is None:
            return candidate
        self.completed.add(controller)
        return _with_workload(candidate, await self._find(controller))

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

    async def _find_selectors(self, candidates: Sequence[Candidate]) -> None:
        """Find what selects these pods by one read, once for all pods of a controller that have the same labels."""
        wanted: dict[SelectorKey, tuple[Pod, str]] = {}
        for c in candidates:
            key = _selector_key(c.pod)
            if c.workload is not None and key not in self._selectors:
                wanted.setdefault(key, (c.pod, c.workload.hash_label))
        if wanted:
            namespace = self.snapshot.policy.namespace
            found = await self.kubernetes.find_hash_selectors(namespace, list(wanted.values()))
            self._selectors.update(zip(wanted, found, strict=True))

    def _would_release(self, candidate: Candidate) -> bool:
        workload, snapshot = candidate.workload, self.snapshot
        strategy = snapshot.policy.spec.roll.strategy
        return workload is not None and would_release(strategy, candidate.pod, workload, snapshot.permissions)


def _selector_key(pod: Pod) -> SelectorKey:
    return pod.controller, frozenset(pod.labels.items())


def _with_workload(candidate: Candidate, found: Workload | TerminalError | None) -> Candidate:
    if isinstance(found, TerminalError):
        because = f"{candidate.pod.controller} can't be read: {found.message}"
        return replace(candidate, workload=None, unreadable_because=because)
    return replace(candidate, workload=found, unreadable_because="")
