"""Assessment of a policy's pods: prefilter all containers, read the candidates' samples, assess each with its peers.

`reconcile.policy` builds an `Assessor` for each reconcile; the result is an `Assessment` for each watched container.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from memroll.detection.assessment import Assessment
from memroll.detection.batches import by_peer_group, peer_group_of, split_into_batches
from memroll.detection.container_history import ContainerHistory, build_history
from memroll.detection.extremes import NO_EXTREMES, Extremes, ExtremesRequest
from memroll.detection.long_history import needs_long_history
from memroll.detection.parameters import build_parameters
from memroll.detection.pod_limit import NOT_SHARED, SharedLimits
from memroll.detection.prefilter import prefilter_verdict, prefilter_windows_s
from memroll.detection.reasons import VerdictReason
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.detection.slow_slopes import slow_bins
from memroll.detection.verdict import ContainerVerdict, Verdict, verdict_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from memroll.api.policy import MemoryPolicy
    from memroll.detection.batches import Batch
    from memroll.detection.parameters import DetectionParameters
    from memroll.detection.samples import PrefilterResult, QueryResult, SeriesRow, SlowBins
    from memroll.model.pods import Container, Pod
    from memroll.model.roll_duration import RollDurations

logger = logging.getLogger(__name__)

NO_SAMPLES = ContainerVerdict(
    Verdict.INCONCLUSIVE,
    VerdictReason.NO_DATA,
    "Prometheus has no samples of this container: is cAdvisor scraped?",
)
"""Verdict of a container of which Prometheus has no series."""


def without_samples_of(other: str) -> ContainerVerdict:
    """Return the verdict of a container that shares the limit of its pod with one of which Prometheus has no series."""
    message = f"Prometheus has no samples of container {other}, which shares the pod's limit: is it scraped?"
    return ContainerVerdict(Verdict.INCONCLUSIVE, VerdictReason.NO_DATA, message)


NOT_RUNNING = ContainerVerdict(Verdict.INCONCLUSIVE, VerdictReason.NOT_RUNNING, "the container is not running")
"""Verdict of a container that is not running."""
FAILED = ContainerVerdict(
    Verdict.INCONCLUSIVE,
    VerdictReason.ASSESSMENT_FAILED,
    "the assessment of this container failed, a bug of memroll: its log has the details",
)
"""Verdict of a container whose assessment raised an exception."""
FIRST_SCRAPES_S = 120.0
"""Time after the start of a container in which its first scrapes may still be missing, in seconds. Chosen by hand: the
kubelet's endpoints are scraped independently, each every 15 s to 60 s, and cAdvisor's own values are up to 20 s old."""
_NOT_SCRAPED = (VerdictReason.NO_DATA, VerdictReason.NO_RSS)


def excuse_young(verdict: ContainerVerdict, age_s: float) -> ContainerVerdict:
    """Return the verdict, for a container this young without the advice to change the scrapes."""
    if verdict.reason not in _NOT_SCRAPED or age_s >= FIRST_SCRAPES_S:
        return verdict
    missing = "samples" if verdict.usage_bytes is None else "RSS"
    message = f"too young: {max(age_s, 0):.0f} s old, and Prometheus has no {missing} of it yet"
    return replace(verdict, reason=VerdictReason.NOT_SCRAPED_YET, message=message)


class SampleReader(Protocol):
    """Queries of Prometheus that an assessment needs."""

    async def prefilter(
        self,
        connection: str,
        namespace: str,
        pods: Sequence[str],
        windows_s: Sequence[float],
        at_s: float,
        slow: SlowBins,
    ) -> PrefilterResult: ...

    async def read(self, connection: str, request: ReadRequest) -> QueryResult: ...

    async def read_extremes(self, connection: str, request: ExtremesRequest) -> Extremes:
        """Return the long histories as far as they can be read; an error is no reason not to assess."""
        ...


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
class BatchData:
    """Results of the reads of one batch."""

    samples: QueryResult
    extremes: Extremes
    """Long histories of the candidates near their limit."""


@dataclass(frozen=True)
class Assessor:
    """Assesses the pods of one policy at one instant."""

    policy: MemoryPolicy
    pods: tuple[Pod, ...]
    roll_durations: RollDurations
    now: datetime
    shared_limits: SharedLimits = NOT_SHARED
    """Pods whose containers share a limit, once the statistics are known."""

    @property
    def now_s(self) -> float:
        """Time of the assessment, in seconds since the epoch."""
        return self.now.timestamp()

    @cached_property
    def containers(self) -> tuple[WatchedContainer, ...]:
        """Watched containers; their parameters are computed here, once for each reconcile."""
        watched = self.policy.spec.containers
        return tuple(
            WatchedContainer(pod, c, build_parameters(self.policy, c.limit_bytes, self.roll_durations.of_pod_s(pod)))
            for pod in self.pods
            for c in pod.containers
            if not watched or c.name in watched
        )

    async def assess(self, prometheus: SampleReader) -> tuple[Assessment, ...]:
        """Assess every watched container. Without pods nothing is queried."""
        if not self.pods:
            return ()
        connection, namespace = self.policy.spec.prometheus, self.policy.namespace
        parameters = build_parameters(self.policy, None)
        names, windows_s = [p.key.name for p in self.pods], prefilter_windows_s(parameters)
        slow = slow_bins(parameters)
        result = await prometheus.prefilter(connection, namespace, names, windows_s, self.now_s, slow)
        shared = SharedLimits.find(self.pods, result, self.now_s)
        assessor = replace(self, shared_limits=shared)
        return await assessor._assess_all(prometheus, shared.in_statistics(result))  # noqa: SLF001 - the same class

    async def _assess_all(self, prometheus: SampleReader, result: PrefilterResult) -> tuple[Assessment, ...]:
        """Assess every watched container, given the statistics of all."""
        verdicts = {w.key: self._prefilter(w, result) for w in self.containers}
        candidates = [w for w in self.containers if verdicts[w.key] is None]
        near = {w.pod.key.name for w in candidates if self._is_near_limit(w, result)}
        for batch in split_into_batches(self.pods, {w.pod.key.uid for w in candidates}):
            data = await self._read_batch(prometheus, batch, near)
            # Milliseconds for each container: in a thread, so that the event loop is not blocked.
            verdicts |= await asyncio.to_thread(self._assess_batch, batch, data, verdicts)
        found = ((w, v) for w in self.containers if (v := verdicts[w.key]) is not None)
        return tuple(Assessment(w.pod, w.container, excuse_young(v, w.age_s(self.now_s))) for w, v in found)

    def _is_near_limit(self, watched: WatchedContainer, result: PrefilterResult) -> bool:
        """Return whether a running container needs its long history."""
        pod, container = watched.pod, watched.container
        assert container.started_at is not None, "dropped by the prefilter"
        row = result.row_for(pod.key.name, container.name, container.id, container.started_at.timestamp())
        usage = None if row is None else row.working_set_bytes
        return usage is not None and needs_long_history(usage, container.limit_bytes)

    async def _read_batch(self, prometheus: SampleReader, batch: Batch, near: Collection[str]) -> BatchData:
        """Read the samples of a batch, and the long histories of its candidates near their limit (`near`: names)."""
        connection, namespace = self.policy.spec.prometheus, self.policy.namespace
        parameters, load = build_parameters(self.policy, None), self.policy.spec.load
        own = [p.key.name for p in self.pods if p.key.uid in batch.candidates]
        request = ReadRequest(
            namespace,
            batch.pods,
            SampleRange.for_window(parameters.lookback_s, parameters.window_s),
            self.now_s,
            batch.patterns,
            None if load is None else load.metric,
            detailed=own,
        )
        samples, wanted = await prometheus.read(connection, request), [name for name in own if name in near]
        if not wanted:
            return BatchData(samples, NO_EXTREMES)
        long = ExtremesRequest(namespace, wanted, parameters.long_step_s, parameters.long_lookback_s, self.now_s)
        return BatchData(samples, await prometheus.read_extremes(connection, long))

    def _prefilter(self, watched: WatchedContainer, result: PrefilterResult) -> ContainerVerdict | None:
        """Return the verdict of a container whose samples need not be read, or None."""
        pod, container = watched.pod, watched.container
        if not container.id or container.started_at is None:
            return NOT_RUNNING
        started_at_s = container.started_at.timestamp()
        row = result.row_for(pod.key.name, container.name, container.id, started_at_s)
        if row is None:
            return NO_SAMPLES
        missing = self.shared_limits.missing_for(pod, container)
        if missing:
            return without_samples_of(missing)
        return prefilter_verdict(row, watched.parameters, container.limit_bytes, started_at_s, self.now_s)

    def _assess_batch(
        self, batch: Batch, data: BatchData, verdicts: Mapping[tuple[str, str], ContainerVerdict | None]
    ) -> dict[tuple[str, str], ContainerVerdict | None]:
        """Assess the batch's containers that have no verdict of the prefilter."""
        limits, groups = self.shared_limits, by_peer_group(self.pods)
        data = BatchData(limits.in_series(data.samples), limits.in_extremes(data.extremes))
        return {
            w.key: self._assess_safely(w, data, groups[peer_group_of(w.pod)])
            for w in self.containers
            if w.pod.key.uid in batch.candidates and verdicts[w.key] is None
        }

    def _assess_safely(self, watched: WatchedContainer, data: BatchData, group: Sequence[Pod]) -> ContainerVerdict:
        """Assess one container; an exception must not keep other containers from being assessed."""
        try:
            return self._assess_container(watched, data, group)
        except Exception:
            name, pod = watched.container.name, watched.pod.key
            logger.exception("a bug: assessing container %s of pod %s/%s failed", name, pod.namespace, pod.name)
            return FAILED

    def _assess_container(self, watched: WatchedContainer, data: BatchData, group: Sequence[Pod]) -> ContainerVerdict:
        """Assess one container. `group`: the pods of its workload, its own among them."""
        pod, container = watched.pod, watched.container
        assert container.started_at is not None, "dropped by the prefilter"
        started_at_s = container.started_at.timestamp()
        row = data.samples.row_for(pod.key.name, container.name, container.id, started_at_s)
        if row is None:
            return NO_SAMPLES
        history = build_history(row, started_at_s, container.limit_bytes)
        long = data.extremes.row_for(pod.key.name, container.name, container.id, started_at_s)
        if long is not None:
            history = replace(history, minima=long.minima, maxima=long.maxima)
        peers = tuple(peer_histories(group, pod, container, data.samples, row))
        return verdict_for(history, watched.parameters, self.now_s, peers)


def peer_histories(
    group: Sequence[Pod], pod: Pod, container: Container, samples: QueryResult, own: SeriesRow
) -> Iterator[ContainerHistory]:
    """Yield the other instances of this container in its workload: of running pods, and of earlier ones."""
    workload = peer_group_of(pod)
    if workload is None:
        return
    starts_s = _starts_s(group, container.name)
    names = {p.key.name for p in group}
    rows = [
        r
        for r in samples.rows
        if r.container == container.name
        and (r.pod, r.container_id) != (own.pod, own.container_id)
        and (r.pod in names or (workload.pattern is not None and workload.pattern.matches(r.pod)))
        and len(r.rss)
    ]
    for row in rows:
        yield build_history(row, starts_s.get(row.container_id, row.rss.first_s), container.limit_bytes)


def _starts_s(pods: Sequence[Pod], name: str) -> Mapping[str, float]:
    """Return the start of each running instance of this container, by its ID."""
    running = [c for p in pods for c in p.containers if c.name == name and c.id]
    return {c.id: c.started_at.timestamp() for c in running if c.started_at}
