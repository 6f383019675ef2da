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
from memroll.model.roll_record import RollRecord
from memroll.rolling.do_not_disrupt import do_not_disrupt
from memroll.rolling.eviction_response import EvictionResult
from memroll.rolling.observation import RETRY_S, UNCHANGED_PHASES, Observation, StepInput
from memroll.rolling.pod_labels import is_released
from memroll.rolling.pod_reads import list_others_without_pod, must_be_gone_if_unlisted, read_pod, read_pods
from memroll.rolling.strategy_choice import strategy_of, would_release

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy
    from memroll.model.pods import Pod, Workload
    from memroll.rolling.protocols import Clients, GaugeReader, KubernetesClient

MIN_RETRY_S = 30.0
"""Minimum seconds between a failed roll and the next attempt that a step assumes, however short `roll.cooldown` is.
Chosen by hand."""


async def observe(
    roll: PodRoll, policy: MemoryPolicy | None, clients: Clients, now: datetime, known: Workload | None = None
) -> Observation:
    """Read the pod, its workload, the workload's other pods, and what the roll's phase needs besides.

    `known`: the workload as an earlier step has read it, a few seconds ago. It is enough to find that the pod is gone
    and replaced: pods of a newer revision do not count then, and with fewer replicas fewer pods would suffice.
    """
    if known is not None and known.selector and must_be_gone_if_unlisted(roll):
        others = await list_others_without_pod(roll, known, clients.kubernetes)
        step = StepInput(roll, Observation(None, known, others or (), retry_s=_retry_s(policy)), now, policy)
        if others is not None and step.is_replaced:
            return await add_phase_details(step, clients)
    pod, workload, others = await read_pods(roll, clients.kubernetes)
    withdrawn = _policy_withdrawn(roll, policy)
    observation = Observation(pod, workload, others, policy_withdrawn=withdrawn, retry_s=_retry_s(policy))
    return await add_phase_details(StepInput(roll, observation, now, policy), clients)


async def observe_planned(
    roll: PodRoll, policy: MemoryPolicy | None, planned: tuple[Workload | None, str], clients: Clients, now: datetime
) -> Observation:
    """Return what the announcement needs of a roll that was planned a moment ago; only the pod is read again.

    `planned`: workload and `hash_selector` of the plan, which nothing else forbade. Before the first change, all of it
    is read again, so that only the announcement may be corrected. The plan does not compare the nodes.
    """
    pod, (workload, hash_selector) = await read_pod(roll, clients.kubernetes), planned
    because = "" if pod is None else do_not_disrupt(pod, workload, {}, now)
    observation = Observation(pod, workload, is_planned=True, must_not_roll_because=because, retry_s=_retry_s(policy))
    observation = replace(observation, policy_withdrawn=_policy_withdrawn(roll, policy))
    if pod is None or workload is None or not _may_release(roll, observation):
        return observation
    observation = replace(observation, hash_selector=hash_selector)
    return await _with_missing_room(roll, pod, workload, observation, clients.kubernetes)


def _retry_s(policy: MemoryPolicy | None) -> float:
    return RETRY_S if policy is None else max(MIN_RETRY_S, policy.spec.roll.cooldown.total_seconds())


async def add_phase_details(step: StepInput, clients: Clients) -> Observation:
    """Add to an observation what only one phase needs."""
    observation, status, drain = step.observation, step.status, step.roll.spec.drain
    pod, workload, kubernetes = observation.pod, observation.workload, clients.kubernetes
    if _may_record_replacement(step, observation):
        observation = replace(observation, claimed=await _claimed(step, clients))
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
    found = await kubernetes.find_selection(pod, workload.hash_label)
    observation = replace(observation, hash_selector=found.hash_selector, budgets=found.budgets)
    return await _with_missing_room(roll, pod, workload, observation, kubernetes)


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
    """Add what forbids the first change: annotations, other rolls of the pod, and PodDisruptionBudgets.

    The dry run of the eviction is about several of these. One that refuses it only now forbids nothing.
    """
    roll, pod = step.roll, step.pod
    must_not_roll_because = await _must_not_roll_because(step, pod, clients)
    observation = replace(observation, must_not_roll_because=must_not_roll_because)
    if roll.status.phase is None or observation.must_not_roll_because:
        return observation
    if observation.budgets is not None and observation.budgets <= 1:
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


async def _claimed(step: StepInput, clients: Clients) -> frozenset[str]:
    """Return the uids of the replacements of other rolls; of two rolls with the same one, it is the older one's.

    A step that only records a replacement, because enough pods are Ready whichever it is, uses the known PodRolls where
    no other roll of the namespace is in progress: those that have ended claim nothing new. The last step of each roll
    reads them.
    """
    roll, own = step.roll, step.status.replacement
    others: Sequence[RollRecord] | None = None
    if step.status.phase is Phase.REPLACING and step.is_replaced and clients.rolls is not None:
        others = _ended_others(roll, clients.rolls.known(roll.namespace))
    claimed = set()
    for other in await _other_rolls(roll, clients) if others is None else others:
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


def _ended_others(roll: PodRoll, known: Sequence[RollRecord] | None) -> Sequence[RollRecord] | None:
    """Return the other known PodRolls; None if they are not known, or another one is in progress."""
    others = None if known is None else [record for record in known if record.uid != roll.uid]
    return None if others is None or any(record.active for record in others) else others


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
