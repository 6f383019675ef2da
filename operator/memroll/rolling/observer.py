"""Observer: reads the cluster right before each step of a roll.

`reconcile.roll` calls `observe`. A step reads only what its phase needs: each further read is a request to the API
server or to Prometheus for every roll and every second.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from memroll.api.decode import decode_or_none
from memroll.api.pod_roll import Phase
from memroll.api.policy import DEFAULT_CONNECTION, Mode
from memroll.api.roll_spec import DrainMode, Strategy
from memroll.errors import MemrollError
from memroll.model.pods import ObjectRef
from memroll.model.roll_record import RollRecord
from memroll.rolling.do_not_disrupt import do_not_disrupt
from memroll.rolling.eviction_response import EvictionResult
from memroll.rolling.observation import RETRY_S, UNCHANGED_PHASES, Observation, StepInput
from memroll.rolling.pod_labels import is_released
from memroll.rolling.strategy_choice import strategy_of, would_release

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy
    from memroll.model.pods import Pod, Workload
    from memroll.rolling.protocols import Clients, GaugeReader, KubernetesClient

MIN_RETRY_S = 30.0
"""Minimum seconds between a failed roll and the next attempt that a step assumes, however short `roll.cooldown` is.
Chosen by hand."""


async def observe(
    roll: PodRoll, policy: MemoryPolicy | None, clients: Clients, now: datetime, planned: str | None = None
) -> Observation:
    """Read the pod, its workload, the workload's other pods, and what the roll's phase needs besides.

    `planned`: `hash_selector` of a roll that was planned a moment ago, which nothing else forbade. That suffices to
    announce it: before the first change, all of it is read again.
    """
    pod, workload, others = await _read_pods(roll, clients.kubernetes)
    retry_s = RETRY_S if policy is None else max(MIN_RETRY_S, policy.spec.roll.cooldown.total_seconds())
    observation = Observation(pod, workload, others, _policy_withdrawn(roll, policy), retry_s=retry_s)
    step = StepInput(roll, observation, now, policy)
    if planned is not None and roll.status.phase is None and pod is not None:
        return await _with_planned(step, planned, clients.kubernetes)
    return await add_phase_details(step, clients)


async def _with_planned(step: StepInput, hash_selector: str, kubernetes: KubernetesClient) -> Observation:
    """Add to an observation what only the announcement needs, of which the plan has read the most."""
    pod, workload = step.pod, step.observation.workload
    marked = do_not_disrupt(pod, workload, {}, step.now)
    observation = replace(step.observation, must_not_roll_because=marked)
    if workload is None or not _may_release(step.roll, observation):
        return observation
    observation = replace(observation, hash_selector=hash_selector)
    return await _with_missing_room(step.roll, pod, workload, observation, kubernetes)


async def _read_pods(
    roll: PodRoll, kubernetes: KubernetesClient
) -> tuple[Pod | None, Workload | None, tuple[Pod, ...]]:
    """Return the rolled pod, its workload and the workload's other pods.

    The list of the workload's pods has the rolled one as well, also once it is released; only a pod that is missing
    there is read by its name. The pod is read first while the record does not name its controller.
    """
    pod = None if roll.status.controller else await _read_pod(roll, kubernetes)
    controller, owner = _owners(roll, pod)
    workload = await kubernetes.find_workload(roll.namespace, controller, owner) if controller is not None else None
    listed: tuple[Pod, ...] = ()
    if workload is not None and workload.selector:
        listed = await kubernetes.list_pods(roll.namespace, workload.selector)
    rolled_uid = roll.pod_uid or (pod.key.uid if pod else "")
    if roll.status.controller:
        found = next((p for p in listed if p.key.uid == rolled_uid), None)
        pod = await _read_pod(roll, kubernetes) if found is None else _unless_gone(found)
    owned = (p for p in listed if p.controller and workload and p.controller.uid in workload.controller_uids)
    return pod, workload, tuple(p for p in owned if p.key.uid != rolled_uid and not p.has_ended)


async def _read_pod(roll: PodRoll, kubernetes: KubernetesClient) -> Pod | None:
    """Read the rolled pod; None if it is gone, or another pod has its name now."""
    pod = await kubernetes.get_pod(roll.namespace, roll.spec.pod_name)
    if pod is not None and roll.pod_uid and pod.key.uid != roll.pod_uid:
        return None
    return None if pod is None else _unless_gone(pod)


def _unless_gone(pod: Pod) -> Pod | None:
    return None if _is_gone(pod) else pod


def _is_gone(pod: Pod) -> bool:
    """Return whether a pod has ended by itself: its controller has replaced it already.

    The containers of a pod that is being deleted end as well, and a finalizer can hold the pod itself for long.
    """
    return pod.has_ended and not pod.deleting


async def add_phase_details(step: StepInput, clients: Clients) -> Observation:
    """Add to an observation what only one phase needs."""
    observation, status, drain = step.observation, step.status, step.roll.spec.drain
    pod, workload, kubernetes = observation.pod, observation.workload, clients.kubernetes
    if _may_record_replacement(step, observation):
        observation = replace(observation, claimed=await _claimed(step.roll, clients))
        step = replace(step, observation=observation)
    if pod is None:
        return observation
    if workload is not None and _may_release(step.roll, observation):
        observation = await _with_surge_obstacles(step.roll, pod, workload, observation, kubernetes)
    if status.phase in UNCHANGED_PHASES:
        return await _with_obstacles(step, observation, clients)
    if status.phase is Phase.REPLACING and drain.mode is DrainMode.DETACH:
        if workload is not None and is_released(pod, status) and step.can_remove_old_pod:
            return await _with_detachment(observation, pod, kubernetes)
    elif status.phase is Phase.DRAINING and drain.until is not None:
        return await _with_gauge(step, observation, drain.until.metric, clients.prometheus)
    return observation


async def _with_surge_obstacles(
    roll: PodRoll, pod: Pod, workload: Workload, observation: Observation, kubernetes: KubernetesClient
) -> Observation:
    """Add what prevents a release: a selector by the template hash and, for Auto, missing room."""
    hash_selector = await kubernetes.find_hash_selector(pod, workload.hash_label)
    return await _with_missing_room(roll, pod, workload, replace(observation, hash_selector=hash_selector), kubernetes)


async def _with_missing_room(
    roll: PodRoll, pod: Pod, workload: Workload, observation: Observation, kubernetes: KubernetesClient
) -> Observation:
    """Add, for strategy Auto, that no node has room for a second copy of the pod.

    This is not looked up where the answer would change nothing: for a strategy that the spec requires, and once the
    release is recorded.
    """
    is_open = roll.spec.strategy is Strategy.AUTO and roll.status.phase in UNCHANGED_PHASES
    if observation.hash_selector or not is_open:
        return observation
    return replace(observation, missing_room=await kubernetes.find_missing_room(pod, workload.hash_label))


async def _with_obstacles(step: StepInput, observation: Observation, clients: Clients) -> Observation:
    """Add what forbids the first change: annotations, other rolls of the pod, and PodDisruptionBudgets."""
    roll, pod = step.roll, step.pod
    must_not_roll_because = await _must_not_roll_because(step, pod, clients)
    observation = replace(observation, must_not_roll_because=must_not_roll_because)
    if roll.status.phase is None or observation.must_not_roll_because:
        return observation
    response = await clients.kubernetes.dry_run_eviction(pod)
    is_never = response.result is EvictionResult.MISCONFIGURED
    return replace(observation, never_evictable_because=response.message) if is_never else observation


async def _with_detachment(observation: Observation, pod: Pod, kubernetes: KubernetesClient) -> Observation:
    """Add the labels to change, unless the eviction would be refused now, or the API server has no answer.

    The PodDisruptionBudgets must permit it before the detachment: afterwards the pod may lack the label by which they
    select it.
    """
    response = await kubernetes.dry_run_eviction(pod)
    if response.result not in (EvictionResult.ACCEPTED, EvictionResult.GONE):
        return replace(observation, refused_detach=response)
    return replace(observation, detachment=await kubernetes.find_detachment(pod))


def _may_record_replacement(step: StepInput, observation: Observation) -> bool:
    """Return whether the next step may record a replacement, or end with one: then the claims of other rolls matter."""
    status, found, strategy = step.status, step.replacement, strategy_of(step.status.strategy)
    if observation.workload is None or found is None or strategy is None or not strategy.evicts_pod:
        return False
    if status.replacement is None or status.replacement.uid != found.uid:
        return status.phase in (Phase.REPLACING, Phase.EVICTING, Phase.VERIFYING)
    return status.phase in (Phase.REPLACING, Phase.VERIFYING) and step.can_remove_old_pod


async def _claimed(roll: PodRoll, clients: Clients) -> frozenset[str]:
    """Return the uids of the replacements of other rolls; of two rolls with the same one, it is the older one's."""
    own = roll.status.replacement
    claimed = set()
    for other in await _other_rolls(roll, clients):
        found = other.status.replacement
        if found is None:
            continue
        if own is None or own.uid != found.uid or _age(other) < _age(roll):
            claimed.add(found.uid)
    return frozenset(claimed)


