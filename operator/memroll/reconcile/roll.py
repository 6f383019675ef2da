"""One step of one PodRoll: observe, decide, write the record, perform the actions.

`controller` calls `advance` for each active PodRoll; the decision is made in `rolling.state_machine`, whose docstring
draws the phases. The record is written before the actions. After a crash, this or another process continues from the
record and from what the cluster shows, and every action can be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from memroll.api import ROLL_PLURAL
from memroll.api.decode import decode_or_none
from memroll.api.pod_roll import Phase, PodRoll
from memroll.errors import ConflictError, RetryableError, TerminalError
from memroll.model.permissions import ALL_PERMISSIONS, Permissions
from memroll.reconcile.step_memory import StepMemory
from memroll.rolling.actions import CAPTURE_EVIDENCE
from memroll.rolling.observation import UNCHANGED_PHASES, Observation, StepInput
from memroll.rolling.observer import add_phase_details, observe, observe_planned
from memroll.rolling.reasons import STILL_RELEASED
from memroll.rolling.state_machine import next_transition
from memroll.rolling.step_failure import without_failure
from memroll.rolling.step_wait import step_wait_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from memroll.api.pod_roll import PodRollStatus
    from memroll.api.policy import MemoryPolicy
    from memroll.rolling.actions import Action
    from memroll.rolling.observation import Transition
    from memroll.rolling.protocols import Clients, KubernetesClient, PodWatcher, StatusWriter

WAIT_UNOBSERVABLE_S = 15.0
"""Seconds until the next step after an error that only a person can resolve. Chosen by hand."""


@dataclass(frozen=True, slots=True)
class StepContext:
    """Permissions and duties of this process in a step."""

    permissions: Permissions = ALL_PERMISSIONS
    leads: Callable[[], bool] = lambda: True
    """Return whether this process holds the Lease; checked right before each write."""
    uninstalling: str = ""
    """Why every roll must be rolled back, or empty."""
    watcher: PodWatcher | None = None
    """Wakes a roll when one of its pods changes; None: each roll is only polled."""
    memory: StepMemory = field(default_factory=StepMemory)
    is_remembered: bool = False
    """True if the record was not read for this step."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """Change that a step has made."""

    before: PodRollStatus
    roll: PodRoll
    wait_s: float | None
    """Seconds until the next step; None when the roll has ended."""


async def advance(
    roll: PodRoll, policy: MemoryPolicy | None, clients: Clients, now: datetime, context: StepContext
) -> StepResult:
    """Make one step. Raises memroll's errors; a ConflictError means that somebody else wrote the record."""
    before = roll.status
    step, transition, error = await _decide(roll, policy, clients, now, context)
    require_lease(context, "the step was written")
    status = transition.status if transition.actions else without_failure(transition.status)
    step = await _write(step, status, clients.kubernetes)
    if context.is_remembered and step.roll is roll and any(action.changes_cluster for action in transition.actions):
        await _require_unchanged(roll, clients.kubernetes)
    for action in transition.actions:
        require_lease(context, f"{action.name} was performed")
        step, goes_on = await _perform(action, step, clients)
        if not goes_on:
            break
    step = await _write(step, without_failure(step.status), clients.kubernetes)
    is_watched = _follow(step, context)
    if not step.roll.active:
        return StepResult(before, step.roll, None)
    if error is not None:
        return StepResult(before, step.roll, WAIT_UNOBSERVABLE_S)
    has_acted = any(action.changes_cluster for action in transition.actions)
    if has_acted or (step.status.phase, step.status.evidence) == (before.phase, before.evidence):
        return StepResult(before, step.roll, step_wait_s(step, is_watched=is_watched))
    return StepResult(before, step.roll, 0.0)


async def _decide(
    roll: PodRoll, policy: MemoryPolicy | None, clients: Clients, now: datetime, context: StepContext
) -> tuple[StepInput, Transition, TerminalError | None]:
    """Observe the cluster and decide the step. With what an earlier step observed, only evidence is captured."""
    is_capture = roll.status.phase in (Phase.ANNOUNCED, Phase.CAPTURING_EVIDENCE)
    remembered = context.memory.observations.get(roll.uid, now) if is_capture else None
    if remembered is not None:
        step = StepInput(roll, remembered, now, policy)
        transition = next_transition(step)
        if transition.actions == (CAPTURE_EVIDENCE,):
            return step, transition, None
    try:
        observation = await _observe(roll, policy, clients, now, context)
        observation = replace(observation, permissions=context.permissions, uninstalling=context.uninstalling)
        step = StepInput(roll, observation, now, policy)
        transition = await _combine(step, next_transition(step), clients)
    except TerminalError as error:
        step = StepInput(roll, Observation(None, None), now, policy)
        return step, _unobservable(step, error), error
    if roll.status.phase in UNCHANGED_PHASES:
        context.memory.observations.put(roll.uid, observation, now)
    if observation.workload is not None:
        context.memory.workloads.put(roll.uid, observation.workload, now)
    return step, transition, None


