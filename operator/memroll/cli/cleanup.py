"""Command `memroll cleanup`: roll back all rolls in progress, so that uninstalling memroll leaves no orphaned pod.

The chart's pre-delete hook runs it. It takes over the Lease, waits until the running operator can't act any longer, and
makes the same steps as the operator, except that nothing is begun and all changes are rolled back. It keeps the Lease
for a while, so that the operator does not resume before it is removed; after a success it marks the Lease, so that the
operator of a later installation need not wait.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import TYPE_CHECKING

import click

from memroll import clock, logs
from memroll.cli.command import DurationSeconds
from memroll.cli.command import command as define
from memroll.cli.settings_options import settings_options
from memroll.clients.kube.api_client import KubeApi
from memroll.clients.kube.cluster import KubeCluster
from memroll.clients.kube.event_recorder import EventRecorder
from memroll.clients.kube.leader_election import LeaderElector
from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connections
from memroll.controller.context import ControllerContext, permissions_from
from memroll.controller.roll_controller import RollController
from memroll.errors import MemrollError
from memroll.reporting.metrics import Metrics

if TYPE_CHECKING:
    from memroll.controller.key import Key
    from memroll.settings import LoadedSettings, Settings

logger = logging.getLogger(__name__)

UNINSTALLING = "memroll is being uninstalled"
"""Reason in the messages of all rolls that are rolled back."""
KEEP_LEASE_S = 300.0
"""Time in seconds for which the Lease is kept at the end, or after the timeout: that of `helm uninstall` by default."""
DRAIN_EVENTS_S = 5.0
"""Time limit in seconds for publishing the last Events, chosen by hand."""
PAUSE_S = 1.0
"""Pause in seconds between two steps of a roll that names no time, chosen by hand."""


@define("cleanup", examples=["cleanup", "cleanup --timeout 10m"])
@click.option("--timeout", type=DurationSeconds(), metavar="4m", default="4m", help="time limit (default: 4m)")
@settings_options
def command(timeout: float, loaded: LoadedSettings) -> int:
    """Roll back all rolls in progress, before memroll is uninstalled. The chart's pre-delete hook runs it."""
    return run(loaded.settings, timeout)


def run(settings: Settings, timeout_s: float) -> int:
    """Run the command. Return 0 if no roll and no released pod is left, 1 if some are left."""
    logs.configure(settings.log_format, settings.log_level)
    try:
        return asyncio.run(_run(settings, timeout_s))
    except MemrollError:
        logger.exception("cleanup failed")
        return 1
    except Exception:  # the traceback belongs into the log, which nobody can request again
        logger.exception("cleanup failed: a bug of memroll")
        return 1


async def _run(settings: Settings, timeout_s: float) -> int:
    api = await KubeApi.connect()
    events = EventRecorder(api, instance=settings.identity)
    prometheus = PrometheusClient(
        Connections()
    )  # never queried: rolls are rolled back whether the pods are idle or not
    try:
        elector = LeaderElector(api, settings)
        await elector.take_over(KEEP_LEASE_S + timeout_s)
        context = ControllerContext(
            kubernetes=KubeCluster(api),
            prometheus=prometheus,
            events=events,
            metrics=Metrics(),
            leads=elector.is_leader,
            now=clock.now,
            permissions=permissions_from(settings),
            namespaces=settings.watch_namespaces,
            excluded=(*settings.excluded_namespaces, settings.namespace),
            uninstalling=UNINSTALLING,
        )
        left = await _roll_back_all(RollController(context, enqueue_policy=lambda _: None), timeout_s)
        await events.drain(DRAIN_EVENTS_S)
        if not left:
            await elector.mark_uninstalled(KEEP_LEASE_S)
    finally:
        prometheus.close()
        await api.close()
    for name in left:
        print(f"memroll cleanup: not rolled back in time: {name}", file=sys.stderr)
    return 1 if left else 0


async def _roll_back_all(controller: RollController, timeout_s: float) -> list[str]:
    """Step all rolls until none is in progress and no orphaned pod is left; return what is left after the timeout."""
    until_s = time.monotonic() + timeout_s
    while True:
        left, pause_s = await _roll_back_once(controller)
        if not left or time.monotonic() > until_s:
            return left
        await asyncio.sleep(pause_s)


async def _roll_back_once(controller: RollController) -> tuple[list[str], float]:
    """Make one step of each roll, or restore the orphaned pods; return what is left, and the pause in seconds.

    A pod whose own labels and annotations are unusable is only logged: anyone may have written them, and it must not
    keep memroll installed.
    """
    listed = await controller.list_keys()
    waits_s = await asyncio.gather(*(_step(controller, key) for key in listed.keys))
    left = [f"unknown PodRolls, because listing failed: {error}" for error in listed.errors]
    left += [f"PodRoll {key.namespace}/{key.name}" for key in listed.keys]
    if not listed.keys:
        try:
            orphans = await controller.restore_orphans()
        except MemrollError as error:
            return [*left, f"unknown pods, because listing failed: {error}"], PAUSE_S
        left += [f"pod {o.pod.namespace}/{o.pod.name}: {o.outcome}" for o in orphans if o.can_be_restored]
    return left, min((wait_s for wait_s in waits_s if wait_s), default=PAUSE_S)


async def _step(controller: RollController, key: Key) -> float | None:
    """Make one step of a roll. An unexpected error is logged, and the roll is retried without delaying the others."""
    try:
        return await controller.reconcile(key)
    except Exception:
        logger.exception("bug: the reconcile of %s/%s failed", key.namespace, key.name)
        return PAUSE_S
