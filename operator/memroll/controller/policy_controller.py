"""Reconcile MemoryPolicies: read one policy, reconcile it, compare the effects of its rolls, record the result.

The work queue calls `PolicyController.reconcile` with the key of a policy. Each reconcile reads the policy again by its
name, and nothing is done unless this process leads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from memroll import clock
from memroll.api import POLICY_PLURAL
from memroll.api.decode import summarize
from memroll.api.policy import DEFAULT_CONNECTION, MemoryPolicy, read_status
from memroll.clients.kube.json_access import get_int, get_str
from memroll.controller.context import NAMESPACE_EXCLUDED, NAMESPACE_EXCLUDED_MESSAGE
from memroll.controller.due_namespaces import DueNamespaces
from memroll.controller.key import Key
from memroll.controller.requeue import MAX_RETRY_S, MIN_REPEAT_S, after_error, after_reconcile
from memroll.controller.shared_pods import NamespacePods, SharedPods
from memroll.controller.workqueue import AFTER_BUG_S
from memroll.errors import (
    BoundExceededError,
    ConflictError,
    InternalError,
    MemrollError,
    PrometheusUnavailableError,
    RetryableError,
    TerminalError,
)
from memroll.logs import log_context
from memroll.model.roll_duration import StartTimes
from memroll.planning.rate_limit import DEFAULT_RATE_LIMIT, RollRateLimit
from memroll.reconcile import policy as policy_reconciler
from memroll.reconcile.effect import compare_effects
from memroll.reconcile.exits import measure_exits
from memroll.reconcile.snapshot import PolicySnapshot
from memroll.reconcile.workload_lookup import KnownWorkloads, new_known_workloads
from memroll.reporting import event_builder
from memroll.reporting.outcome import Outcome
from memroll.reporting.status import build_status
from memroll.reporting.status_changes import must_be_written
from memroll.reporting.unassessed import invalid_status, reconciling_status

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from memroll.controller.connection_lanes import ConnectionLanes
    from memroll.controller.context import ControllerContext
    from memroll.model.policy_record import PolicyRecord

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PolicyController:
    """Reconciles MemoryPolicies, and enqueues the PodRolls that a reconcile finds or creates."""

    context: ControllerContext
    enqueue_roll: Callable[[Key], None]
    rate_limit: RollRateLimit = DEFAULT_RATE_LIMIT
    planning_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Lock for planning and creating PodRolls, shared by all policies."""
    due_namespaces: DueNamespaces = field(default_factory=DueNamespaces)
    start_times: dict[Key, StartTimes] = field(default_factory=dict)
    """Start times of the pods of each policy."""
    failures: dict[Key, int] = field(default_factory=dict)
    """Consecutive reconciles of each policy that ended with a temporary error."""
    lanes: ConnectionLanes | None = None
    """Lanes of the work queue; None: it has one."""
    written: dict[Key, datetime] = field(default_factory=dict)
    """Time at which the status of each policy was last written."""
    workloads: KnownWorkloads = field(default_factory=new_known_workloads)
    shared_pods: SharedPods = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shared_pods", SharedPods(self.context.kubernetes, clock.elapsed_s))

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile a policy; return the seconds until the next reconcile, or None if the policy does not exist.

        Without the Lease nothing is done, and the key is removed: it is enqueued when the Lease comes back, while the
        keys that were not due stay as they are.
        """
        context = self.context
        if not context.leads():
            return None
        with log_context(namespace=key.namespace, policy=key.name):
            try:
                raw = await context.kubernetes.get_policy(*key)
                if raw is None:
                    context.metrics.forget(*key)
                    context.policies.remove_missing(*key)
                    self.due_namespaces.forget(key)
                    self.start_times.pop(key, None)
                    self.failures.pop(key, None)
                    if self.lanes is not None:
                        self.lanes.forget(key)
                    self.written.pop(key, None)
                    return None
                connection = get_str(raw, "spec", "prometheus") or DEFAULT_CONNECTION
                if self.lanes is not None and self.lanes.move(key, connection):
                    return 0.0
                if key.namespace not in context.excluded:
                    context.metrics.begin_reconcile(*key, context.now())
                return await self._reconcile(raw)
            except ConflictError:
                return MIN_REPEAT_S
            except MemrollError as error:
                return after_error(error, "policy", key)

    async def _reconcile(self, raw: dict[str, Any]) -> float:
        now, started_s = self.context.now(), time.monotonic()
        try:
            policy = MemoryPolicy.read(raw)
        except ValidationError as error:
            await self._record_invalid(raw, error, now)
            return MAX_RETRY_S
        if policy.namespace in self.context.excluded:
            excluded = TerminalError(NAMESPACE_EXCLUDED, NAMESPACE_EXCLUDED_MESSAGE)
            return await self._record(Outcome(policy, now, error=excluded, misconfigurations=()), started_s)
        try:
            return await self._reconcile_valid(policy, now, started_s)
        except MemrollError:
            raise
        except Exception as error:  # a bug must be visible in the policy, or it seems to be watched
            logger.exception("bug: reconciling policy %s/%s failed", policy.namespace, policy.name)
            bug = InternalError(error, AFTER_BUG_S)
            return await self._record(Outcome(policy, now, error=bug), started_s)

    async def _reconcile_valid(self, policy: MemoryPolicy, now: datetime, started_s: float) -> float:
        try:
            self.context.bounds.check_spec(policy.spec)
            policy = await self._begin(policy, now)
            snapshot = await self._snapshot(policy, now)
        except BoundExceededError as refused:
            return await self._record(Outcome(policy, now, error=refused, misconfigurations=()), started_s)
        outcome = await policy_reconciler.reconcile(snapshot, self.context.kubernetes, self.context.prometheus)
        outcome = await compare_effects(outcome, self.context.kubernetes, self.context.prometheus)
        outcome = await measure_exits(outcome, self.context.prometheus)
        known = {(r.uid, r.resource_version) for r in snapshot.rolls}
        for roll in outcome.rolls:
            if (roll.uid, roll.resource_version) not in known:
                self.context.rolls.put(roll)  # it was just created, or compared: the watch may report it later
        return await self._record(outcome, started_s, shares_pods=not all(other.suspend for other in snapshot.others))

    async def _begin(self, policy: MemoryPolicy, now: datetime) -> MemoryPolicy:
        """Write that a new or changed policy is being reconciled; return the policy with that status.

        An error is left to the write at the end of the reconcile.
        """
        status = reconciling_status(policy, now)
        if status is None:
            return policy
        key = policy.namespace, policy.name
        try:
            written = await self.context.kubernetes.write_status(
                POLICY_PLURAL, *key, policy.resource_version, status.to_dict()
            )
        except MemrollError as error:
            logger.debug("policy %s/%s: its status is written later: %s", *key, error)
            return policy
        version = get_str(written, "metadata", "resourceVersion")
        return policy.model_copy(update={"status": status, "resource_version": version})

    async def _snapshot(self, policy: MemoryPolicy, now: datetime) -> PolicySnapshot:
        """Read the policy's namespace: the other policies and all PodRolls."""
        context = self.context

        async def read_others() -> tuple[PolicyRecord, ...]:
            return tuple(p for p in await context.list_policies(policy.namespace) if p.uid != policy.uid)

        # an invalid policy has its conditions written in its own reconcile
        others = tuple(p for p in await context.read_policies(policy.namespace) if p.uid != policy.uid)
        context.bounds.check_policies(sum(1 for p in others if p.age_key < (policy.created_at, policy.name)))
        return PolicySnapshot(
            policy=policy,
            others=others,
            rolls=await context.read_rolls(policy.namespace),
            read_others=read_others,
            pod_source=NamespacePods.of(self.shared_pods, policy, others),
            now=now,
            permissions=context.permissions,
            leads=context.leads,
            rate_limit=self.rate_limit,
            bounds=context.bounds,
            namespaces=context.namespaces,
            is_due_elsewhere=lambda: self.due_namespaces.is_due_elsewhere(policy.namespace, context.now()),
            planning_lock=self.planning_lock,
            start_times=self.start_times.setdefault(Key(policy.namespace, policy.name), StartTimes()),
            planned=context.memory.planned,
            workloads=self.workloads,
            roll_source=context.current_rolls,
        )

    async def _record(self, outcome: Outcome, started_s: float, *, shares_pods: bool = False) -> float:
        """Write the status, Events, metrics and log record of one reconcile; return the seconds until the next one."""
        context, policy = self.context, outcome.policy
        for roll in outcome.rolls:
            if roll.active:
                self.enqueue_roll(Key(roll.namespace, roll.name))
        self.due_namespaces.record(outcome)
        context.metrics.observe_reconcile(outcome, time.monotonic() - started_s)
        context.events.publish(event_builder.outcome_events(outcome))
        _log(outcome)
        key, status = Key(policy.namespace, policy.name), build_status(outcome)
        if must_be_written(outcome, status, self.written.get(key)):
            await self._write_status(policy, status.to_dict())
            self.written[key] = outcome.now
        return after_reconcile(outcome, self._count_failures(outcome), shares_pods=shares_pods)

    def _count_failures(self, outcome: Outcome) -> int:
        """Return the number of consecutive reconciles of the policy that ended with a temporary error."""
        key = Key(outcome.policy.namespace, outcome.policy.name)
        if not isinstance(outcome.error, RetryableError):
            self.failures.pop(key, None)
            return 1
        self.failures[key] = self.failures.get(key, 0) + 1
        return self.failures[key]

    async def _write_status(self, policy: MemoryPolicy, status: dict[str, Any]) -> None:
        """Write a policy's status, again if somebody has changed its metadata meanwhile.

        A client that writes labels of a policy all the time must not have it reconciled all the time. Raises
        ConflictError if the spec changed: the policy is then reconciled again.
        """
        kubernetes, key = self.context.kubernetes, (policy.namespace, policy.name)
        try:
            await kubernetes.write_status(POLICY_PLURAL, *key, policy.resource_version, status)
        except ConflictError:
            raw = await kubernetes.get_policy(*key)
            current = (get_str(raw, "metadata", "uid"), get_int(raw, "metadata", "generation", default=1))
            if current != (policy.uid, policy.generation):
                raise
            await kubernetes.write_status(POLICY_PLURAL, *key, get_str(raw, "metadata", "resourceVersion"), status)

    async def _record_invalid(self, raw: dict[str, Any], error: ValidationError, now: datetime) -> None:
        """Write the validation errors into the policy's conditions. The API server rejects most of them earlier."""
        generation = get_int(raw, "metadata", "generation", default=1)
        namespace, name, version = (get_str(raw, "metadata", f) for f in ("namespace", "name", "resourceVersion"))
        message = summarize(error, "spec.")
        old = read_status(raw)
        status = invalid_status(old, generation, message, now)
        uid = get_str(raw, "metadata", "uid")
        self.context.metrics.release_connection(namespace, name)
        self.context.events.publish([event_builder.invalid_policy_event(namespace, name, uid, message)])
        if status != old:
            logger.warning("policy %s/%s is invalid: %s", namespace, name, message)
            await self.context.kubernetes.write_status(POLICY_PLURAL, namespace, name, version, status.to_dict())


def _log(outcome: Outcome) -> None:
    policy = outcome.policy
    fields = {
        "namespace": policy.namespace,
        "policy": policy.name,
        "pods": outcome.watched_pods,
        "at_risk": len(outcome.at_risk),
        "rolls": len(outcome.plan.rolls),
        "blocked": len(outcome.plan.blocked),
    }
    if outcome.error is not None:
        level = logging.WARNING if isinstance(outcome.error, PrometheusUnavailableError) else logging.ERROR
        logger.log(level, "reconcile failed", extra=fields | {"error": str(outcome.error)})
    elif outcome.plan.rolls:
        logger.info("rolls planned", extra=fields | {"planned": [c.pod.key.name for c in outcome.plan.rolls]})
    else:
        logger.debug("reconciled", extra=fields)