async def _other_rolls(roll: PodRoll, clients: Clients) -> list[RollRecord]:
    """Return the other valid PodRolls of the namespace as they are now."""
    if clients.rolls is None:
        found: list[RollRecord | dict[str, Any]] = [*await clients.kubernetes.list_rolls(roll.namespace)]
    else:
        found = [item async for item in clients.rolls.iterate(roll.namespace, roll.uid)]
    records = (item if isinstance(item, RollRecord) else decode_or_none(item, RollRecord.read) for item in found)
    return [record for record in records if record is not None and record.uid != roll.uid]


def _age(roll: PodRoll | RollRecord) -> tuple[datetime, str]:
    return roll.created_at, roll.name


def _may_release(roll: PodRoll, observation: Observation) -> bool:
    """Return whether the next step may release the pod."""
    status, pod = roll.status, observation.pod
    if pod is None or pod.deleting or is_released(pod, status):
        return False
    if status.phase in (None, Phase.ANNOUNCED, Phase.CAPTURING_EVIDENCE):
        return would_release(roll.spec.strategy, pod, observation.workload)
    strategy = strategy_of(status.strategy) if status.phase is Phase.REPLACING else None
    if strategy is None or not strategy.releases_pod:
        return False
    return would_release(strategy.strategy, pod, observation.workload)


