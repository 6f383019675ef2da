"""One pass over one policy: targets, series, verdict, plan, act. The page to read first.

I/O happens at targets, series and act, through the Protocols of `scene` and `judging`; what lies between is pure and
takes the time as an argument. Whatever goes wrong ends in an Outcome that names it: nothing is judged by halves.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from memroll.detection.assess import Prometheus, Watch, assess
from memroll.detection.verdict import Breach, seconds_left
from memroll.errors import MemrollError, NotFound
from memroll.planning.candidate import Candidate, Context
from memroll.planning.plan import Plan, make_plan
from memroll.planning.rate_limit import PERIOD
from memroll.reconcile.counts import count, healthy, watched_pods
from memroll.reconcile.create_rolls import create_rolls
from memroll.reporting.outcome import Outcome
from memroll.rolling.retention import expired
from memroll.rolling.strategy import would_surge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy
    from memroll.detection.assessment import Assessment
    from memroll.model.pods import ObjectRef, Target, Workload
    from memroll.reconcile.snapshot import Cluster, Scene


async def reconcile(scene: Scene, cluster: Cluster, prometheus: Prometheus) -> Outcome:
    """Make one pass and return what was found and done."""
    outcome = Outcome(scene.policy, scene.now, rolls=scene.own_rolls)
    if scene.policy.spec.suspend:
        return outcome
    try:
        targets, conflicts = await _targets(scene, cluster)
        assessments = await assess(Watch(scene.policy, targets, scene.own_rolls, scene.now), prometheus)
        candidates = await _candidates(scene, assessments, cluster)
        context = await _context(scene, targets, assessments, cluster)
        plan, created = await _act(scene, candidates, context, cluster)
        await _tidy(scene, cluster)
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
            watched |= dict.fromkeys(await _shared(selected, other, cluster), other.name)
    free = tuple(t for t in selected if t.key.uid not in watched and not t.deleting)
    taken = tuple(f"{t.key.name} ({watched[t.key.uid]})" for t in selected if t.key.uid in watched)
    return free, taken


async def _shared(targets: Sequence[Target], other: MemoryPolicy, cluster: Cluster) -> set[str]:
    """Return the uids of the pods that another policy selects, too; by their labels, where no workload is named."""
    if other.spec.selector is not None:
        return {t.key.uid for t in targets if other.spec.selector.matches(t.labels)}
    return {t.key.uid for t in await _selected(other, cluster)} if targets else set()


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


async def _candidates(scene: Scene, assessments: Sequence[Assessment], cluster: Cluster) -> list[Candidate]:
    """Return the pods in breach; the workload is looked up, once each, of those that may be due."""
    urgent = _most_urgent(assessments)
    families = Counter(c.target.controller for c in urgent)
    known: dict[ObjectRef, tuple[Workload | None, str]] = {}
    found = []
    for candidate in urgent:
        ref = candidate.target.controller
        movable = candidate.movable and (families[ref] > 1 or scene.policy.spec.roll.windows is not None)
        if ref is not None and (candidate.breach.due or movable):
            if ref not in known:
                known[ref] = await _looked_up(scene, candidate.target, ref, cluster)
            workload, by = known[ref]
            candidate = replace(candidate, workload=workload, hash_selected_by=by)  # noqa: PLW2901 - the same, completed
        found.append(candidate)
    return found


async def _looked_up(
    scene: Scene, target: Target, controller: ObjectRef, cluster: Cluster
) -> tuple[Workload | None, str]:
    """Return the workload of a pod, and what selects the pod by its template hash, where it would be surged."""
    workload = await cluster.workload_of(scene.policy.namespace, controller)
    if workload is None or not would_surge(scene.policy.spec.roll.strategy, target, workload, scene.permits):
        return workload, ""
    return workload, await cluster.hash_selected_by(target, workload.hash_label)


def _most_urgent(assessments: Sequence[Assessment]) -> list[Candidate]:
    """Return one breaching container per pod: one that is due, else the one that reaches its limit first."""
    first: dict[str, Candidate] = {}
    for a in assessments:
        if not isinstance(a.verdict, Breach):
            continue
        fresh = Candidate(a.target, a.container.name, a.verdict, a.container.limit_bytes)
        first[a.target.key.uid] = min(
            (first.get(a.target.key.uid, fresh), fresh), key=lambda c: (not c.due, seconds_left(c.breach))
        )
    return list(first.values())


async def _context(
    scene: Scene, targets: Sequence[Target], assessments: Sequence[Assessment], cluster: Cluster
) -> Context:
    policy = scene.policy
    anything = any(isinstance(a.verdict, Breach) for a in assessments)
    annotations = await cluster.namespace_annotations(policy.namespace) if anything else {}
    return Context(
        policy.name, policy.spec, scene.rolls, scene.now, annotations, scene.permits, leads=scene.leads(),
        healthy=healthy(policy, assessments, scene.now), guard=scene.guard,
        watched_pods=watched_pods(scene, len(targets)),
    )  # fmt: skip


async def _act(
    scene: Scene, candidates: Sequence[Candidate], context: Context, cluster: Cluster
) -> tuple[Plan, tuple[PodRoll, ...]]:
    """Plan, and record what is planned. Nothing is counted, and nobody waits, for a plan that rolls nothing."""
    plan = make_plan(candidates, context)
    if not plan.rolls:
        return plan, ()
    async with scene.turn:
        rolls, tally = await count(scene, cluster)
        plan = make_plan(candidates, replace(context, rolls=rolls, tally=tally, leads=scene.leads()))
        return await create_rolls(scene, plan, rolls, cluster)


async def _tidy(scene: Scene, cluster: Cluster) -> None:
    """Drop the PodRolls that have served their time; those that the guard counts have not."""
    for roll in expired(scene.rolls, scene.now):
        if scene.now - roll.created_at > PERIOD:
            await cluster.delete_roll(roll.namespace, roll.name, roll.uid)
