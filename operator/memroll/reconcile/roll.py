"""One step of one PodRoll: observe, decide, write the record, act.

The record is written before the act. Whoever carries on after a crash, this process or another, starts from
the record and from what the cluster shows, and every act may be done twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from memroll.api.policy import Mode
from memroll.api.roll import Phase, PodRoll, RollStatus
from memroll.disruption.eviction import Eviction, EvictionAnswer
from memroll.disruption.machine import HELD_BY_PDB, MISCONFIGURED, Act, Observed, moved, next_step
from memroll.disruption.strategy import EVERYTHING, Permits
from memroll.disruption.target import RELEASED_HASH, ROLL_ANNOTATION, ObjectRef
from memroll.errors import Stalled, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from memroll.api.policy import MemoryPolicy
    from memroll.disruption.target import PodKey, Target, Workload

BLOCKED_FOR_S = 10.0
"""A budget that gives way within this time was only catching up with the new replacement: not worth a warning."""
WAIT_S = 1.0
"""How soon a waiting roll is looked at again."""


class Cluster(Protocol):
    """What a step needs of Kubernetes."""

    async def pod(self, namespace: str, name: str) -> Target | None: ...
    async def workload_of(self, namespace: str, controller: ObjectRef) -> Workload | None: ...
    async def owned_pods(self, workload: Workload, namespace: str) -> tuple[Target, ...]: ...
    async def write_status(
        self, plural: str, namespace: str, name: str, resource_version: str, status: dict[str, Any]
    ) -> dict[str, Any]: ...
    async def release(self, target: Target, hash_label: str, roll_name: str) -> None: ...
    async def restore(self, target: Target, hash_label: str) -> None: ...
    async def own(self, target: Target, roll_name: str, roll_uid: str) -> None: ...
    async def evict(self, target: Target, roll_name: str) -> EvictionAnswer: ...
    async def roll(self, namespace: str, name: str) -> dict[str, Any] | None: ...
    async def released_pods(self, namespace: str | None) -> tuple[Target, ...]: ...


@dataclass(frozen=True, slots=True)
class Mandate:
    """What this process may do, and whether it leads at this very moment: asked right before each act."""

    permits: Permits = EVERYTHING
    leads: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class Advanced:
    """What a step changed. `wait_s`: when the roll wants its next step; None when it has ended."""

    before: RollStatus
    roll: PodRoll
    wait_s: float | None


async def advance(
    roll: PodRoll, policy: MemoryPolicy | None, cluster: Cluster, now: datetime, mandate: Mandate
) -> Advanced:
    """Make one step. Raises memroll's errors; a Conflict means that someone else wrote the record."""
    before = roll.status
    seen = replace(await observe(roll, policy, cluster), permits=mandate.permits)
    step = next_step(roll, seen, now)
    roll = await _write(roll, step.status, cluster)
    for act in step.acts:
        if not mandate.leads():
            raise Waiting("NotLeader", f"the Lease was lost before {act.value}: whoever leads now goes on")
        try:
            roll = await _perform(act, roll, seen, cluster, now)
        except Stalled as refusal:
            if act is Act.OWN:
                continue  # a safety net: where it is forbidden, the sweep still finds the pod by its mark
            roll = await _write(roll, _refused(roll.status, act, refusal, now), cluster)
            break
    if not roll.active:
        return Advanced(before, roll, None)
    return Advanced(before, roll, 0.0 if roll.status.phase != before.phase else WAIT_S)


async def observe(roll: PodRoll, policy: MemoryPolicy | None, cluster: Cluster) -> Observed:
    """Look at the pod, its controller and the other pods of the controller, fresh."""
    pod = await cluster.pod(roll.namespace, roll.spec.pod_name)
    if pod is not None and roll.pod_uid and pod.key.uid != roll.pod_uid:
        pod = None
    known = roll.status.controller
    controller = pod.controller if pod is not None and pod.controller is not None else None
    if known is not None:
        controller = ObjectRef(known.api_version, known.kind, known.name, known.uid)
    workload = await cluster.workload_of(roll.namespace, controller) if controller is not None else None
    others: tuple[Target, ...] = ()
    if workload is not None:
        owned = await cluster.owned_pods(workload, roll.namespace)
        old = roll.pod_uid or (pod.key.uid if pod else "")
        others = tuple(p for p in owned if p.key.uid != old)
    return Observed(pod, workload, others, _withdrawn(roll, policy))


