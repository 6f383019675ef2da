"""Cost of a roll, compared with an eviction and a restart of the same workload: `make bench-roll`.

On the local cluster, under 20 requests/s with a new connection each and 10 over kept ones. There is no
PodDisruptionBudget: it would refuse the eviction of the only replica. A pod needs 6 s to become Ready, twice as long as
a terminating one still serves: with a pod that is Ready at once, an eviction would seem to cost nothing. The time
counts from the user's request until the old pods are gone and the workload has all its pods Ready again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from memroll_demo import cluster as demo_cluster
from tests.bench.roll.counted import operator
from tests.soak.kubectl_proxy import KubectlProxy
from tests.soak.roll_scenario import APP, RollScenario

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memroll_demo.cluster import DemoCluster
    from tests.bench.roll.counted import CountedApi

OWN = "memroll-bench"
NAMESPACE = "memroll-bench-roll"
ROLLS = 5
START = {"READY_AFTER_S": "6"}


@dataclass
class Cost:
    """Cost of one way to replace pods of one workload."""

    way: str
    replicas: int
    pods: int = 0
    seconds: list[float] = field(default_factory=list)
    requests: int = 0
    failed: int = 0
    calls: Counter[str] = field(default_factory=Counter)


def roll(scenario: RollScenario) -> int:
    status = scenario.wait_until_ended(scenario.create_roll(scenario.get_oldest_pod(), strategy="Surge"))
    assert status["phase"] == "Succeeded", status
    return 1


def evict(scenario: RollScenario) -> int:
    name = scenario.get_oldest_pod()["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": scenario.namespace}}
    scenario.kube.post("pods", scenario.namespace, name, "eviction", body)
    return 1


def restart(scenario: RollScenario) -> int:
    pods = len(scenario.list_pods())
    scenario.cluster.kubectl("rollout", "restart", f"deployment/{APP}", "-n", scenario.namespace)
    return pods


WAYS: dict[str, Callable[[RollScenario], int]] = {"memroll, Surge": roll, "eviction": evict, "rollout restart": restart}


def measure(scenario: RollScenario, api: CountedApi, rolls: int) -> list[Cost]:
    costs = []
    for replicas in (1, 3):
        scenario.create_namespace()
        scenario.deploy(replicas, env=START)
        costs += [cost_of(way, scenario, replicas, api, rolls) for way in WAYS]
        scenario.delete_namespace()
    return costs


def cost_of(way: str, scenario: RollScenario, replicas: int, api: CountedApi, rolls: int) -> Cost:
    cost = Cost(way, replicas)
    scenario.loads.clear()
    scenario.start_load()
    api.calls.clear()
    for _ in range(rolls):
        old = {p["metadata"]["uid"] for p in scenario.wait_until_settled(replicas)}
        began = time.monotonic()
        replaced = WAYS[way](scenario)
        changed(scenario, replicas, old, replaced)
        cost.seconds.append(time.monotonic() - began)
        cost.pods += replaced
    cost.calls = Counter(api.calls) if way == "memroll, Surge" else Counter({"by the user": rolls})
    scenario.stop_load()
    cost.failed = sum(len(load.failures) for load in scenario.loads)
    cost.requests = sum(load.served for load in scenario.loads) + cost.failed
    return cost


def changed(scenario: RollScenario, replicas: int, old: set[str], replaced: int) -> None:
    """Wait until this many of the old pods are gone and all pods are Ready."""
    while len(old - {p["metadata"]["uid"] for p in scenario.wait_until_settled(replicas)}) < replaced:
        time.sleep(0.1)


def show(costs: Sequence[Cost], rolls: int) -> None:
    print(f"\n{rolls} times each; seconds: mean (min to max)\n")
    print(f"{'way':<18}{'replicas':>9}{'pods':>6}{'seconds':>22}{'requests':>10}{'failed':>8}{'API calls each':>16}")
    for c in costs:
        took = f"{statistics.mean(c.seconds):.1f} ({min(c.seconds):.1f} to {max(c.seconds):.1f})"
        calls = f"{c.calls.total() / rolls:.1f}"
        print(f"{c.way:<18}{c.replicas:>9}{c.pods:>6}{took:>22}{c.requests:>10}{c.failed:>8}{calls:>16}")
    for c in costs:
        if c.way == "memroll, Surge":
            each = ", ".join(f"{kind} {count / rolls:.1f}" for kind, count in c.calls.most_common())
            print(f"\nAPI calls per roll, {c.replicas} replicas: {each}")


async def bench(cluster: DemoCluster, rolls: int) -> list[Cost]:
    with KubectlProxy(cluster) as kube, tempfile.TemporaryDirectory() as folder:
        scenario = RollScenario(cluster, kube, NAMESPACE, cluster.service_image)
        async with operator(cluster, NAMESPACE, OWN, Path(folder)) as api:
            return await asyncio.to_thread(measure, scenario, api, rolls)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.roll", description=__doc__)
    parser.add_argument("--rolls", type=int, default=ROLLS, help=f"number of rolls for each way (default {ROLLS})")
    rolls: int = parser.parse_args(arguments).rolls
    if demo_cluster.is_current():
        print("the load comes from the node itself: the benchmark needs the local cluster", file=sys.stderr)
        return 2
    cluster = demo_cluster.status() or demo_cluster.boot()
    os.environ["KUBECONFIG"] = cluster.kubeconfig  # for kopf's own client
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(demo_cluster.ROOT / "deploy/crds"))
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OWN}})
    try:
        costs = asyncio.run(bench(cluster, rolls))
    finally:
        cluster.kubectl("delete", "namespace", OWN, NAMESPACE, "--ignore-not-found", "--wait=false")
    show(costs, rolls)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