def _owners(roll: PodRoll, pod: Pod | None) -> tuple[ObjectRef | None, ObjectRef | None]:
    """Return the pod's controller and the owner of that, as recorded, else by the pod's owner reference."""
    status, controller = roll.status, roll.status.controller
    if controller is None:
        return (pod.controller if pod is not None else None), None
    ref = status.workload
    owner = None if ref is None else ObjectRef(ref.api_version, ref.kind, ref.name, status.workload_uid)
    return ObjectRef(controller.api_version, controller.kind, controller.name, controller.uid), owner


async def _must_not_roll_because(step: StepInput, pod: Pod, clients: Clients) -> str:
    """Return why the pod must not be rolled at all: a do-not-disrupt annotation, or another roll of it."""
    roll = step.roll
    namespace = await clients.kubernetes.get_namespace_annotations(roll.namespace)
    marked = do_not_disrupt(pod, step.observation.workload, namespace, step.now)
    if marked:
        return marked
    for other in await _other_rolls(roll, clients):
        if other.active and _is_of_pod(other, pod) and _precedence(other) < _precedence(roll):
            return f"PodRoll {other.name} of this pod is in progress"
    return ""


def _is_of_pod(roll: RollRecord, pod: Pod) -> bool:
    return roll.pod_uid == pod.key.uid if roll.pod_uid else roll.spec.pod_name == pod.key.name


def _precedence(roll: PodRoll | RollRecord) -> tuple[int, datetime, str]:
    """Return the sort key by which one of several rolls of a pod is carried out: by progress, then by age.

    Two rolls that begin at the same time can't see each other begin; but both look again right before their first
    change, and the younger one ends then.
    """
    phase = roll.status.phase
    stage = 2 if phase is None else int(phase in UNCHANGED_PHASES)
    return stage, roll.created_at, roll.name


async def _with_gauge(step: StepInput, observation: Observation, metric: str, prometheus: GaugeReader) -> Observation:
    """Add the pod's in-flight gauge, or why it could not be queried: the drain then takes all of its time."""
    roll, since = step.roll, step.status.times.draining
    connection = DEFAULT_CONNECTION if step.policy is None else step.policy.spec.prometheus
    since_s = 0.0 if since is None else since.timestamp()
    try:
        found = await prometheus.read_gauge(connection, roll.namespace, roll.spec.pod_name, metric, since_s)
    except MemrollError as error:
        return replace(observation, gauge_error=error.reason)
    return replace(observation, in_flight=found)


def _policy_withdrawn(roll: PodRoll, policy: MemoryPolicy | None) -> str:
    """Return why the policy no longer permits this roll. A roll that a person created needs no policy."""
    if not roll.spec.policy:
        return ""
    if policy is None:
        return f"policy {roll.spec.policy} no longer exists"
    if policy.spec.suspend:
        return f"policy {policy.name} is suspended"
    if policy.spec.mode is not Mode.ENFORCE:
        return f"policy {policy.name} is in mode {policy.spec.mode}"
    return ""
