"""Batches of pods whose samples are read at once: those of one workload together, and a bounded number in all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.detection.peers import MAX_PEERS
from memroll.model.pod_names import workload_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from memroll.model.pod_names import PodPattern, WorkloadName
    from memroll.model.pods import Pod

MAX_BATCH_PODS = 100
"""Maximum number of pods that are read at once (design note 0005)."""
MAX_PEERS_READ = MAX_PEERS
"""Maximum number of peers that are read with the candidates of a workload: as many as are compared."""
MAX_PODS_WITH_PREDECESSORS = MAX_PEERS
"""Maximum number of pods of a workload for its earlier pods to be read as well.

With more, the running ones are compared: their samples are newer.
"""


def by_peer_group(pods: Iterable[Pod]) -> dict[WorkloadName | None, list[Pod]]:
    """Group pods by workload; those without a controller have the key None."""
    groups: dict[WorkloadName | None, list[Pod]] = {}
    for pod in pods:
        groups.setdefault(peer_group_of(pod), []).append(pod)
    return groups


def peer_group_of(pod: Pod) -> WorkloadName | None:
    """Return the key under which a pod's peers are grouped; None for a pod without a controller."""
    workload = workload_of(pod)
    return None if workload is None else workload.peer_group


@dataclass(frozen=True, slots=True)
class Batch:
    """Pods that are read at once: candidates, their peers, and the name patterns of their earlier pods."""

    candidates: frozenset[str]
    """UIDs of the pods that are candidates."""
    pods: tuple[str, ...]
    """Names of all pods."""
    patterns: tuple[PodPattern, ...] = ()

    def merge(self, other: Batch) -> Batch:
        """Return a batch with the content of both."""
        return Batch(self.candidates | other.candidates, self.pods + other.pods, self.patterns + other.patterns)


EMPTY_BATCH = Batch(frozenset(), ())
"""Batch without pods."""


def split_alone(pods: Sequence[Pod], candidates: set[str]) -> Iterator[Batch]:
    """Split the reads of candidates without peers likewise."""
    own = [p for p in pods if p.key.uid in candidates]
    for i in range(0, len(own), MAX_BATCH_PODS):
        chunk = own[i : i + MAX_BATCH_PODS]
        yield Batch(frozenset(p.key.uid for p in chunk), tuple(p.key.name for p in chunk))


def split_into_batches(pods: Sequence[Pod], candidates: set[str]) -> Iterator[Batch]:
    """Split the reads so that memory is bounded, however many pods are candidates at once. `candidates`: UIDs."""
    batch = EMPTY_BATCH
    for workload, members in by_peer_group(pods).items():
        for part in _parts(workload, members, candidates):
            if len(batch.pods) + len(part.pods) > MAX_BATCH_PODS:
                if batch.pods:
                    yield batch
                batch = EMPTY_BATCH
            batch = batch.merge(part)
    if batch.pods:
        yield batch


def _parts(workload: WorkloadName | None, members: Sequence[Pod], candidates: set[str]) -> Iterator[Batch]:
    """Yield the candidates of one workload in parts of bounded size, each with the same peers."""
    own = [p for p in members if p.key.uid in candidates]
    others = [p for p in members if p.key.uid not in candidates]
    peers = [] if workload is None else _spread_by_age(others, MAX_PEERS_READ)
    pattern = workload.pattern if workload and len(members) <= MAX_PODS_WITH_PREDECESSORS else None
    for i in range(0, len(own), MAX_BATCH_PODS - MAX_PEERS_READ):
        chunk = own[i : i + MAX_BATCH_PODS - MAX_PEERS_READ]
        names = tuple(p.key.name for p in (*chunk, *peers))
        yield Batch(frozenset(p.key.uid for p in chunk), names, (pattern,) if pattern else ())


def _spread_by_age(pods: Sequence[Pod], max_pods: int) -> Sequence[Pod]:
    """Return at most `max_pods`, of all ages: old and young ones are needed to separate age from time."""
    by_age = sorted(pods, key=lambda p: p.created_at)
    if len(by_age) <= max_pods:
        return by_age
    return [by_age[round(i * (len(by_age) - 1) / (max_pods - 1))] for i in range(max_pods)]
