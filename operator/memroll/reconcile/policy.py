"""One pass over one policy: targets, series, verdict, plan, act. The page to read first.

I/O happens at targets, series and act, through the two Protocols below; what lies between is pure and takes
the time as an argument. Whatever goes wrong ends in an Outcome that names it: nothing is judged by halves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from memroll.analysis.deadline import is_due, lead_s
from memroll.analysis.verdict import Breach, Code, Inconclusive, Rule, Subject, Verdict, judge, seconds_left
from memroll.api.roll import Phase, PodRoll
from memroll.disruption.candidate import Candidate, Context
from memroll.disruption.plan import Plan, make_plan
from memroll.disruption.retention import expired
from memroll.disruption.strategy import EVERYTHING, Permits
from memroll.errors import Conflict, MemrollError, NotFound
from memroll.reconcile.manifest import manifest
from memroll.recording.outcome import Assessment, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from memroll.analysis.reading import Reading
    from memroll.api.policy import MemoryPolicy
    from memroll.disruption.target import Container, ObjectRef, Target, Workload

ROLL_GUESS_S = 10.0
"""What a roll takes beside the time to become Ready, before one was measured."""
ROLLS_MEASURED = 5


class Cluster(Protocol):
    """What a pass needs of Kubernetes."""

    async def selector_of(self, namespace: str, api_version: str, kind: str, name: str) -> str: ...
    async def targets(self, namespace: str, selector: str) -> tuple[Target, ...]: ...
    async def workload_of(self, namespace: str, controller: ObjectRef) -> Workload | None: ...
    async def namespace_annotations(self, namespace: str) -> Mapping[str, str]: ...
    async def create_roll(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]: ...
    async def delete_roll(self, namespace: str, name: str, uid: str) -> None: ...


class Prometheus(Protocol):
    """What a pass needs of Prometheus."""

    async def read(
        self, connection: str, namespace: str, pods: Sequence[str], window_s: float, at_s: float
    ) -> Reading: ...


@dataclass(frozen=True, slots=True)
class Scene:
    """What one pass looks at: the policy, its namespace's other policies and rolls, and the time."""

    policy: MemoryPolicy
    others: tuple[MemoryPolicy, ...]
    rolls: tuple[PodRoll, ...]
    now: datetime
    permits: Permits = EVERYTHING

    @property
    def own_rolls(self) -> tuple[PodRoll, ...]:
        return tuple(r for r in self.rolls if r.spec.policy == self.policy.name)


async def reconcile(scene: Scene, cluster: Cluster, prometheus: Prometheus) -> Outcome:
    """Make one pass and return what was found and done."""
    outcome = Outcome(scene.policy, scene.now, rolls=scene.own_rolls)
    if scene.policy.spec.suspend:
        return outcome
    try:
        targets, conflicts = await _targets(scene, cluster)
        reading = await _series(scene, targets, prometheus)
        assessments = tuple(assess(scene, targets, reading))
        plan = await _plan(scene, assessments, cluster)
        created = await _record(scene, plan, cluster)
    except MemrollError as trouble:
        return replace(outcome, trouble=trouble)
    return replace(
        outcome,
        targets=len(targets),
        assessments=assessments,
        plan=plan,
        rolls=(*created, *scene.own_rolls),
        conflicts=conflicts,
    )


async def _targets(scene: Scene, cluster: Cluster) -> tuple[tuple[Target, ...], tuple[str, ...]]:
    """Return the policy's pods, and those that an older policy watches already."""
    selected = await _selected(scene.policy, cluster)
    watched: dict[str, str] = {}
    for other in scene.others:
        if _age_key(other) < _age_key(scene.policy):
            watched |= {t.key.uid: other.name for t in await _selected(other, cluster)}
    free = tuple(t for t in selected if t.key.uid not in watched and not t.deleting)
    taken = tuple(f"{t.key.name} ({watched[t.key.uid]})" for t in selected if t.key.uid in watched)
    return free, taken


def _age_key(policy: MemoryPolicy) -> tuple[datetime, str]:
    return policy.created_at, policy.name


async def _selected(policy: MemoryPolicy, cluster: Cluster) -> tuple[Target, ...]:
    """Return the pods that a policy names; none where the workload that it names does not exist."""
    ref = policy.spec.target_ref
    if ref is None:
        assert policy.spec.selector is not None, "the model holds exactly one of the two"
        return await cluster.targets(policy.namespace, policy.spec.selector.query())
    try:
        query = await cluster.selector_of(policy.namespace, ref.api_version, ref.kind, ref.name)
    except NotFound:
        return ()
    return await cluster.targets(policy.namespace, query)


async def _series(scene: Scene, targets: tuple[Target, ...], prometheus: Prometheus) -> Reading | None:
    """Read the samples of all targets; nothing is asked when there are none."""
    if not targets:
        return None
    growth = scene.policy.spec.growth
    window_s = (growth.window + growth.persist).total_seconds()
    names = [t.key.name for t in targets]
    return await prometheus.read(
        scene.policy.spec.prometheus, scene.policy.namespace, names, window_s, scene.now.timestamp()
    )


def assess(scene: Scene, targets: Sequence[Target], reading: Reading | None) -> Iterator[Assessment]:
    """Judge every watched container. Pure."""
    watched = scene.policy.spec.containers
    roll_s = _measured_roll_s(scene.own_rolls)
    for target in targets:
        for container in target.containers:
            if watched and container.name not in watched:
                continue
            verdict = _judge(scene, target, container, reading)
            yield _with_deadline(scene, Assessment(target, container, verdict), roll_s)