async def _combine(step: StepInput, transition: Transition, clients: Clients) -> Transition:
    """Return a transition, or the next one where nothing is to be done between the two: one write has both.

    A roll is announced with the capture of its evidence, and verified by the step that finds the old pod gone.
    """
    phase = transition.status.phase
    if transition.actions or phase is step.status.phase:
        return transition
    later = replace(step, roll=step.roll.model_copy(update={"status": transition.status}))
    if phase is Phase.ANNOUNCED:
        following = next_transition(later)
        return following if following.actions == (CAPTURE_EVIDENCE,) else transition
    if phase is Phase.VERIFYING:
        return next_transition(replace(later, observation=await add_phase_details(later, clients)))
    return transition


async def _observe(
    roll: PodRoll, policy: MemoryPolicy | None, clients: Clients, now: datetime, context: StepContext
) -> Observation:
    """Observe the cluster; a roll that was planned a moment ago is announced by what its plan has read."""
    planned = context.memory.planned.take((roll.namespace, roll.name), now)
    if planned is not None and planned.roll.uid == roll.uid and roll.status.phase is None:
        return await observe_planned(roll, policy, (planned.workload, planned.hash_selector), clients, now)
    return await observe(roll, policy, clients, now, context.memory.workloads.take(roll.uid, now))


def _follow(step: StepInput, context: StepContext) -> bool:
    """Have the pods of an active roll watched; return whether they are."""
    roll, workload = step.roll, step.workload
    if context.watcher is None:
        return False
    if not roll.active:
        context.watcher.forget(roll.namespace, roll.name)
        return False
    if workload is None or not workload.selector:
        return False
    return context.watcher.follow(roll.namespace, roll.name, workload.selector, roll.pod_uid)


def _unobservable(step: StepInput, error: TerminalError) -> Transition:
    """Wait while the cluster can't be read, and end the roll when that lasts: a person must change something."""
    message = f"the cluster can't be read: {error.message}"
    if not step.is_overdue(step.phase_began or step.roll.created_at, times=2):
        return step.wait(message)
    reason = STILL_RELEASED if step.status.release else error.reason
    return step.to_phase(Phase.FAILED, message, reason=reason)


async def _require_unchanged(roll: PodRoll, kubernetes: KubernetesClient) -> None:
    """Read a remembered record before a change of the cluster that no write of it precedes.

    Raises ConflictError if it has changed: perhaps the roll was canceled.
    """
    raw = await kubernetes.get_roll(roll.namespace, roll.name)
    current = None if raw is None else decode_or_none(raw, PodRoll.read)
    if current is None or current.resource_version != roll.resource_version:
        raise ConflictError("Conflict", f"PodRoll {roll.name} has changed since it was read")


def require_lease(context: StepContext, what: str) -> None:
    """Raise a RetryableError if this process no longer holds the Lease."""
    if not context.leads():
        raise RetryableError("NotLeader", f"the Lease was lost before {what}: the new leader continues the roll")


async def _perform(action: Action, step: StepInput, clients: Clients) -> tuple[StepInput, bool]:
    """Perform one action and write what it returns. False: the API server refused it, and the step ends."""
    try:
        return await _write(step, await action.perform(step, clients), clients.kubernetes), True
    except TerminalError as error:
        if action.optional:
            return step, True
        return await _write(step, action.after_refusal(step, error), clients.kubernetes), False


async def _write(step: StepInput, status: PodRollStatus, kubernetes: StatusWriter) -> StepInput:
    roll = step.roll
    if status == roll.status:
        return step
    written = await kubernetes.write_status(
        ROLL_PLURAL, roll.namespace, roll.name, roll.resource_version, status.to_dict()
    )
    return replace(step, roll=PodRoll.read(written))
