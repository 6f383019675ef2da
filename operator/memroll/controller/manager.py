"""Manager of the operator process: builds the components, supervises them, and stops them in order.

`cli.operator` calls `check_crds` and `Manager.run`. The watch feeds the indexes and enqueues what has changed; the
resync compares them with the API server, because a watch can lose events, and enqueues what no queue contains.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memroll import clock
from memroll.api import API_VERSION, POLICY_PLURAL, ROLL_PLURAL
from memroll.api.quantity import parse_percentage
from memroll.clients.kube.cluster import KubeCluster
from memroll.clients.kube.event_recorder import EventRecorder
from memroll.clients.kube.leader_election import LeaderElector
from memroll.clients.kube.pod_watch import KubePodWatcher
from memroll.clients.probe import ProbeClient
from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.session import Limits
from memroll.controller import http_server, wake_limits, watch
from memroll.controller.capture_slots import CaptureSlots
from memroll.controller.connection_lanes import ConnectionLanes
from memroll.controller.context import ControllerContext, bounds_from, permissions_from
from memroll.controller.key import Key
from memroll.controller.manual_rolls import ManualRolls
from memroll.controller.orphan_sweep import OrphanSweep
from memroll.controller.pod_watches import PodWatches
from memroll.controller.policy_controller import PolicyController
from memroll.controller.requeue import MIN_REPEAT_S
from memroll.controller.resync import resync
from memroll.controller.roll_controller import RollController
from memroll.controller.supervisor import supervise
from memroll.controller.wake_limits import WakeLimits
from memroll.controller.watch import WatchedKind
from memroll.controller.workqueue import Pace, WorkQueue
from memroll.errors import NotFoundError, TerminalError
from memroll.planning.rate_limit import RollRateLimit
from memroll.reporting.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.clients.kube.api_client import KubeApi
    from memroll.clients.prometheus.credentials import ConnectionsFile
    from memroll.controller.object_index import ObjectIndex
    from memroll.controller.supervisor import StartTask
    from memroll.controller.watch import WatchEvent
    from memroll.settings import Settings

logger = logging.getLogger(__name__)

TICK_S = 1.0
"""Period in seconds of the measurement of the loop lag, chosen by hand."""
MAX_LOOP_LAG_S = 30.0
"""Maximum time in seconds without a tick of the event loop before `/healthz` fails, chosen by hand."""
DRAIN_TIMEOUT_S = 5.0
"""Time limit in seconds for publishing the last Events at the end, chosen by hand."""
MAX_CONCURRENT_ROLLS = 32
"""Maximum number of PodRolls reconciled concurrently; chosen by hand."""
MAX_ROLLS_RATIO = 0.125
"""Maximum ratio of them in one namespace; chosen by hand: 4 of 32 make dozens of steps in a second."""
MAX_POLICIES_PER_TURN = 8
"""Maximum number of policies that a namespace has reconciled in one turn; chosen by hand: one after the other they use
the same list of pods, which is a tenth of the interval old at most."""
MIN_ROLL_REPEAT_S = 1.0
"""Minimum time in seconds between two steps of a PodRoll that is edited all the time; chosen by hand."""


@dataclass(slots=True)
class LoopLagMonitor:
    """Measures the lag of the event loop, and detects a blocked one."""

    metrics: Metrics
    last_tick_s: float = 0.0

    async def run(self) -> None:
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(TICK_S)
            self.last_tick_s = time.monotonic()
            self.metrics.loop_lag.set(max(0.0, self.last_tick_s - before_s - TICK_S))
            self.metrics.rss.set(_resident_bytes())

    def is_blocked(self) -> bool:
        return self.last_tick_s > 0 and time.monotonic() - self.last_tick_s > MAX_LOOP_LAG_S


@dataclass(frozen=True, slots=True)
class Manager:
    """Components of the operator process."""

    settings: Settings
    metrics: Metrics
    loop_lag: LoopLagMonitor
    elector: LeaderElector
    recorder: EventRecorder
    prometheus: PrometheusClient
    policy_controller: PolicyController
    roll_controller: RollController
    policy_queue: WorkQueue
    roll_queue: WorkQueue
    pod_watches: PodWatches
    orphan_sweep: OrphanSweep

    @classmethod
    def build(cls, settings: Settings, connections: ConnectionsFile, api: KubeApi) -> Manager:
        metrics, elector = Metrics(), LeaderElector(api, settings)
        lanes = ConnectionLanes(connections.has)
        recorder = EventRecorder(api, instance=settings.identity)
        prometheus = PrometheusClient(
            connections,
            Limits(max_concurrent=settings.max_policies_at_once),
            observe=lambda name, cost: metrics.observe_query(name, cost.response_bytes, cost.samples),
        )
        context = ControllerContext(
            kubernetes=KubeCluster(api),
            prometheus=prometheus,
            events=recorder,
            metrics=metrics,
            leads=elector.is_leader,
            now=clock.now,
            permissions=permissions_from(settings),
            namespaces=settings.watch_namespaces,
            excluded=(*settings.excluded_namespaces, settings.namespace),
            reports=ProbeClient(),
            bounds=bounds_from(settings),
        )
        rate_limit = RollRateLimit(
            settings.max_rolls_per_hour, settings.max_namespace_share, parse_percentage(settings.namespace_quota)
        )
        policy_controller = PolicyController(context, lambda key: manager.enqueue_roll(*key), rate_limit, lanes=lanes)
        watches = PodWatches(
            KubePodWatcher(api), lambda namespace, roll: manager.roll_queue.enqueue(Key(namespace, roll))
        )
        sweep = OrphanSweep()
        roll_controller = RollController(
            context,
            lambda key: manager.enqueue_policy(*key),
            ManualRolls(settings.manual_rolls_per_hour),
            CaptureSlots(lambda key: manager.enqueue_roll(*key)),
            watcher=watches,
            request_sweep=sweep.request,
        )
        manager = cls(
            settings=settings,
            metrics=metrics,
            loop_lag=LoopLagMonitor(metrics),
            elector=elector,
            recorder=recorder,
            prometheus=prometheus,
            policy_controller=policy_controller,
            roll_controller=roll_controller,
            policy_queue=build_policy_queue(policy_controller, settings.max_policies_at_once),
            roll_queue=build_roll_queue(roll_controller),
            pod_watches=watches,
            orphan_sweep=sweep,
        )
        return manager

    async def run(self) -> None:
        """Run all components until SIGTERM, or until one keeps failing; then stop the others, and raise its error."""
        watching = threading.Event()
        app = http_server.build_app(
            self.metrics.registry,
            why_unhealthy=lambda: "the event loop is blocked" if self.loop_lag.is_blocked() else "",
            why_not_ready=lambda: "" if watching.is_set() else "not watching yet",
            who_leads=self.elector.leadership,
        )
        server = await http_server.serve(app, self.settings.http_host, self.settings.http_port)
        tasks = self._tasks(watching)
        for name in tasks:
            self.metrics.task_restarts.labels(name)  # a series that begins at 0 has an increase at its first restart
        try:
            ended = await supervise(tasks, lambda name: self.metrics.task_restarts.labels(name).inc())
            logger.info("stopping", extra={"ended": ended})
        finally:
            await self.recorder.drain(DRAIN_TIMEOUT_S)
            await self.elector.release()
            await server.cleanup()
            self.prometheus.close()

    def _tasks(self, watching: threading.Event) -> dict[str, StartTask]:
        """Return the background tasks. Each can be started again: its state is in a component, or in the cluster."""
        kinds = {
            POLICY_PLURAL: watched_kind(self.policy_controller.context.policies, self.enqueue_policy),
            ROLL_PLURAL: watched_kind(self.policy_controller.context.rolls, self.enqueue_roll),
        }
        identity, namespaces = self.settings.identity, self.settings.watch_namespaces
        return {
            "signals": wait_for_signal,
            "leader election": self.elector.run,
            "event recorder": self.recorder.run,
            "policies": self.policy_queue.run,
            "rolls": self.roll_queue.run,
            "resync": lambda: resync(self),
            "pod watches": self.pod_watches.run,
            "orphan sweep": lambda: self.orphan_sweep.run(self.roll_controller.restore_orphans),
            "loop lag": self.loop_lag.run,
            "watch": lambda: watch.watch(kinds, identity, namespaces, watching),
        }

    def enqueue_policy(self, namespace: str, name: str) -> None:
        self.policy_queue.enqueue(Key(namespace, name))

    def enqueue_roll(self, namespace: str, name: str) -> None:
        self.roll_queue.enqueue(Key(namespace, name))


def build_policy_queue(
    controller: PolicyController, concurrency: int, now: Callable[[], float] = time.monotonic
) -> WorkQueue:
    """Build the work queue of the policies, with `concurrency` slots for each Prometheus connection."""
    pace = Pace(MIN_REPEAT_S, WakeLimits(wake_limits.POLICIES, now), max_per_turn=MAX_POLICIES_PER_TURN, now=now)
    if controller.lanes is not None:
        pace = replace(pace, lane_of=controller.lanes.lane_of)
    return WorkQueue(controller.reconcile, concurrency, pace)


def build_roll_queue(controller: RollController, now: Callable[[], float] = time.monotonic) -> WorkQueue:
    """Build the work queue of the PodRolls."""
    pace = Pace(MIN_ROLL_REPEAT_S, WakeLimits(wake_limits.ROLLS, now), MAX_ROLLS_RATIO, now=now)
    return WorkQueue(controller.reconcile, MAX_CONCURRENT_ROLLS, pace)


def watched_kind(index: ObjectIndex[Any], enqueue: Callable[[str, str], object]) -> WatchedKind:
    """Return the functions by which the watch feeds an index and enqueues what has changed."""

    def observe(event: WatchEvent) -> None:
        index.was_relisted |= event.is_listed
        if event.record is None:
            must_enqueue = index.remove(event.namespace, event.name, event.uid)
        else:
            must_enqueue = index.put(event.record) and not event.record.has_ended
        if must_enqueue:
            enqueue(event.namespace, event.name)

    return WatchedKind(index.decode, observe)


async def wait_for_signal() -> None:
    """Return at SIGTERM or SIGINT."""
    loop, received = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received.set)
    await received.wait()


async def check_crds(api: KubeApi) -> None:
    """Raise TerminalError if the CRDs are missing: kopf would wait for them without a message."""
    try:
        served = await api.request("GET", f"/apis/{API_VERSION}")
    except NotFoundError:
        served = {}
    names = {resource.get("name") for resource in served.get("resources", [])}
    missing = [plural for plural in watch.WATCHED if plural not in names]
    if missing:
        raise TerminalError("NoCRDs", f"the API server does not serve {', '.join(missing)}: apply deploy/crds/ first")


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()
