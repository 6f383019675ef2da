"""Work on one batch of candidates: its containers, what is read of them, and the results of the reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from memroll.detection.batches import Batch
    from memroll.detection.extremes import Extremes
    from memroll.detection.parameters import DetectionParameters
    from memroll.detection.samples import QueryResult
    from memroll.model.pods import Container, Pod


class Stage(Enum):
    """Stage of the assessment of a candidate."""

    ALONE = auto()
    """By its own memory."""
    IN_CONTEXT = auto()
    """With its load, OOM kills, page cache and peers."""


@dataclass(frozen=True, slots=True)
class WatchedContainer:
    """Container that the policy watches, with its pod and the parameters by which it is assessed."""

    pod: Pod
    container: Container
    parameters: DetectionParameters

    @property
    def key(self) -> tuple[str, str]:
        """UID of the pod and name of the container."""
        return self.pod.key.uid, self.container.name

    def age_s(self, now_s: float) -> float:
        """Return the seconds since the start of the container; infinity if it is not running."""
        started = self.container.started_at
        return float("inf") if started is None else now_s - started.timestamp()


@dataclass(frozen=True, slots=True)
class BatchWork:
    """Containers of a batch that have no verdict yet."""

    stage: Stage
    batch: Batch
    containers: tuple[WatchedContainer, ...]
    candidates: AbstractSet[str]
    """Names of the pods with a candidate, also of those that have their verdicts."""
    near: AbstractSet[str]
    """Names of the pods with a candidate near its limit."""

    @property
    def pods(self) -> tuple[str, ...]:
        """Names of the pods of these containers."""
        return tuple(dict.fromkeys(w.pod.key.name for w in self.containers))


@dataclass(frozen=True, slots=True)
class BatchData:
    """Results of the reads of one batch."""

    samples: QueryResult
    extremes: Extremes
    """Long histories of the candidates near their limit."""
