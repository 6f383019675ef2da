"""Samples and bytes that a policy costs its Prometheus in an hour, for each kind of container: `make bench-reads`.

Runs a real Prometheus with recorded samples, and the assessment of an hour; counts as the store does (`stats=all`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memroll.clients.prometheus import promql
from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.detection.assess import Assessor
from memroll.model.pods import ObjectRef
from memroll.model.roll_duration import RollDurations
from tests.builders import MIB, container, pod, policy
from tests.contract.prometheus.sample_history import SampleHistory, labels
from tests.contract.prometheus.stores import PROMETHEUS_2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from memroll.clients.prometheus.session import QueryCost
    from memroll.detection.assessment import Assessment
    from memroll.model.pods import Pod

HOUR_S = 3600.0
NAMESPACE = "demo"
END = 1_700_000_000.0
KNOWN_S = 32 * HOUR_S
LIMIT = 1000 * MIB
SIBLINGS = 3
PASSES = 13
"""A first pass, and an hour at intervals of 5 minutes."""
SHAPES: dict[str, tuple[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "flat": ("not a candidate, far from its limit", lambda _: np.array(300.0)),
    "full": ("not a candidate, near its limit", lambda _: np.array(700.0)),
    "stopped": ("a candidate that is healthy", lambda age: 200 + 60 * np.minimum(age / HOUR_S / 20, 1.55)),
    "leaking": ("a leak with 3 peers, each", lambda age: 100 + 5.5 * age / HOUR_S),
}


def main() -> None:
    scrapes = [float(s) for s in os.environ.get("SCRAPES", "30,60").split(",")]
    found = []
    for scrape_s in scrapes:
        with tempfile.TemporaryDirectory() as folder, PROMETHEUS_2.serving(record(scrape_s), Path(folder)) as address:
            for shape, (title, _) in SHAPES.items():
                first, later, cpu_s = asyncio.run(measure(f"http://{address}", shape))
                found.append({"scrape": scrape_s, "kind": shape, "first": first, "hour": later, "cpu_s": cpu_s})
                print(f"{scrape_s:>4.0f} s  {title:<40}{line(first, later, cpu_s)}", flush=True)
    if os.environ.get("JSON"):
        Path(os.environ["JSON"]).write_text(json.dumps(found, indent=1))


def line(first: list[float], hour: list[float], cpu_s: float) -> str:
    samples, size, queries = hour
    return (
        f"{samples:>9,.0f} samples an hour, {samples / HOUR_S:>6.2f} a second,{size:>10,.0f} bytes,"
        f"{queries:>5.0f} queries; first pass{first[0]:>8,.0f} samples;{1000 * cpu_s:>6.1f} ms a pass"
    )


def record(scrape_s: float) -> SampleHistory:
    history = SampleHistory()
    times = np.arange(END - KNOWN_S + 7.25, END, scrape_s)
    for seed, pod_ in enumerate(p for shape in SHAPES for p in pods_of(shape)):
        random, shape = np.random.default_rng(seed), pod_.key.name.partition("-")[0]
        mib = SHAPES[shape][1](times - times[0]) + random.normal(0, 1, times.size)
        rss = np.round(mib * 256) * 4096
        columns = {
            promql.RSS: rss,
            promql.WORKING_SET: rss + 20 * MIB,
            promql.CPU: np.cumsum(random.random(times.size)),
            promql.OOMS: np.zeros(times.size),
            promql.ACTIVE_FILE: np.full(times.size, 4096.0),
            promql.SWAP: np.zeros(times.size),
        }
        for metric, values in columns.items():
            own = labels(pod_.key.name, pod_.containers[0].id, container="app", namespace=NAMESPACE)
            history.add(metric, own, list(zip(times.tolist(), values.tolist(), strict=True)))
    return history


def pods_of(shape: str) -> tuple[Pod, ...]:
    started = datetime.fromtimestamp(END - KNOWN_S, UTC)
    owner = ObjectRef("apps/v1", "StatefulSet", shape, f"uid-{shape}")
    names = [f"{shape}-{n}" for n in range(SIBLINGS + 1 if shape == "leaking" else 1)]
    return tuple(
        pod(
            name,
            controller=owner,
            created_at=started,
            containers=(
                container(id=f"{len(name):02}{sum(map(ord, name)):06}" * 8, limit_bytes=LIMIT, started_at=started),
            ),
        )
        for name in names
    )


async def measure(url: str, shape: str) -> tuple[list[float], list[float], float]:
    """Return what the first pass and an hour cost for each container, and the CPU seconds of a reconcile."""
    costs: list[QueryCost] = []
    connections = Connections(connections={"default": Connection(url=url, timeout_seconds=120)})
    client = PrometheusClient(connections, observe=lambda _, cost: costs.append(cost))
    watched, pods, passes, cpu = policy(interval="5m"), pods_of(shape), [], []
    found: Sequence[Assessment] = ()
    for n in range(PASSES):
        now = datetime.fromtimestamp(END - 60, UTC) - timedelta(minutes=5 * (PASSES - 1 - n), seconds=n % 3)
        costs.clear()
        before = time.process_time()
        found = await Assessor(watched, pods, RollDurations({}, None, watched.spec.roll.drain), now).assess(client)
        cpu.append(time.process_time() - before)
        passes.append([sum(c.samples or 0 for c in costs), sum(c.response_bytes for c in costs), len(costs)])
    client.close()
    print(" ", found[0].verdict.verdict, found[0].verdict.reason, file=sys.stderr)
    per_container = np.array(passes) / len(pods)
    return per_container[0].tolist(), per_container[1:].sum(axis=0).tolist(), float(np.mean(cpu[1:])) / len(pods)


if __name__ == "__main__":
    main()
