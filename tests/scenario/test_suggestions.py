"""Containers that die of a limit of their runtime: from the status of the pods to the suggested limit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.samples import QueryResult, SeriesRow
from memroll.detection.series import Series
from memroll.model.pods import ContainerExit
from tests.builders import MIB, at, line
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation

if TYPE_CHECKING:
    from memroll.detection.samples import ReadRequest

LIFETIME_S = 600.0


class Instances(FakePrometheus):
    """Prometheus with the samples of ended instances, each of which grows up to 120 MiB."""

    async def read(self, connection: str, request: ReadRequest) -> QueryResult:
        found = await super().read(connection, request)
        times = request.at_s - np.arange(LIFETIME_S, 0.0, -5.0)
        used = Series(times, np.linspace(40.0, 120.0, times.size) * MIB)
        ended = (SeriesRow(p, "app", f"ended-{request.at_s:.0f}", used, used) for p in request.pods)
        return QueryResult((*found.rows, *ended), request.at_s)


def flat() -> Simulation:
    cluster = FakeCluster(1, limit_bytes=1024 * MIB)
    return Simulation(cluster, Instances({"id-leaky-1": line(0.0, base_mib=60)}), FAST)


def restart_container(sim: Simulation, seconds: float, name: str = "leaky-1") -> None:
    """End the container's process with an error, so that the kubelet restarts it in place."""
    pod = sim.cluster.pods[name]
    (container,) = pod.containers
    ended = ContainerExit(f"ended-{at(seconds).timestamp():.0f}", at(seconds - LIFETIME_S), at(seconds))
    exited = replace(container, last_exit=ended, restarts=container.restarts + 1)
    sim.cluster.pods[name] = replace(pod, containers=(exited,))


async def test_three_exits_near_one_usage_are_suggested_once_also_after_a_restart_of_the_operator():
    sim = flat()
    for count, seconds in enumerate((-5000, -4000, -3000), 1):
        restart_container(sim, seconds)
        await sim.reconcile()
        await sim.reconcile()
        sim.restart()
        (entry,) = sim.status["exits"]
        assert len(entry["exits"]) == count
    (suggestion,) = sim.status["suggestions"]
    assert (suggestion["workload"], suggestion["limit"], suggestion["exits"]) == ("Deployment/leaky", "120Mi", 3)
    assert sim.recorder.reasons("MemoryPolicy").count("LimitSuggested") == 1
    assert sim.cluster.rolls_json == {}, "a suggestion is never applied"


async def test_an_exit_is_read_once():
    sim = flat()
    await sim.reconcile()
    before = len(sim.prometheus.reads)
    restart_container(sim, -3000)
    for _ in range(4):
        await sim.reconcile()
    assert len(sim.prometheus.reads) == before + 1


async def test_a_deploy_that_ends_pods_suggests_nothing():
    sim = flat()
    for number in range(2, 6):
        pod = sim.cluster.pods.pop(f"leaky-{number - 1}")
        name = f"leaky-{number}"
        key = replace(pod.key, name=name, uid=f"uid-{name}")
        sim.cluster.pods[name] = replace(pod, key=key, deleting=False)
        await sim.reconcile()
    assert sim.status.get("exits", []) == []
    assert sim.status.get("suggestions", []) == []


async def test_a_crash_loop_within_the_warm_up_suggests_nothing_and_costs_no_query():
    sim = flat()
    await sim.reconcile()
    before = len(sim.prometheus.reads)
    for seconds in (-5000, -4000, -3000):
        pod = sim.cluster.pods["leaky-1"]
        (container,) = pod.containers
        ended = ContainerExit("x", at(seconds - 15), at(seconds))
        sim.cluster.pods["leaky-1"] = replace(pod, containers=(replace(container, last_exit=ended),))
        await sim.reconcile()
    assert sim.status.get("exits", []) == []
    assert len(sim.prometheus.reads) == before
