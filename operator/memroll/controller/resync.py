"""Resync: compare the indexes with the API server, enqueue what no queue contains, delete expired PodRolls.

A background task of `controller.manager`: periodically, right after this process became the leader, and after the watch
has listed again, because a watch can lose events.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Protocol

from memroll import clock
from memroll.controller.index_resync import resync_index
from memroll.controller.key import Key
from memroll.errors import MemrollError
from memroll.reconcile.retention import delete_expired

if TYPE_CHECKING:
    from memroll.clients.kube.event_recorder import EventRecorder
    from memroll.clients.kube.leader_election import LeaderElector
    from memroll.controller.context import ControllerContext
    from memroll.controller.orphan_sweep import OrphanSweep
    from memroll.controller.policy_controller import PolicyController
    from memroll.controller.roll_controller import RollController
    from memroll.controller.workqueue import WorkQueue
    from memroll.reporting.metrics import Metrics

logger = logging.getLogger(__name__)

RESYNC_INTERVAL_S = 300.0
"""Time between two resyncs in seconds, chosen by hand. It bounds the delay caused by a lost watch event."""
MIN_PAUSE_S = 10.0
"""Minimum time in seconds between two resyncs, after a failure or because the watch lists again, chosen by hand."""
TICK_S = 1.0
"""Period in seconds of the check for a new leadership, chosen by hand."""


class Components(Protocol):
    """Components of the process that the resync uses; `controller.manager` has them."""

    @property
    def metrics(self) -> Metrics: ...
    @property
    def elector(self) -> LeaderElector: ...
    @property
    def recorder(self) -> EventRecorder: ...
    @property
    def policy_controller(self) -> PolicyController: ...
    @property
    def roll_controller(self) -> RollController: ...
    @property
    def policy_queue(self) -> WorkQueue: ...
    @property
    def roll_queue(self) -> WorkQueue: ...
    @property
    def orphan_sweep(self) -> OrphanSweep: ...


async def resync(manager: Components) -> None:
    """Compare the indexes with the API server periodically, and right after this process became the leader.

    Keys that were due without the Lease have left their queues, so none of these moments may be missed: terms are
    compared, because the Lease may be lost and acquired between two of its checks. A failed resync is repeated soon.
    """
    term, next_at_s = 0, 0.0
    context, elector = manager.policy_controller.context, manager.elector
    while True:
        is_leader, is_new_term = elector.is_leader(), elector.term != term
        manager.metrics.leader.set(int(is_leader))
        manager.metrics.events_dropped.set(manager.recorder.dropped)
        _observe_indexes(context)
        if is_leader and is_new_term:
            manager.orphan_sweep.request()
        if is_leader and (is_new_term or _is_due(context, next_at_s)):
            term, begun_at_s = elector.term, time.monotonic()
            has_succeeded = await _resync_safely(manager)
            next_at_s = begun_at_s + (RESYNC_INTERVAL_S if has_succeeded else min(MIN_PAUSE_S, RESYNC_INTERVAL_S))
        await asyncio.sleep(TICK_S)


async def _resync_safely(manager: Components) -> bool:
    """Resync once; return whether it succeeded."""
    try:
        return await _resync_once(manager)
    except MemrollError as error:
        logger.warning("resync failed: %s", error)
    except Exception:  # the next resync may succeed
        logger.exception("bug: the resync failed")
    return False


def _observe_indexes(context: ControllerContext) -> None:
    for index in (context.policies, context.rolls):
        context.metrics.index_objects.labels(index.kind).set(len(index))
        context.metrics.index_age.labels(index.kind).set(index.age_s(clock.elapsed_s()))


def _is_due(context: ControllerContext, next_at_s: float) -> bool:
    """Return whether to resync: after the interval, or because the watch has listed and may have missed deletions."""
    has_relisted = context.policies.was_relisted or context.rolls.was_relisted
    early_s = max(RESYNC_INTERVAL_S - MIN_PAUSE_S, 0.0) if has_relisted else 0.0
    return time.monotonic() >= next_at_s - early_s


async def _resync_once(manager: Components) -> bool:
    """Resync the indexes, enqueue what no queue contains, delete expired PodRolls; return whether all was listed.

    What is in a queue stays there: when the Lease comes back, nothing is reconciled before it is due.
    """
    context, has_errors = manager.policy_controller.context, False
    for index, queue in ((context.policies, manager.policy_queue), (context.rolls, manager.roll_queue)):
        for error in await resync_index(index, context.kubernetes, context.namespaces, clock.elapsed_s):
            has_errors = True
            logger.warning("resync failed for a namespace: %s", error)
        for record in tuple(index.in_progress()):
            key = Key(record.namespace, record.name)
            if key not in queue:
                queue.enqueue(key)
    for namespace in context.rolls.namespaces:
        manager.roll_controller.manual_rolls.note(context.rolls.of_namespace(namespace), context.now())
    await _delete_expired(context)
    return not has_errors


async def _delete_expired(context: ControllerContext) -> None:
    """Delete expired PodRolls, but in no excluded namespace, and only if the index is current."""
    rolls = context.rolls
    if context.leads() and rolls.is_current(clock.elapsed_s()):
        by_namespace = [rolls.of_namespace(ns) for ns in rolls.namespaces if ns not in context.excluded]
        await delete_expired(by_namespace, context.kubernetes, context.now(), context.kubernetes.server_now())
