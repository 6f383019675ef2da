"""Assessment of a policy's pods: prefilter all containers, read the candidates' samples, assess each with its peers.

`reconcile.policy` builds an `Assessor` for each reconcile; the result is an `Assessment` for each watched container.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

from memroll.detection.assessment import Assessment
from memroll.detection.batch_work import BatchData, BatchWork, Stage, WatchedContainer
from memroll.detection.batches import by_peer_group, split_alone, split_into_batches
from memroll.detection.container_history import build_history
from memroll.detection.extremes import NO_EXTREMES, Extremes, ExtremesRequest
from memroll.detection.parameters import build_parameters
from memroll.detection.peer_rows import PeerRows
from memroll.detection.peer_steps import step_of
from memroll.detection.pod_limit import NOT_SHARED, SharedLimits
from memroll.detection.prefilter import prefilter_verdict
from memroll.detection.reasons import VerdictReason
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.detection.staged_prefilter import is_near_limit, run_prefilter
from memroll.detection.verdict import ContainerVerdict, Verdict, is_final_alone, verdict_for, was_near_limit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from memroll.api.policy import MemoryPolicy
    from memroll.detection.samples import PrefilterResult, QueryResult, SlowBins
    from memroll.model.pod_names import WorkloadName
    from memroll.model.pods import Pod
    from memroll.model.roll_duration import RollDurations

    Verdicts = dict[tuple[str, str], ContainerVerdict | None]
    """Verdicts by container; None: it is not known yet."""

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

    @cached_property
    def _groups(self) -> dict[WorkloadName | None, list[Pod]]:
        """Pods by workload."""
        return by_peer_group(self.pods)

    @cached_property
    def _group_of(self) -> dict[str, WorkloadName | None]:
        """Workload of each pod, by name."""
        return {pod.key.name: group for group, pods in self._groups.items() for pod in pods}

    async def assess(self, prometheus: SampleReader) -> tuple[Assessment, ...]:
        """Assess every watched container. Without pods nothing is queried."""
        if not self.pods:
            return ()
        prefilter = partial(self._query_statistics, prometheus)
        result = await run_prefilter(prefilter, self.pods, build_parameters(self.policy, None))
        # In a thread: thousands of containers would block the event loop.
        assessor, verdicts, near = await asyncio.to_thread(self._screen, result)
        return await assessor._assess_candidates(prometheus, verdicts, near)  # noqa: SLF001 - the same class

    def _screen(self, result: PrefilterResult) -> tuple[Assessor, Verdicts, AbstractSet[str]]:
        """Return this assessor with the shared limits, the verdicts of the prefilter, and the candidates near theirs.

        The verdict of a candidate is None; those near their limit are names of pods.
        """
        shared = SharedLimits.find(self.pods, result, self.now_s)
        found = replace(self, shared_limits=shared)
        result = shared.in_statistics(result)
        verdicts = {w.key: found._prefilter(w, result) for w in found.containers}  # noqa: SLF001 - the same class
        candidates = (w for w in found.containers if verdicts[w.key] is None)
        near = {w.pod.key.name for w in candidates if is_near_limit(w.pod, w.container, result)}
        return found, verdicts, near

    async def _query_statistics(
        self, prometheus: SampleReader, pods: Sequence[str], windows_s: Sequence[float], slow: SlowBins
    ) -> PrefilterResult:
        connection, namespace = self.policy.spec.prometheus, self.policy.namespace
        return await prometheus.prefilter(connection, namespace, pods, windows_s, self.now_s, slow)

    async def _assess_candidates(
        self, prometheus: SampleReader, verdicts: Verdicts, near: AbstractSet[str]
    ) -> tuple[Assessment, ...]:
        """Assess every watched container, given the verdicts of the prefilter.

        A candidate is assessed by its own memory first. Peers, load and page cache can only explain growth, so they are
        read where there is some to explain (design note 0025).
        """
        candidates = self._candidates(verdicts)
        for stage, split in ((Stage.ALONE, split_alone), (Stage.IN_CONTEXT, split_into_batches)):
            undecided: dict[str, list[WatchedContainer]] = defaultdict(list)
            for w in self.containers:
                if verdicts[w.key] is None:
                    undecided[w.pod.key.uid].append(w)
            for batch in split(self.pods, set(undecided)):
                own = tuple(w for uid, found in undecided.items() if uid in batch.candidates for w in found)
                work = BatchWork(stage, batch, own, candidates, near)
                data = await self._read_batch(prometheus, work)
                # Milliseconds for each container: in a thread, so that the event loop is not blocked.
                verdicts |= await asyncio.to_thread(self._assess_batch, work, data)
        judged = ((w, v) for w in self.containers if (v := verdicts[w.key]) is not None)
        return tuple(Assessment(w.pod, w.container, excuse_young(v, w.age_s(self.now_s))) for w, v in judged)

    def _candidates(self, verdicts: Verdicts) -> set[str]:
        """Return the names of the pods with a container that has no verdict of the prefilter."""
        return {w.pod.key.name for w in self.containers if verdicts[w.key] is None}

    async def _read_batch(self, prometheus: SampleReader, work: BatchWork) -> BatchData:
        """Read the samples of a batch, and the long histories of its candidates near their limit."""
        connection, namespace, batch = self.policy.spec.prometheus, self.policy.namespace, work.batch
        parameters, load = build_parameters(self.policy, None), self.policy.spec.load
        near = [name for name in work.pods if name in work.near]
        request = ReadRequest(
            namespace,
            batch.pods,
            SampleRange.for_window(parameters.lookback_s, parameters.window_s),
            self.now_s,
            batch.patterns,
            None if load is None else load.metric,
            detailed=near if work.stage is Stage.ALONE else work.pods,
            containers=self._containers_read(work),
            memory_only=work.stage is Stage.ALONE,
            load_pods=work.pods,  # the load of a peer explains nothing
            peers=[p for p in batch.pods if p not in work.candidates and p not in self.shared_limits.shared],
            peer_step_s=step_of(parameters),
            incremental=True,
        )
        samples = await prometheus.read(connection, request)
        if not near:
            return BatchData(samples, NO_EXTREMES)
        long = ExtremesRequest(namespace, near, parameters.long_step_s, parameters.long_lookback_s, self.now_s)
        return BatchData(samples, await prometheus.read_extremes(connection, long))

    def _containers_read(self, work: BatchWork) -> dict[str, frozenset[str]]:
        """Return the names of the containers to read, by pod: those of the candidates, also of their peers.

        A pod whose containers share a limit is read whole.
        """
        names: dict[WorkloadName | str, set[str]] = defaultdict(set)
        keys = {
            pod: (self._group_of[pod] if work.stage is Stage.IN_CONTEXT else None) or pod for pod in work.batch.pods
        }
        for w in work.containers:
            names[keys[w.pod.key.name]].add(w.container.name)
        found = {pod: frozenset(names[key]) for pod, key in keys.items()}
        return {pod: containers for pod, containers in found.items() if pod not in self.shared_limits.shared}

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

    def _assess_batch(self, work: BatchWork, data: BatchData) -> Verdicts:
        """Assess the containers of a batch; None if one must be assessed in its context."""
        limits = self.shared_limits
        data = BatchData(limits.in_series(data.samples), limits.in_extremes(data.extremes))
        peers = PeerRows(data.samples, self._groups) if work.stage is Stage.IN_CONTEXT else None
        return {w.key: self._assess_safely(w, data, peers, work.near) for w in work.containers}

    def _assess_safely(
        self, watched: WatchedContainer, data: BatchData, peers: PeerRows | None, near: AbstractSet[str]
    ) -> ContainerVerdict | None:
        """Assess one container; an exception must not keep other containers from being assessed."""
        try:
            return self._assess_container(watched, data, peers, near)
        except Exception:
            name, pod = watched.container.name, watched.pod.key
            logger.exception("a bug: assessing container %s of pod %s/%s failed", name, pod.namespace, pod.name)
            return FAILED

    def _assess_container(
        self, watched: WatchedContainer, data: BatchData, peers: PeerRows | None, near: AbstractSet[str]
    ) -> ContainerVerdict | None:
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
        if peers is not None:
            return verdict_for(history, watched.parameters, self.now_s, peers.peers_of(pod, container, row))
        if pod.key.name not in near and was_near_limit(history):
            return None  # its page cache, which was not read, may count
        verdict = verdict_for(history, watched.parameters, self.now_s, ())
        return verdict if is_final_alone(verdict) else None
