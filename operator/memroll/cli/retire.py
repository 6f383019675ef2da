"""`memroll retire`: take every roll under way back, so that uninstalling memroll leaves no stray pod.

It takes the Lease by force, waits until the running operator can't act any more, and makes the steps that the operator
would make, only that nothing is begun and what was begun is taken back. The Lease stays taken for a while, so that the
operator does not go on before it is gone.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import TYPE_CHECKING

from memroll import clock
from memroll.cli import logs
from memroll.cli.operator import permits_of
from memroll.clients.kube.api_client import Api
from memroll.clients.kube.cluster import Cluster
from memroll.clients.kube.event_recorder import Recorder
from memroll.clients.kube.leader_election import Lease
from memroll.clients.prometheus.client import PrometheusProvider
from memroll.clients.prometheus.config import Connections
from memroll.controller.controllers import Passes
from memroll.errors import MemrollError
from memroll.reporting.metrics import Metrics
from memroll.settings import from_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memroll.controller.workqueue import Key
    from memroll.settings import Settings

logger = logging.getLogger(__name__)

WHY = "memroll is being uninstalled"
HELD_FOR_S = 300.0
DRAIN_S = 5.0
PAUSE_S = 1.0


def run(environment: Mapping[str, str], timeout_s: float) -> int:
    """Return 0 when no roll is under way and no pod is released any more, 1 when some were left, 2 for bad settings."""
    try:
        settings = from_environment(environment)
    except ValueError as invalid:
        print(f"memroll retire: {invalid}", file=sys.stderr)
        return 2
    logs.configure(settings.log_format, settings.log_level)
    try:
        return asyncio.run(_run(settings, timeout_s))
    except MemrollError:
        logger.exception("not retired")
        return 1


async def _run(settings: Settings, timeout_s: float) -> int:
    api = await Api.connect()
    recorder = Recorder(api, instance=settings.identity)
    prometheus = PrometheusProvider(Connections())  # nothing is asked: what was begun is taken back, busy or not
    try:
        lease = Lease(api, settings)
        await lease.seize(HELD_FOR_S + timeout_s)
        passes = _passes(settings, api, lease, recorder, prometheus)
        left = await _take_back(passes, timeout_s)
        await recorder.drain(DRAIN_S)
    finally:
        prometheus.close()
        await api.close()
    for name in left:
        print(f"memroll retire: not taken back in time: {name}", file=sys.stderr)
    return 1 if left else 0


def _passes(settings: Settings, api: Api, lease: Lease, recorder: Recorder, prometheus: PrometheusProvider) -> Passes:
    return Passes(
        cluster=Cluster(api),
        prometheus=prometheus,
        recorder=recorder,
        metrics=Metrics(),
        leads=lease.is_leader,
        wake_roll=lambda _: None,
        wake_policy=lambda _: None,
        now=clock.now,
        permits=permits_of(settings),
        namespaces=settings.watch_namespaces,
        excluded=(*settings.excluded_namespaces, settings.namespace),
        retiring=WHY,
    )


async def _take_back(passes: Passes, timeout_s: float) -> list[str]:
    """Step all rolls until none is under way and no stray is left; return what is left when the time is up."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            _, rolls = await passes.known()
            waits = await asyncio.gather(*(_step(passes, key) for key in rolls))
            strays = () if rolls else await passes.put_back()
        except MemrollError as trouble:
            left, pause_s = [f"what can't be read: {trouble}"], PAUSE_S
        else:
            left = [f"PodRoll {key.namespace}/{key.name}" for key in rolls]
            left += [f"pod {s.pod.namespace}/{s.pod.name}: {s.done}" for s in strays]
            pause_s = min((w for w in waits if w), default=PAUSE_S)
        if not left or time.monotonic() > until:
            return left
        await asyncio.sleep(pause_s)


async def _step(passes: Passes, key: Key) -> float | None:
    """Make one step of a roll. Whatever fails is told and tried again, and keeps no other roll waiting."""
    try:
        return await passes.over_roll(key)
    except Exception:
        logger.exception("a bug: work on %s/%s failed", key.namespace, key.name)
        return PAUSE_S
