"""Peers of containers, in the samples of a batch: found once for all candidates of a workload."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from memroll.detection.batches import peer_group_of
from memroll.detection.container_history import build_history

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.samples import QueryResult, SeriesRow
    from memroll.model.pod_names import WorkloadName
    from memroll.model.pods import Container, Pod

    Family = tuple[WorkloadName, str, int | None]
    """Workload, name of the container, and its limit."""
    Instance = tuple[str, str]
    """Pod, and ID of the container."""


class PeerRows:
    """Samples of a batch by workload. `groups`: the running pods of each workload."""

    def __init__(self, samples: QueryResult, groups: Mapping[WorkloadName | None, Sequence[Pod]]) -> None:
        self._groups = groups
        self._by_pod: dict[str, list[SeriesRow]] = defaultdict(list)
        for row in samples.rows:
            if len(row.rss):
                self._by_pod[row.pod].append(row)
        self._families: dict[Family, list[tuple[Instance, ContainerHistory]]] = {}

    def peers_of(self, pod: Pod, container: Container, own: SeriesRow) -> tuple[ContainerHistory, ...]:
        """Return the other instances of a container in its workload: of running pods, and of earlier ones."""
        workload = peer_group_of(pod)
        if workload is None:
            return ()
        family = workload, container.name, container.limit_bytes
        if family not in self._families:
            self._families[family] = self._find(family)
        return tuple(peer for instance, peer in self._families[family] if instance != (own.pod, own.container_id))

    def _find(self, family: Family) -> list[tuple[Instance, ContainerHistory]]:
        workload, container, limit_bytes = family
        running = self._groups[workload]
        names = {p.key.name for p in running}
        pattern = workload.pattern
        pods = [p for p in self._by_pod if p in names or (pattern is not None and pattern.matches(p))]
        starts_s = _starts_s(running, container)
        return [
            (
                (row.pod, row.container_id),
                build_history(row, starts_s.get(row.container_id, row.rss.first_s), limit_bytes),
            )
            for pod in pods
            for row in self._by_pod[pod]
            if row.container == container
        ]


def _starts_s(pods: Sequence[Pod], name: str) -> Mapping[str, float]:
    """Return the start of each running instance of this container, by its ID."""
    running = [c for p in pods for c in p.containers if c.name == name and c.id]
    return {c.id: c.started_at.timestamp() for c in running if c.started_at}
