"""One step of one PodRoll: observe, decide, write the record, act.

The record is written before the act. Whoever carries on after a crash, this process or another, starts from
the record and from what the cluster shows, and every act may be done twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from memroll.api.evidence import Evidence, Missing, Part
from memroll.api.pod_roll import Detachment, Phase, PodRoll, RollStatus
from memroll.detection import assess
from memroll.errors import Stalled, Waiting
from memroll.evidence import capture
from memroll.evidence.capture import Inquiry, Reports, Sources
from memroll.evidence.time_budget import left_s
from memroll.model.annotations import Owners
from memroll.model.permissions import EVERYTHING, Permits
from memroll.rolling import observer
from memroll.rolling.eviction import Eviction, EvictionAnswer
from memroll.rolling.observation import Act, moved
from memroll.rolling.observer import Eyes, observe
from memroll.rolling.rollback import MISCONFIGURED
from memroll.rolling.state_machine import next_step
from memroll.rolling.surge import HELD_BY_PDB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from memroll.api.policy import MemoryPolicy
    from memroll.model.pods import ObjectRef, Target
    from memroll.rolling.observation import Observed

BLOCKED_FOR_S = 10.0
"""A budget that gives way within this time was only catching up with the new replacement: not worth a warning."""
WAIT_S = 1.0
"""How soon a waiting roll is looked at again."""


class Cluster(observer.Cluster, capture.Cluster, Protocol):
    """What a step needs of Kubernetes."""

    async def write_status(
        self, plural: str, namespace: str, name: str, resource_version: str, status: dict[str, Any]
    ) -> dict[str, Any]: ...
    async def release(self, target: Target, hash_label: str, roll_name: str, owners: Owners) -> None: ...
    async def restore(self, target: Target, hash_label: str) -> None: ...
    async def own(self, target: Target, roll_name: str, roll_uid: str) -> None: ...
    async def detach(self, target: Target, labels: Mapping[str, str]) -> None: ...
    async def restart(self, namespace: str, top: ObjectRef, at: datetime) -> None: ...
    async def evict(self, target: Target, roll_name: str) -> EvictionAnswer: ...


@dataclass(frozen=True, slots=True)
class Mandate:
    """What this process may do, and whether it leads at this very moment: asked right before each act."""

    permits: Permits = EVERYTHING
    leads: Callable[[], bool] = lambda: True
    retiring: str = ""
    """Why every roll is to be taken back, or empty."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """What a step changed. `wait_s`: when the roll wants its next step; None when it has ended."""

    before: RollStatus
    roll: PodRoll
    wait_s: float | None


class Prometheus(observer.Gauges, assess.Prometheus, Protocol):
    """What a step needs of Prometheus."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Through what a step sees and acts."""

    cluster: Cluster
    prometheus: Prometheus
    reports: Reports | None = None


async def advance(
    roll: PodRoll, policy: MemoryPolicy | None, ports: Ports, now: datetime, mandate: Mandate
) -> Advanced:
    """Make one step. Raises memroll's errors; a Conflict means that someone else wrote the record."""
    before, cluster = roll.status, ports.cluster
    seen = await observe(roll, policy, Eyes(cluster, ports.prometheus), now)
    seen = replace(seen, permits=mandate.permits, retiring=mandate.retiring)
    step = next_step(roll, seen, now)
    if not mandate.leads():
        raise Waiting("NotLeader", "the Lease was lost before the step was written: whoever leads now goes on")
    roll = await _write(roll, step.status, cluster)
    for act in step.acts:
        if not mandate.leads():
            raise Waiting("NotLeader", f"the Lease was lost before {act.value}: whoever leads now goes on")
        try:
            if act is Act.CAPTURE:
                roll = await _capture(roll, policy, seen, ports, now)
            else:
                roll = await _perform(act, roll, seen, cluster, now)
        except Stalled as refusal:
            if act is Act.OWN:
                continue  # a safety net: where it is forbidden, the sweep still finds the pod by its mark
            roll = await _write(roll, _refused(roll.status, act, refusal, now), cluster)
            break
    if not roll.active:
        return Advanced(before, roll, None)
    return Advanced(before, roll, 0.0 if roll.status.phase != before.phase else WAIT_S)


async def _write(roll: PodRoll, status: RollStatus, cluster: Cluster) -> PodRoll:
    if status == roll.status:
        return roll
    written = await cluster.write_status(
        "podrolls", roll.namespace, roll.name, roll.resource_version, status.on_the_wire()
    )
    return PodRoll.read(written)


async def _capture(roll: PodRoll, policy: MemoryPolicy | None, seen: Observed, ports: Ports, now: datetime) -> PodRoll:
    """Write down what can be had of the pod; where the API server does not take that, write down why."""
    pod = seen.pod
    assert pod is not None, "acts are only planned for a pod that exists"
    inquiry = Inquiry(roll, policy, pod, seen.permits, now, left_s(roll, pod, now))
    found = await capture.capture(inquiry, Sources(ports.cluster, ports.prometheus, ports.reports))
    try:
        return await _write(roll, roll.status.model_copy(update={"evidence": found}), ports.cluster)
    except Stalled as refusal:
        reason = f"the record was refused: {refusal.message}"[:256]
        bare = Evidence(captured_at=now, missing=(Missing(part=Part.ALL, reason=reason),))
        return await _write(roll, roll.status.model_copy(update={"evidence": bare}), ports.cluster)


async def _perform(act: Act, roll: PodRoll, seen: Observed, cluster: Cluster, now: datetime) -> PodRoll:
    """Carry out one act on what was observed: uid and version are preconditions of the write."""
    status = roll.status
    if act is Act.RESTART:
        assert seen.workload is not None
        assert status.restarted_at is not None
        await cluster.restart(roll.namespace, seen.workload.top, status.restarted_at)
        return roll
    pod = seen.pod
    assert pod is not None, "acts are only planned for a pod that exists"
    if act is Act.EVICT:
        return await _write(roll, _answered(status, await cluster.evict(pod, roll.name), now), cluster)
    if act is Act.OWN:
        await cluster.own(pod, roll.name, roll.uid)
    elif act is Act.DETACH:
        assert status.detachment is not None
        await cluster.detach(pod, status.detachment.labels)
    else:
        await _relabel(act, roll, pod, seen, cluster)
    return roll


async def _relabel(act: Act, roll: PodRoll, pod: Target, seen: Observed, cluster: Cluster) -> None:
    """Release the pod, or put it back."""
    release = roll.status.release
    assert release is not None
    if act is Act.RESTORE:
        await cluster.restore(pod, release.hash_label)
        return
    assert seen.workload is not None
    owners = Owners(seen.workload.controller, seen.workload.top)
    await cluster.release(pod, release.hash_label, roll.name, owners)


def _refused(status: RollStatus, act: Act, refusal: Stalled, now: datetime) -> RollStatus:
    """Record a write that the API server will never allow: end the roll, have it rolled back, or do without."""
    message = f"{act.value} is refused: {refusal.message}"
    if act in (Act.RELEASE, Act.RESTART):
        return moved(status, Phase.FAILED, now, message, reason=refusal.reason)
    if act is Act.DETACH:
        return moved(
            status, Phase.EVICTING, now, message, reason="Evicting", detachment=Detachment(skipped=message[:1024])
        )
    if act is Act.RESTORE:
        return status.model_copy(update={"message": message[:1024]})
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
