"""Final state of a simulation of rolls: pods that memroll has orphaned, and due pods that nothing explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.policy import MemoryPolicy
from memroll.model.roll_duration import RollDurations
from memroll.model.roll_record import RollRecord
from memroll.planning.candidate import Candidate, Context
from memroll.planning.plan import make_plan
from memroll.reconcile.snapshot import PolicySnapshot
from memroll.reconcile.workload_lookup import WorkloadLookup
from memroll.rolling.reasons import INTERNAL_ERROR
from tests.builders import leak_verdict, policy_json
from tests.model.cluster import NAMESPACE
from tests.model.invariants import traces_of
from tests.model.objects import HASH_LABEL, Json, annotations_of, controller_uid, labels_of, name_of, uid_of
from tests.model.roll_simulation import RELEASED_FROM, ROLL_ANNOTATION

if TYPE_CHECKING:
    from memroll.clients.kube.cluster import KubeCluster
    from memroll.planning.plan import Plan
    from tests.model.roll_simulation import RollSimulation


def find_unexplained_pods(simulation: RollSimulation) -> list[str]:
    """Return the pods that a plan neither rolls nor blocks with a reason, if all of them are due."""
    plans: list[Plan] = []

    async def plan(cluster: KubeCluster) -> None:
        plans.append(await _plan_all(simulation, cluster))

    simulation.processes[1].begin("plan", plan)
    simulation.processes[1].send_all()
    (made,) = plans
    explained = {c.pod.key.uid for c in made.rolls} | {b.candidate.pod.key.uid for b in made.blocked if b.message}
    return [name_of(p) for p in simulation.cluster.list_pods() if uid_of(p) not in explained]


async def _plan_all(simulation: RollSimulation, cluster: KubeCluster) -> Plan:
    policy = MemoryPolicy.read(policy_json({"mode": "Enforce", "selector": {"matchLabels": {"app": "chat"}}}))
    rolls = tuple(RollRecord.read(r) for r in simulation.list_rolls())
    lookup = WorkloadLookup(PolicySnapshot(policy, (), rolls, simulation.server.now), cluster)
    candidates = []
    for pod in await cluster.list_pods(NAMESPACE, ""):
        due = Candidate(pod, "chat", leak_verdict(), 1)
        candidates.append(due if pod.controller is None else (await lookup.complete([due]))[0])
    durations = RollDurations.measure(policy.name, policy.spec.roll.drain, rolls)
    return make_plan(candidates, Context(policy.name, policy.spec, rolls, simulation.server.now, durations))


def find_orphaned_pods(simulation: RollSimulation) -> list[str]:
    """Return the pods that memroll has orphaned, each with its traces of memroll or "no controller"."""
    found = []
    for pod in simulation.cluster.list_undeleted_pods():
        changed = uid_of(pod) in simulation.checker.changed_pods
        if changed and not is_restored_by_hand(simulation, pod):
            traces = traces_of(pod) + ([] if controller_uid(pod) else ["no controller"])
            found += [f"{name_of(pod)}: {', '.join(traces)}"] if traces else []
    return found


def is_restored_by_hand(simulation: RollSimulation, pod: Json) -> bool:
    """Return whether a person restored a pod's label, and then its roll was deleted or ended with a bug.

    Orphaned pods are found by that label. Unused annotations are left and, after a bug, also what a drain has changed.
    """
    reasons = {name_of(r): r.get("status", {}).get("reason") for r in simulation.server.list("podrolls")}
    if labels_of(pod).get(HASH_LABEL) != annotations_of(pod).get(RELEASED_FROM):
        return False
    roll = annotations_of(pod).get(ROLL_ANNOTATION)
    return reasons.get(roll) == INTERNAL_ERROR or (bool(controller_uid(pod)) and roll not in reasons)
