"""One pass over one policy: targets, series, verdict, plan, act. The page to read first.

I/O happens at targets, series and act, through the two Protocols below; what lies between is pure and takes
the time as an argument. Whatever goes wrong ends in an Outcome that names it: nothing is judged by halves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from memroll.analysis.verdict import Breach, seconds_left
from memroll.api.roll import PodRoll
from memroll.disruption.candidate import Candidate, Context
from memroll.disruption.plan import Plan, make_plan
from memroll.disruption.retention import expired
from memroll.disruption.strategy import EVERYTHING, Permits
from memroll.errors import Conflict, MemrollError, NotFound
from memroll.reconcile.judging import Prometheus, Watch, assess
from memroll.reconcile.manifest import manifest
from memroll.recording.outcome import Assessment, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from memroll.api.policy import MemoryPolicy
    from memroll.disruption.target import ObjectRef, Target, Workload


class Cluster(Protocol):
    """What a pass needs of Kubernetes."""

    async def selector_of(self, namespace: str, api_version: str, kind: str, name: str) -> str: ...
    async def targets(self, namespace: str, selector: str) -> tuple[Target, ...]: ...
    async def workload_of(
        self, namespace: str, controller: ObjectRef, top: ObjectRef | None = None
    ) -> Workload | None: ...
    async def namespace_annotations(self, namespace: str) -> Mapping[str, str]: ...
    async def create_roll(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]: ...
    async def delete_roll(self, namespace: str, name: str, uid: str) -> None: ...


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
        assessments = await assess(Watch(scene.policy, targets, scene.own_rolls, scene.now), prometheus)
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
    if assessment.verdict.due and target.controller is not None:
        workload = await cluster.workload_of(target.key.namespace, target.controller)
    verdict = assessment.verdict
    return Candidate(target, assessment.container.name, verdict, assessment.container.limit_bytes, workload)


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
