"""Series and verdicts of one pass: screen all targets, read what is worth it, judge each container beside its peers."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from memroll.detection.assessment import Assessment
from memroll.detection.batches import batches, by_family, family_of
from memroll.detection.container_history import LeadRule, Rule, Subject
from memroll.detection.exhaustion import ROLLS_OF_SLACK
from memroll.detection.prefilter import screened, windows_s
from memroll.detection.samples import Span
from memroll.detection.verdict import Code, Inconclusive, Verdict, judge
from memroll.model.roll_duration import guessed_s, measured_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy
    from memroll.detection.batches import Batch
    from memroll.detection.samples import PodPattern, Reading, Screening, SeriesRow
    from memroll.model.pods import Container, Target

logger = logging.getLogger(__name__)

STEPS_PER_WINDOW = 360
STEPS_MOST = 2000
NO_SAMPLES = Inconclusive(Code.NO_DATA, "Prometheus has no samples of this container: is cAdvisor scraped?")
FAILED = Inconclusive(Code.JUDGING_FAILED, "judging this container failed, a bug of memroll: its log says more")
STEP_LEAST_S = 15.0
"""Finer than scrapes are: every sample is read."""


class Prometheus(Protocol):
    """What a pass needs of Prometheus."""

    async def screen(
        self, connection: str, namespace: str, pods: Sequence[str], windows_s: Sequence[float], at_s: float
    ) -> Screening: ...

    async def read(  # noqa: PLR0913 - four of them say which samples
        self,
        connection: str,
        namespace: str,
        pods: Sequence[str],
        span: Span,
        at_s: float,
        like: Sequence[PodPattern] = (),
        *,
        load_metric: str | None = None,
    ) -> Reading: ...


@dataclass(frozen=True)
class Watch:
    """A policy's judgement of its targets at one instant."""

    policy: MemoryPolicy
    targets: tuple[Target, ...]
    rolls: tuple[PodRoll, ...]
    now: datetime

    @property
    def now_s(self) -> float:
        return self.now.timestamp()

    def pairs(self) -> Iterator[tuple[Target, Container]]:
        """Yield each watched container with its pod."""
        watched = self.policy.spec.containers
        for target in self.targets:
            for container in target.containers:
                if not watched or container.name in watched:
                    yield target, container

    def rule(self, target: Target, container: Container) -> Rule:
        return rule_of(self.policy, container.limit_bytes, roll_s=self.roll_s(target))

    def roll_s(self, target: Target) -> float:
        """Return what a roll takes: of this workload, else of this policy, else by a guess."""
        family = family_of(target)
        own = None if family is None else self._by_workload_s.get((family.kind, family.name))
        return own or self._of_policy_s or guessed_s(target, self.policy.spec.roll.drain)

    @cached_property
    def _by_workload_s(self) -> dict[tuple[str, str], float]:
        return _durations_s(self.rolls)

    @cached_property
    def _of_policy_s(self) -> float | None:
        return measured_s(self.rolls)


async def assess(watch: Watch, prometheus: Prometheus) -> tuple[Assessment, ...]:
    """Judge every watched container. Nothing is asked when there are none."""
    if not watch.targets:
        return ()
    connection, namespace = watch.policy.spec.prometheus, watch.policy.namespace
    family = windows_s(rule_of(watch.policy, None))
    names = [t.key.name for t in watch.targets]
    screening = await prometheus.screen(connection, namespace, names, family, watch.now_s)
    first = {(t.key.uid, c.name): _screened(watch, t, c, screening) for t, c in watch.pairs()}
    suspects = {t.key.uid for t, c in watch.pairs() if first[t.key.uid, c.name] is None}
    load = watch.policy.spec.load
    for batch in batches(watch.targets, suspects):
        reading = await prometheus.read(
            connection, namespace, batch.pods, span_of(watch.policy), watch.now_s, batch.like,
            load_metric=None if load is None else load.metric,
        )  # fmt: skip
        # Milliseconds a container: in a thread, so that the loop goes on.
        first |= await asyncio.to_thread(_judged, watch, batch, reading, first)
    found = ((t, c, first[t.key.uid, c.name]) for t, c in watch.pairs())
    return tuple(Assessment(t, c, verdict) for t, c, verdict in found if verdict is not None)


def span_of(policy: MemoryPolicy) -> Span:
    """Return how far back to read, and how finely: a few hundred points a window, and never too many in all."""
    rule = rule_of(policy, None)
    step_s = max(rule.window_s / STEPS_PER_WINDOW, rule.lookback_s / STEPS_MOST)
    return Span(rule.lookback_s, round(step_s, 3) if step_s >= STEP_LEAST_S else None)


