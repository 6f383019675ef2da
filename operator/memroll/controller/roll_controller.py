"""Reconcile PodRolls: read one roll, make its next step, record the result; and restore orphaned pods.

The work queue calls `RollController.reconcile` with the key of a PodRoll, the resync and `memroll cleanup` call
`restore_orphans`. Each reconcile reads the roll again by its name, and nothing is done unless this process leads.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from memroll import clock
from memroll.api import ROLL_PLURAL
from memroll.api.decode import decode_or_none, summarize
from memroll.api.pod_roll import Phase, PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.controller.context import NAMESPACE_EXCLUDED, NAMESPACE_EXCLUDED_MESSAGE, ListedKeys
from memroll.controller.key import Key
from memroll.controller.manual_rolls import TOO_MANY, ManualRolls
from memroll.controller.requeue import AFTER_CONFLICT_S, after_error
from memroll.errors import ConflictError, MemrollError, NotFoundError
from memroll.logs import clear_log_context, log_context
from memroll.reconcile import roll as roll_reconciler
from memroll.reconcile.roll import StepContext
from memroll.reconcile.roll_bug import record_bug
from memroll.reporting import event_builder
from memroll.rolling import orphans
from memroll.rolling.observation import to_phase
from memroll.rolling.protocols import Clients

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.controller.capture_slots import CaptureSlots
    from memroll.controller.context import ControllerContext
    from memroll.reconcile.roll import StepResult
    from memroll.rolling.protocols import PodWatcher

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RollController:
    """Reconciles PodRolls, and enqueues the policy of a roll that has ended."""

    context: ControllerContext
    enqueue_policy: Callable[[Key], None]
    manual_rolls: ManualRolls = field(default_factory=ManualRolls)
    captures: CaptureSlots | None = None
    """Slots of evidence captures; None: a capture is a part of its step."""
    watcher: PodWatcher | None = None
    """Wakes rolls whose pods change; None: all rolls are polled."""
    request_sweep: Callable[[], None] | None = None
    """Request a search for orphaned pods soon; None: they are restored at once."""

    async def list_keys(self) -> ListedKeys:
        """Return the keys of all PodRolls that have not ended, and the errors of namespaces that can't be listed."""
        listed = ListedKeys()
        for namespace in self.context.namespaces or ("",):
            try:
                async for roll in self.context.list_rolls(namespace):
                    self.manual_rolls.note([roll], self.context.now())
                    listed.keys.extend([Key(roll.namespace, roll.name)] if roll.active else [])
            except MemrollError as error:  # it does not hide the rolls of the other namespaces
                listed.errors.append(error)
        return listed

    async def reconcile(self, key: Key) -> float | None:
        """Make one step of a roll; return the seconds until the next step, or None if the roll has ended.

        Without the Lease nothing is done, and the key is removed: it is enqueued when the Lease comes back.
        """
        if not self.context.leads():
            return None
        with log_context(namespace=key.namespace, roll=key.name):
            try:
                return await self._reconcile(key)
            except ConflictError:
                return AFTER_CONFLICT_S
            except MemrollError as error:
                return after_error(error, "PodRoll", key)

    async def _reconcile(self, key: Key) -> float | None:
        remembered = self._take_remembered(key)
        roll = remembered or await self._read_roll(key)
        if roll is None:
            return None
        try:
            return await self._reconcile_valid(roll, is_remembered=remembered is not None)
        except NotFoundError:
            if remembered is None or await self._read_roll(key) is not None:
                raise
            return None
        except MemrollError:
            raise
        except Exception as bug:  # it must be visible in the roll, which would otherwise stay active for good
            logger.exception("bug: a step of PodRoll %s/%s failed", key.namespace, key.name)
            return await self._record_bug(key, bug)

    def _take_remembered(self, key: Key) -> PodRoll | None:
        """Return the record as its creation or the last step has left it; None if it must be read.

        That of an earlier step counts only while the watch reports that the roll exists, and no newer version of it.
        """
        memory, index, now = self.context.memory, self.context.rolls, self.context.now()
        roll, waiting, planned = (
            memory.rolls.take(key, now),
            memory.waiting.take(key, now),
            memory.planned.get(key, now),
        )
        if waiting is not None and index.is_current(clock.elapsed_s()) and index.has(*key, waiting.uid):
            roll = roll or waiting
        elif planned is not None:
            roll = roll or planned.roll
        return None if roll is None or index.is_newer(*key, roll.uid, roll.resource_version) else roll

    async def _read_roll(self, key: Key) -> PodRoll | None:
        """Read a roll; None if it is gone or invalid."""
        raw = await self.context.kubernetes.get_roll(*key)
        if raw is None:
            self.context.rolls.remove_missing(*key)
            await self._sweep_orphans()
            return None
        try:
            return PodRoll.read(raw)
        except ValidationError as error:
            logger.warning("PodRoll %s/%s is invalid: %s", key.namespace, key.name, summarize(error))
            return None

    async def _reconcile_valid(self, roll: PodRoll, *, is_remembered: bool) -> float | None:
        if not roll.active:
            return None
        if roll.namespace in self.context.excluded:
            await self._fail(roll, NAMESPACE_EXCLUDED, NAMESPACE_EXCLUDED_MESSAGE)
            return None
        with log_context(policy=roll.spec.policy, pod=roll.spec.pod_name):
            return await self._step(roll, is_remembered=is_remembered)

    async def _step(self, roll: PodRoll, *, is_remembered: bool) -> float | None:
        context, policy = self.context, await self._get_policy(roll)
        if policy is None and roll.status.phase is None:
            refusal = self.manual_rolls.refuse(roll, context.now())
            if refusal:
                await self._fail(roll, TOO_MANY, refusal)
                return None
        clients = Clients(context.kubernetes, context.prometheus, context.reports, self.captures, context.current_rolls)
        step_context = replace(self._step_context, is_remembered=is_remembered)
        result = await roll_reconciler.advance(roll, policy, clients, context.now(), step_context)
        key, is_new = Key(roll.namespace, roll.name), result.roll.resource_version != roll.resource_version
        if result.wait_s == 0.0:
            context.memory.rolls.put(key, result.roll, context.now())
        elif result.wait_s is not None and (is_new or not is_remembered):
            context.memory.waiting.put(key, result.roll, context.now())
        return self._report(result, policy)

    @property
    def _step_context(self) -> StepContext:
        context = self.context
        return StepContext(context.permissions, context.leads, context.uninstalling, self.watcher, self.context.memory)

    async def _record_bug(self, key: Key, bug: Exception) -> float | None:
        """Record a bug in the roll, report it once, and restore the pod of a roll that ends with it."""
        context = self.context
        result = await record_bug(key, bug, context.kubernetes, context.now(), self._step_context)
        if result is None:
            return None
        policy = None
        with suppress(Exception):  # perhaps this read is the bug: then only the Event of the policy is missing
            policy = await self._get_policy(result.roll)
        wait_s = self._report(result, policy)
        if not result.roll.active:
            await self._sweep_orphans()
        return wait_s

    async def _sweep_orphans(self) -> None:
        """Have orphaned pods restored, because a roll is gone that may have released one."""
        if self.request_sweep is None:
            await self.restore_orphans()
        else:
            self.request_sweep()

    def _report(self, result: StepResult, policy: MemoryPolicy | None) -> float | None:
        """Report a step in Events, log and metrics; return the seconds until the next one."""
        context, after = self.context, result.roll
        context.events.publish(event_builder.roll_step_events(result.before, after, policy))
        if after.status != result.before:
            _log(after)
        if not after.active:
            context.metrics.observe_roll(after, "" if policy is None else policy.name)
            if policy is not None:
                self.enqueue_policy(Key(policy.namespace, policy.name))
        return result.wait_s

    async def _fail(self, roll: PodRoll, reason: str, message: str) -> None:
        """End a roll that must not begin, such as one in an excluded namespace."""
        status = to_phase(roll.status, Phase.FAILED, self.context.now(), message, reason=reason)
        await self.context.kubernetes.write_status(
            ROLL_PLURAL, roll.namespace, roll.name, roll.resource_version, status.to_dict()
        )

    async def _get_policy(self, roll: PodRoll) -> MemoryPolicy | None:
        """Return the policy of a roll, read again right before the roll may change something for the first time."""
        key, now, policies = (roll.namespace, roll.spec.policy), self.context.now(), self.context.memory.policies
        if not roll.spec.policy:
            return None
        planned = self.context.memory.planned.get(Key(roll.namespace, roll.name), now)
        if roll.status.phase is None and planned is not None:
            policies.put(key, planned.policy, now)
            return planned.policy
        if roll.status.phase not in (None, Phase.CAPTURING_EVIDENCE) and (remembered := policies.get(key, now)):
            return remembered
        policy = decode_or_none(await self.context.kubernetes.get_policy(*key), MemoryPolicy.read)
        if policy is not None:
            policies.put(key, policy, now)
        return policy

    async def restore_orphans(self) -> tuple[orphans.OrphanedPod, ...]:
        """Restore or evict the pods released by PodRolls that have ended or no longer exist, and return them."""
        context = self.context
        if not context.leads():
            return ()
        with clear_log_context():  # the fields name the missing roll, but an orphaned pod can be of any roll
            found = await orphans.restore_orphans(
                context.kubernetes, context.namespaces, context.leads, context.excluded
            )
            for orphan in found:
                fields = {"namespace": orphan.pod.namespace, "pod": orphan.pod.name, "outcome": orphan.outcome}
                logger.warning("orphaned pod", extra=fields)
        return found


def _log(roll: PodRoll) -> None:
    status = roll.status
    fields = {
        "namespace": roll.namespace,
        "roll": roll.name,
        "pod": roll.spec.pod_name,
        "phase": status.phase,
        "reason": status.reason,
        "detail": status.message,
    }
    logger.info("roll", extra=fields)
