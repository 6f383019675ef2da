"""`memroll operator`: build the parts, run them under supervision, stop them in order."""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from memroll import clock
from memroll.api import API_VERSION
from memroll.cli import logs
from memroll.clients.kube.api_client import Api
from memroll.clients.kube.cluster import Cluster
from memroll.clients.kube.event_recorder import Recorder
from memroll.clients.kube.leader_election import Lease
from memroll.clients.probe import PodReports
from memroll.clients.prometheus.client import PrometheusProvider
from memroll.clients.prometheus.credentials import ConnectionsFile
from memroll.controller import http_server, watch
from memroll.controller.controllers import Passes
from memroll.controller.workqueue import Key, Schedule, supervise
from memroll.errors import MemrollError, NotFound, Stalled
from memroll.model.permissions import Permits
from memroll.planning.rate_limit import Guard
from memroll.reporting.metrics import Metrics
from memroll.settings import Settings, from_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

RESYNC_S = 30.0
PULSE_S = 1.0
PULSE_LATE_S = 30.0
DRAIN_S = 5.0
ROLLS_AT_ONCE = 32


def run(environment: Mapping[str, str]) -> int:
    """Run until told to stop; 0 after SIGTERM, 1 after a failure, 2 for settings that can't be used."""
    try:
        settings = from_environment(environment)
        connections = ConnectionsFile(Path(settings.connections_file))
        connections()
    except ValidationError as invalid:
        for error in invalid.errors():
            name = "MEMROLL_" + "_".join(map(str, error["loc"])).upper()
            print(f"memroll operator: {name}={error['input']!r}: {error['msg']}", file=sys.stderr)
        return 2
    except MemrollError as error:
        print(f"memroll operator: {error}", file=sys.stderr)
        return 2
    logs.configure(settings.log_format, settings.log_level)
    try:
        asyncio.run(_run(settings, connections))
    except MemrollError:
        logger.exception("stopped")
        return 1
    return 0


@dataclass(slots=True)
class Pulse:
    """The event loop's own heartbeat: how late it runs, and when it last ran."""

    metrics: Metrics
    beaten_at: float = 0.0

    async def run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(PULSE_S)
            self.beaten_at = time.monotonic()
            self.metrics.loop_lag.set(max(0.0, self.beaten_at - before - PULSE_S))
            self.metrics.rss.set(_resident_bytes())

    def late(self) -> bool:
        return self.beaten_at > 0 and time.monotonic() - self.beaten_at > PULSE_LATE_S


def permits_of(settings: Settings) -> Permits:
    return Permits(
        acting=settings.allow_acting,
        surge=settings.allow_surge,
        restart=settings.allow_restart,
        logs=settings.allow_logs,
        http=settings.allow_evidence_http,
    )


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


async def _run(settings: Settings, connections: ConnectionsFile) -> None:
    api = await Api.connect()
    try:
        await _check_crds(api)
        await _operate(settings, connections, api)
    finally:
        await api.close()


async def _operate(settings: Settings, connections: ConnectionsFile, api: Api) -> None:
    parts = Parts.assemble(settings, connections, api)
    watching = asyncio.Event()
    app = http_server.application(
        parts.metrics.registry,
        healthy=lambda: "the event loop is stuck" if parts.pulse.late() else "",
        ready=lambda: "" if watching.is_set() else "not watching yet",
    )
    server = await http_server.serve(app, settings.http_host, settings.http_port)
    registry = watch.registry({"memorypolicies": parts.wake_policy, "podrolls": parts.wake_roll})
    try:
        ended = await supervise(
            {
                "lease": parts.lease.run(),
                "recorder": parts.recorder.run(),
                "policies": parts.policies.run(),
                "rolls": parts.rolls.run(),
                "resync": _resync(parts),
                "pulse": parts.pulse.run(),
                "shell": watch.watch(registry, settings.identity, settings.watch_namespaces, watching),
            }
        )
        logger.info("stopping", extra={"because": ended})
    finally:
        await parts.recorder.drain(DRAIN_S)
        await parts.lease.release()
        await server.cleanup()
        parts.prometheus.close()


@dataclass(frozen=True, slots=True)
class Parts:
    """What the process is made of."""

    metrics: Metrics
    pulse: Pulse
    lease: Lease
    recorder: Recorder
    prometheus: PrometheusProvider
    passes: Passes
    policies: Schedule
    rolls: Schedule

    @classmethod
    def assemble(cls, settings: Settings, connections: ConnectionsFile, api: Api) -> Parts:
        metrics, lease = Metrics(), Lease(api, settings)
        recorder, prometheus = Recorder(api, instance=settings.identity), PrometheusProvider(connections)
        passes = Passes(
            cluster=Cluster(api),
            prometheus=prometheus,
            recorder=recorder,
            metrics=metrics,
            leads=lease.is_leader,
            wake_roll=lambda key: parts.wake_roll(*key),
            wake_policy=lambda key: parts.wake_policy(*key),
            now=clock.now,
            permits=permits_of(settings),
            namespaces=settings.watch_namespaces,
            excluded=(*settings.excluded_namespaces, settings.namespace),
            guard=Guard(settings.max_rolls_per_hour, settings.max_namespace_share),
            reports=PodReports(),
        )
        policies = Schedule(passes.over_policy, settings.max_policies_at_once)
        rolls = Schedule(passes.over_roll, ROLLS_AT_ONCE)
        parts = cls(metrics, Pulse(metrics), lease, recorder, prometheus, passes, policies, rolls)
        return parts

    def wake_policy(self, namespace: str, name: str) -> None:
        self.policies.wake(Key(namespace, name))

    def wake_roll(self, namespace: str, name: str) -> None:
        self.rolls.wake(Key(namespace, name))


async def _resync(parts: Parts) -> None:
    """Find everything again now and then, and right after becoming the leader."""
    led, listed_at = False, -RESYNC_S
    while True:
        leads = parts.lease.is_leader()
        parts.metrics.leader.set(int(leads))
        parts.metrics.events_dropped.set(parts.recorder.dropped)
        if leads and (not led or time.monotonic() - listed_at >= RESYNC_S):
            listed_at = time.monotonic()
            try:
                await _find_all(parts, wake_known=not led)
            except MemrollError as trouble:
                logger.warning("resync: %s", trouble)
            except Exception:  # the next resync may find what this one could not
                logger.exception("a bug: the resync failed")
        led = leads
        await asyncio.sleep(PULSE_S)


async def _find_all(parts: Parts, *, wake_known: bool) -> None:
    found_policies, found_rolls = await parts.passes.known()
    for schedule, keys in ((parts.policies, found_policies), (parts.rolls, found_rolls)):
        for key in keys:
            if wake_known or not schedule.knows(key):
                schedule.wake(key)
    await parts.passes.put_back()


async def _check_crds(api: Api) -> None:
    """Fail at once, with words, when the CRDs are missing: kopf would wait for them in silence."""
    try:
        served = await api.request("GET", f"/apis/{API_VERSION}")
    except NotFound:
        served = {}
    names = {resource.get("name") for resource in served.get("resources", [])}
    missing = [plural for plural in watch.WATCHED if plural not in names]
    if missing:
        raise Stalled("NoCRDs", f"the API server does not serve {', '.join(missing)}: apply deploy/crds/ first")