def rule_of(policy: MemoryPolicy, limit_bytes: int | None, roll_s: float = 0.0) -> Rule:
    """Return the policy's rule for a container with this limit, where a roll takes so long."""
    growth, fixed = policy.spec.growth, policy.spec.exhaustion.lead.fixed
    per_hour = growth.per_hour.of(limit_bytes)
    interval_s = policy.spec.interval.total_seconds()
    return Rule(
        threshold_bytes_per_s=None if per_hour is None else per_hour / 3600,
        window_s=growth.window.total_seconds(),
        warm_up_s=growth.warm_up.total_seconds(),
        persist_s=growth.persist.total_seconds(),
        ceiling_share=policy.spec.ceiling,
        lead=LeadRule(None if fixed is None else fixed.total_seconds(), ROLLS_OF_SLACK * roll_s + interval_s),
        interval_s=interval_s,
    )


def _durations_s(rolls: Iterable[PodRoll]) -> dict[tuple[str, str], float]:
    """Return what rolls take in seconds, by workload: kind and name as `family_of` tells them from a pod alone."""
    grouped: dict[tuple[str, str], list[PodRoll]] = defaultdict(list)
    for roll in rolls:
        ref = roll.status.workload or roll.spec.workload
        if ref is not None:
            grouped["Deployment" if ref.kind == "Rollout" else ref.kind, ref.name].append(roll)
    measured = ((workload, measured_s(of_it)) for workload, of_it in grouped.items())
    return {workload: lasted_s for workload, lasted_s in measured if lasted_s is not None}


def _screened(watch: Watch, target: Target, container: Container, screening: Screening) -> Verdict | None:
    """Return the verdict where no samples are needed for it, or None."""
    if not container.id or container.started_at is None:
        return Inconclusive(Code.NOT_RUNNING, "the container is not running")
    started_at_s = container.started_at.timestamp()
    row = screening.row_for(target.key.name, container.name, container.id, started_at_s)
    if row is None:
        return NO_SAMPLES
    return screened(row, watch.rule(target, container), container.limit_bytes, started_at_s, watch.now_s)


def _judged(
    watch: Watch, batch: Batch, reading: Reading, first: Mapping[tuple[str, str], Verdict | None]
) -> dict[tuple[str, str], Verdict | None]:
    """Judge the batch's suspects that the screen did not answer for."""
    families = by_family(watch.targets)
    return {
        (t.key.uid, c.name): _guarded(watch, t, c, reading, families[family_of(t)])
        for t, c in watch.pairs()
        if t.key.uid in batch.suspects and first[t.key.uid, c.name] is None
    }


def _guarded(
    watch: Watch, target: Target, container: Container, reading: Reading, members: Sequence[Target]
) -> Verdict:
    """Judge one container; a bug that its numbers meet keeps no other container from being judged."""
    try:
        return _judge(watch, target, container, reading, members)
    except Exception:
        pod = target.key
        logger.exception("a bug: judging container %s of pod %s/%s failed", container.name, pod.namespace, pod.name)
        return FAILED


def _judge(watch: Watch, target: Target, container: Container, reading: Reading, members: Sequence[Target]) -> Verdict:
    """`members`: the pods of its workload, this one among them."""
    assert container.started_at is not None, "screened out before"
    started_at_s = container.started_at.timestamp()
    row = reading.row_for(target.key.name, container.name, container.id, started_at_s)
    if row is None:
        return NO_SAMPLES
    subject = subject_of(row, started_at_s, container.limit_bytes)
    peers = tuple(_peers(members, target, container, reading, row))
    return judge(subject, watch.rule(target, container), watch.now_s, peers)


def subject_of(row: SeriesRow, started_at_s: float, limit_bytes: int | None) -> Subject:
    rises = row.ooms.values[1:] > row.ooms.values[:-1]
    kills = tuple(float(t) for t in row.ooms.times_s[1:][rises])
    return Subject(row.rss, row.working_set, started_at_s, limit_bytes, row.load, kills)


def _peers(
    members: Sequence[Target], target: Target, container: Container, reading: Reading, own: SeriesRow
) -> Iterator[Subject]:
    """Yield the other instances of this container in its workload."""
    family = family_of(target)
    if family is None:
        return
    starts = _starts(members, container.name)
    siblings = {t.key.name for t in members}
    rows = [
        r
        for r in reading.rows
        if r.container == container.name
        and (r.pod, r.container_id) != (own.pod, own.container_id)
        and (r.pod in siblings or (family.pattern is not None and family.pattern.matches(r.pod)))
        and len(r.rss)
    ]
    for row in rows:
        yield subject_of(row, starts.get(row.container_id, row.rss.first_s), container.limit_bytes)


def _starts(targets: Sequence[Target], name: str) -> Mapping[str, float]:
    """Return when each running instance of this container began, by its ID."""
    running = [c for t in targets for c in t.containers if c.name == name and c.id]
    return {c.id: c.started_at.timestamp() for c in running if c.started_at}