def _withdrawn(roll: PodRoll, policy: MemoryPolicy | None) -> str:
    """Say why the policy does not want this roll any more. A roll made by hand needs no policy."""
    if not roll.spec.policy:
        return ""
    if policy is None:
        return f"policy {roll.spec.policy} does not exist any more"
    if policy.spec.suspend:
        return f"policy {policy.name} is suspended"
    if policy.spec.mode is not Mode.ENFORCE:
        return f"policy {policy.name} observes only"
    return ""


async def _write(roll: PodRoll, status: RollStatus, cluster: Cluster) -> PodRoll:
    if status == roll.status:
        return roll
    written = await cluster.write_status(
        "podrolls", roll.namespace, roll.name, roll.resource_version, status.on_the_wire()
    )
    return PodRoll.read(written)


async def _perform(act: Act, roll: PodRoll, seen: Observed, cluster: Cluster, now: datetime) -> PodRoll:
    """Carry out one act on the pod as it was observed: uid and version are preconditions of the write."""
    pod, release = seen.pod, roll.status.release
    assert pod is not None, "acts are only planned for a pod that exists"
    match act:
        case Act.RELEASE:
            assert release is not None
            await cluster.release(pod, release.hash_label, roll.name)
        case Act.RESTORE:
            assert release is not None
            await cluster.restore(pod, release.hash_label)
        case Act.OWN:
            await cluster.own(pod, roll.name, roll.uid)
        case Act.EVICT:
            return await _write(roll, _answered(roll.status, await cluster.evict(pod, roll.name), now), cluster)
    return roll


def _refused(status: RollStatus, act: Act, refusal: Stalled, now: datetime) -> RollStatus:
    """Record a write that the API server will never allow: end the roll, or have it rolled back."""
    message = f"{act.value} is refused: {refusal.message}"
    if act is Act.RELEASE:
        return moved(status, Phase.FAILED, now, message, reason=refusal.reason)
    return status.model_copy(update={"reason": MISCONFIGURED, "message": message[:1024]})


def _answered(status: RollStatus, eviction: EvictionAnswer, now: datetime) -> RollStatus:
    """Record what the Eviction API said; the next step decides on it."""
    evicting_s = (now - (status.times.evicting or now)).total_seconds()
    match eviction.result:
        case Eviction.ACCEPTED:
            return status.model_copy(update={"reason": "Terminating", "message": "the old pod is terminating"})
        case Eviction.GONE:
            return status.model_copy(update={"reason": "Terminating", "message": "the old pod is gone"})
        case Eviction.BLOCKED:
            reason = HELD_BY_PDB if evicting_s > BLOCKED_FOR_S else status.reason
            return status.model_copy(update={"reason": reason, "message": eviction.message[:1024]})
        case Eviction.THROTTLED:
            return status.model_copy(update={"reason": "Throttled", "message": eviction.message[:1024]})
        case Eviction.MISCONFIGURED:
            return status.model_copy(update={"reason": MISCONFIGURED, "message": eviction.message[:1024]})


async def sweep(cluster: Cluster, namespaces: tuple[str, ...]) -> tuple[PodKey, ...]:
    """Put back the released pods whose PodRoll does not exist any more or has ended; return which.

    This is what a deleted PodRoll means while the replacement is not Ready, and what is left of an operator
    that was killed between the end of a roll and the release of its pod.
    """
    put_back = []
    found = [await cluster.released_pods(namespace) for namespace in namespaces or (None,)]
    for pod in (pod for listed in found for pod in listed):
        if pod.deleting or await _is_rolling(pod, cluster):
            continue
        await cluster.restore(pod, hash_label_of(pod))
        put_back.append(pod.key)
    return tuple(put_back)


async def _is_rolling(pod: Target, cluster: Cluster) -> bool:
    name = pod.annotations.get(ROLL_ANNOTATION)
    if not name:
        return False
    raw = await cluster.roll(pod.key.namespace, name)
    if raw is None:
        return False
    roll = PodRoll.read(raw)
    return roll.active and roll.pod_uid == pod.key.uid


def hash_label_of(pod: Target) -> str:
    """Return the label by which a released pod was let go."""
    return next(k for k, v in pod.labels.items() if v == RELEASED_HASH)
