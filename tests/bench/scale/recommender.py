"""The recommender of the VerticalPodAutoscaler on the same fleet, to compare: `make bench-scale PEER=vpa`.

It reads the usage of all pods from the metrics API once a minute; the proxy answers for the metrics server. Each
Deployment has a VerticalPodAutoscaler in mode Off. Nothing is scaled.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml

from tests.bench.scale import api, control_plane, fleet, population
from tests.bench.scale import programs as programs_of
from tests.bench.scale.fleet import APP, LIMITS_MIB, MIB, SIDECAR
from tests.bench.scale.operator_process import kubeconfig
from tests.bench.scale.processes import free_port, running, usage_of
from tests.bench.scale.proxy import NOW
from tests.bench.scale.report import Figures
from tests.bench.scale.traffic import COUNTS_PATH, Traffic

if TYPE_CHECKING:
    from pathlib import Path

    from localcluster.progress import Reporter
    from tests.bench.scale.api import BenchApi
    from tests.bench.scale.fleet import Fleet, FleetPod
    from tests.bench.scale.options import Options
    from tests.bench.scale.programs import Programs

    Json = dict[str, Any]

AUTOSCALING = "/apis/autoscaling.k8s.io/v1"
WARM_UP_S = 180
"""Time in seconds after the start that is not measured: the first lists, and the first recommendations."""


def autoscaler(pods: list[FleetPod]) -> Json:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": pods[0].deployment}
    return {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": pods[0].deployment, "namespace": pods[0].namespace},
        "spec": {"targetRef": target, "updatePolicy": {"updateMode": "Off"}},
    }


def pod_metrics(built: Fleet) -> Json:
    """Return the usage of all pods as the metrics server does; the proxy fills in the time."""
    items = [
        {
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "timestamp": NOW,
            "window": "15s",
            "containers": [
                {"name": name, "usage": {"cpu": "100m", "memory": str(LIMITS_MIB[name] * MIB // 2)}}
                for name in (APP, SIDECAR)
            ],
        }
        for pod in built.pods
    ]
    return {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}


async def measure(options: Options, programs: Programs, folder: Path, report: Reporter) -> Figures:
    """Write the fleet, run the recommender behind the proxy, and return its figures."""
    built, usage = fleet.build(options), folder / "usage.json"
    usage.write_text(json.dumps(pod_metrics(built)))
    program, definitions = programs_of.prepare_recommender(report)
    async with AsyncExitStack() as stack:
        plane = stack.enter_context(control_plane.started(programs, folder, folder / "samples"))
        client = await stack.enter_async_context(api.connect(plane.api_url))
        await population.write_fleet(client, built, 0, datetime.now(UTC))  # noqa: TID251 - a benchmark of real time
        await _write_autoscalers(client, built, definitions)
        report(f"created {options.size} pods, {len(built.deployments)} VerticalPodAutoscalers")
        url = control_plane.start_proxy(stack, "api", plane.api_url, folder, usage)
        return await _observe(options, program, url, folder, report)


async def _write_autoscalers(client: BenchApi, built: Fleet, definitions: str) -> None:
    for definition in yaml.safe_load_all(definitions):
        await client.send("POST", population.CRDS, definition)
    await population.wait_served(client, f"{AUTOSCALING}/verticalpodautoscalers")

    async def create(pods: list[FleetPod]) -> None:
        path = f"{AUTOSCALING}/namespaces/{pods[0].namespace}/verticalpodautoscalers"
        await client.send("POST", path, autoscaler(pods))

    await api.for_each(built.deployments.values(), create)


async def _observe(options: Options, program: Path, api_url: str, folder: Path, report: Reporter) -> Figures:
    config, log = folder / "kubeconfig", folder / "recommender.log"
    config.write_text(yaml.safe_dump(kubeconfig(api_url)))
    seconds = options.intervals * options.interval_s
    with running([program, f"--kubeconfig={config}", f"--address=127.0.0.1:{free_port()}"], log) as process:
        await asyncio.sleep(WARM_UP_S)
        report(f"measuring for {seconds} s")
        before, usage, start_s = await _counts(api_url), usage_of(process.pid), time.monotonic()
        await asyncio.sleep(seconds)
        after, end, passed_s = await _counts(api_url), usage_of(process.pid), time.monotonic() - start_s
        if process.poll() is not None:
            raise RuntimeError(f"the recommender ended with code {process.returncode}")
    traffic = after.since(before)
    figures: dict[str, float | int | None] = {
        "window_s": round(passed_s, 1),
        "pods": options.size,
        "rss_mib": round(end.rss_bytes / MIB, 1),
        "peak_rss_mib": round(end.peak_bytes / MIB, 1),
        "cores": round((end.cpu_s - usage.cpu_s) / passed_s, 3),
        "api_requests_per_s": round(traffic.total.requests / passed_s, 2),
        "api_decoded_kb_per_s": round(traffic.total.decoded_bytes / passed_s / 1000, 1),
        "api_wire_kb_per_s": round(traffic.total.wire_bytes / passed_s / 1000, 1),
    }
    return Figures({**asdict(options), "json_file": None}, figures, traffic.to_dict())


async def _counts(url: str) -> Traffic:
    async with aiohttp.ClientSession() as session, session.get(url + COUNTS_PATH) as response:
        return Traffic.from_dict(await response.json())