def _judge(scene: Scene, target: Target, container: Container, reading: Reading | None) -> Verdict:
    if reading is None or not container.id or container.started_at is None:
        return Inconclusive(Code.NOT_RUNNING, "the container is not running")
    started_at_s = container.started_at.timestamp()
    row = reading.row_for(target.key.name, container.name, container.id, started_at_s)
    if row is None:
        return Inconclusive(Code.NO_DATA, "Prometheus has no samples of this container: is cAdvisor scraped?")
    subject = Subject(row.rss, row.working_set, started_at_s, container.limit_bytes)
    return judge(subject, rule_of(scene.policy, container.limit_bytes), scene.now.timestamp())


def rule_of(policy: MemoryPolicy, limit_bytes: int | None) -> Rule:
    """Return the policy's rule for a container with this limit."""
    growth = policy.spec.growth
    per_hour = growth.per_hour.of(limit_bytes)
    return Rule(
        threshold_bytes_per_s=None if per_hour is None else per_hour / 3600,
        window_s=growth.window.total_seconds(),
        warm_up_s=growth.warm_up.total_seconds(),
        persist_s=growth.persist.total_seconds(),
        ceiling_share=policy.spec.ceiling,
    )


def _with_deadline(scene: Scene, assessment: Assessment, roll_s: float | None) -> Assessment:
    """Add when a breaching container must be rolled."""
    verdict, limit = assessment.verdict, assessment.container.limit_bytes
    if not isinstance(verdict, Breach) or verdict.time_to_limit_s is None or limit is None:
        return assessment
    started_at = assessment.container.started_at
    assert started_at is not None, "a container that was judged is running"
    fixed = scene.policy.spec.exhaustion.lead.fixed
    lead = lead_s(
        fixed_s=None if fixed is None else fixed.total_seconds(),
        age_s=(scene.now - started_at).total_seconds(),
        time_to_limit_s=verdict.time_to_limit_s,
        roll_s=roll_s or _own_start_s(assessment.target) + ROLL_GUESS_S,
        interval_s=scene.policy.spec.interval.total_seconds(),
    )
    due = verdict.code is Code.CEILING or is_due(
        time_to_limit_s=verdict.time_to_limit_s, lead=lead, usage_bytes=verdict.usage_bytes, limit_bytes=limit
    )
    return replace(assessment, lead_s=lead, due=due)


def _measured_roll_s(rolls: Sequence[PodRoll]) -> float | None:
    """Return the longest of the policy's last few successful rolls, in seconds."""
    ended = [r for r in rolls if r.status.phase is Phase.SUCCEEDED and r.status.times.announced]
    newest = sorted(ended, key=lambda r: r.created_at)[-ROLLS_MEASURED:]
    lasted = [
        (r.status.times.finished - r.status.times.announced).total_seconds()
        for r in newest
        if r.status.times.finished and r.status.times.announced
    ]
    return max(lasted, default=None)


def _own_start_s(target: Target) -> float:
    """Return how long this pod itself took to become Ready; a minute when it never was."""
    if target.ready_at is None:
        return 60.0
    return max(0.0, (target.ready_at - target.created_at).total_seconds())


async def _plan(scene: Scene, assessments: Sequence[Assessment], cluster: Cluster) -> Plan:
    """Look up the workloads of what is due, and ask the gates."""
    candidates = [await _candidate(a, cluster) for a in _most_urgent(assessments)]
    if not candidates:
        return Plan()
    annotations = await cluster.namespace_annotations(scene.policy.namespace)
    context = Context(scene.policy.name, scene.policy.spec, scene.rolls, scene.now, annotations, scene.permits)
    return make_plan(candidates, context)


def _most_urgent(assessments: Sequence[Assessment]) -> list[Assessment]:
    """Return one breaching container per pod: the one that reaches its limit first."""
    first: dict[str, Assessment] = {}
    for a in assessments:
        known = first.get(a.target.key.uid)
        if isinstance(a.verdict, Breach) and (known is None or seconds_left(a.verdict) < seconds_left(known.verdict)):
            first[a.target.key.uid] = a
    return list(first.values())


async def _candidate(assessment: Assessment, cluster: Cluster) -> Candidate:
    assert isinstance(assessment.verdict, Breach)
    target = assessment.target
    workload = None
    if assessment.due and target.controller is not None:
        workload = await cluster.workload_of(target.key.namespace, target.controller)
    return Candidate(
        target,
        assessment.container.name,
        assessment.verdict,
        assessment.container.limit_bytes,
        assessment.lead_s,
        assessment.due,
        workload,
    )


async def _record(scene: Scene, plan: Plan, cluster: Cluster) -> tuple[PodRoll, ...]:
    """Write a PodRoll for each planned roll, and drop those that have served their time."""
    created = []
    for candidate in plan.rolls:
        try:
            raw = await cluster.create_roll(scene.policy.namespace, manifest(scene.policy, scene.rolls, candidate))
        except Conflict:
            continue  # another operator recorded this very roll
        created.append(PodRoll.read(raw))
    for roll in expired(scene.rolls, scene.now):
        await cluster.delete_roll(roll.namespace, roll.name, roll.uid)
    return tuple(created)
