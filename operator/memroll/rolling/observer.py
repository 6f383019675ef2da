"""What a step of a roll looks at, read afresh right before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError

from memroll.api.pod_roll import Phase, PodRoll
from memroll.api.policy import DEFAULT_CONNECTION, Mode
from memroll.api.roll_spec import DrainMode, Strategy
from memroll.errors import MemrollError
from memroll.model.pods import ObjectRef
from memroll.rolling.observation import RETRY_S, Observed, is_released, is_replaced
from memroll.rolling.protection import protection
from memroll.rolling.strategy import would_surge

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from memroll.api.pod_roll import Detachment
    from memroll.api.policy import MemoryPolicy
    from memroll.model.pods import Target, Workload


class Cluster(Protocol):
    """What looking needs of Kubernetes."""

    async def pod(self, namespace: str, name: str) -> Target | None: ...
    async def workload_of(
        self, namespace: str, controller: ObjectRef, top: ObjectRef | None = None
    ) -> Workload | None: ...
    async def owned_pods(self, workload: Workload, namespace: str) -> tuple[Target, ...]: ...
    async def namespace_annotations(self, namespace: str) -> Mapping[str, str]: ...
    async def rolls(self, namespace: str) -> tuple[dict[str, Any], ...]: ...
    async def detachment(self, target: Target) -> Detachment: ...
    async def hash_selected_by(self, target: Target, hash_label: str) -> str: ...


class Gauges(Protocol):
    """What looking needs of Prometheus."""

    async def in_flight(
        self, connection: str, namespace: str, pod: str, metric: str, since_s: float
    ) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Eyes:
    """Through what the cluster is seen."""

    cluster: Cluster
    gauges: Gauges


async def observe(roll: PodRoll, policy: MemoryPolicy | None, eyes: Eyes, now: datetime) -> Observed:
    """Look at the pod, its workload and the other pods of it, and at what the roll's phase asks for beside them."""
    cluster = eyes.cluster
    pod = await cluster.pod(roll.namespace, roll.spec.pod_name)
    if pod is not None and roll.pod_uid and pod.key.uid != roll.pod_uid:
        pod = None
    controller, top = _owners(roll, pod)
    workload = await cluster.workload_of(roll.namespace, controller, top) if controller is not None else None
    others: tuple[Target, ...] = ()
    if workload is not None and workload.selector:
        owned = await cluster.owned_pods(workload, roll.namespace)
        old = roll.pod_uid or (pod.key.uid if pod else "")
        others = tuple(p for p in owned if p.key.uid != old)
    retry_s = RETRY_S if policy is None else max(30.0, policy.spec.roll.cooldown.total_seconds())
    seen = Observed(pod, workload, others, _withdrawn(roll, policy), retry_s=retry_s)
    return await _more(roll, policy, seen, eyes, now)


async def _more(roll: PodRoll, policy: MemoryPolicy | None, seen: Observed, eyes: Eyes, now: datetime) -> Observed:
    """Add what only one phase asks for."""
    status, pod = roll.status, seen.pod
    if pod is None:
        return seen
    if _may_surge(roll, seen):
        assert seen.workload is not None, "choose refuses it otherwise"
        by = await eyes.cluster.hash_selected_by(pod, seen.workload.hash_label)
        seen = replace(seen, hash_selected_by=by)
    if status.phase is None:
        return replace(seen, forbidden=await _forbidden(roll, pod, eyes.cluster, now))
    if status.phase is Phase.REPLACING and roll.spec.drain.mode is DrainMode.DETACH:
        if seen.workload is not None and is_released(pod, status) and is_replaced(status, seen):
            return replace(seen, detachment=await eyes.cluster.detachment(pod))
    elif status.phase is Phase.DRAINING and roll.spec.drain.until is not None:
        return replace(seen, in_flight=await _in_flight(roll, policy, eyes.gauges))
    return seen


def _may_surge(roll: PodRoll, seen: Observed) -> bool:
    """Whether the next step may release the pod."""
    status, pod = roll.status, seen.pod
    if pod is None or pod.deleting or is_released(pod, status):
        return False
    if status.phase is None:
        return would_surge(roll.spec.strategy, pod, seen.workload)
    before = status.phase in (Phase.ANNOUNCED, Phase.CAPTURING_EVIDENCE, Phase.REPLACING)
    return before and status.strategy is Strategy.SURGE and would_surge(Strategy.SURGE, pod, seen.workload)


def _owners(roll: PodRoll, pod: Target | None) -> tuple[ObjectRef | None, ObjectRef | None]:
    """Return the pod's controller and the workload's top, as recorded, else as the pod says."""
    status, known = roll.status, roll.status.controller
    if known is None:
        return (pod.controller if pod is not None else None), None
    ref = status.workload
    top = None if ref is None else ObjectRef(ref.api_version, ref.kind, ref.name, status.workload_uid)
    return ObjectRef(known.api_version, known.kind, known.name, known.uid), top


async def _forbidden(roll: PodRoll, pod: Target, cluster: Cluster, now: datetime) -> str:
    """Say why the pod must not be rolled at all: it is protected, or another roll has it."""
    guarded = protection(pod.annotations, await cluster.namespace_annotations(roll.namespace), now)
    if guarded:
        return guarded
    for raw in await cluster.rolls(roll.namespace):
        try:
            other = PodRoll.read(raw)
        except ValidationError:
            continue  # one that can't be read is not under way
        begun = other.status.phase is not None and other.active and other.uid != roll.uid
        if begun and other.pod_uid == pod.key.uid:
            return f"PodRoll {other.name} of this pod is under way"
    return ""


async def _in_flight(roll: PodRoll, policy: MemoryPolicy | None, gauges: Gauges) -> float | None:
    """Ask how busy the pod is. Trouble means that it is not known: the drain then takes all of its time."""
    until, since = roll.spec.drain.until, roll.status.times.draining
    assert until is not None, "the caller checked"
    connection = DEFAULT_CONNECTION if policy is None else policy.spec.prometheus
    since_s = 0.0 if since is None else since.timestamp()
    try:
        return await gauges.in_flight(connection, roll.namespace, roll.spec.pod_name, until.metric, since_s)
    except MemrollError:
        return None


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
