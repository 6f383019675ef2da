"""Back-fills Prometheus: the samples of a fleet in, blocks of a time series database out, written by ./tsdb.

promtool's own back-fill reads the whole text once for each block of two hours, and a remote write needs a snappy
library: both take far longer (design note 0027).
"""

from __future__ import annotations

import json
import struct
import subprocess
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from tests.bench.scale.fleet import APP, SIDECAR
from tests.bench.scale.shapes import series

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.bench.scale.fleet import Fleet, FleetPod

HISTORY_S = 31 * 3600
BLOCK_S = 8 * 3600


def block_ranges(now_s: int, ahead_s: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each block of the history."""
    start, end = now_s - HISTORY_S, now_s + ahead_s
    for begin in range(start, end, BLOCK_S):
        yield begin, min(begin + BLOCK_S, end)


def sample_times_s(pod: FleetPod, block: tuple[int, int], now_s: int, step_s: int) -> NDArray[np.float64]:
    """Return the times of the scrapes of a pod within a block. Nodes are scraped at different times."""
    first = max(block[0], now_s - pod.age_s)
    first += (pod.number % step_s - first) % step_s
    return np.arange(first, block[1], step_s, dtype=np.float64)


def labels(pod: FleetPod, container: str, metric: str) -> dict[str, str]:
    """Return the labels of a series, as many as the kubelet's cAdvisor has under the Prometheus Operator."""
    container_id = pod.container_id(container)
    return {
        "__name__": metric,
        "container": container,
        "endpoint": "https-metrics",
        "id": f"/kubepods.slice/kubepods-burstable.slice/cri-containerd-{container_id}.scope",
        "image": f"registry.example.com/{pod.deployment}/{container}:1.0.0",
        "instance": f"10.0.0.{pod.number % 100}:10250",
        "job": "kubelet",
        "metrics_path": "/metrics/cadvisor",
        "name": container_id,
        "namespace": pod.namespace,
        "node": pod.node,
        "pod": pod.name,
        "service": "kubelet",
    }


def encode(found: Mapping[str, str], times_s: NDArray[np.float64], values: NDArray[np.float64]) -> bytes:
    """Encode one series for ./tsdb: the length of the header, the header, the values."""
    step_s = times_s[1] - times_s[0] if len(times_s) > 1 else 1.0
    fields: dict[str, Any] = {
        "labels": found,
        "firstMs": round(times_s[0] * 1000),
        "stepMs": round(step_s * 1000),
        "count": len(values),
    }
    header = json.dumps(fields).encode()
    return struct.pack("<I", len(header)) + header + values.astype("<f8").tobytes()


@dataclass(frozen=True)
class History:
    """Samples to write: of a fleet that is created at `now_s`, in seconds, with a scrape at each step."""

    fleet: Fleet
    now_s: int
    step_s: int
    ahead_s: int


def write(history: History, program: Path, folder: Path) -> int:
    """Write all blocks; return the number of samples."""
    folder.mkdir(parents=True)
    blocks = block_ranges(history.now_s, history.ahead_s)
    return sum(_write_block(history, program, folder, block) for block in blocks)


def _write_block(history: History, program: Path, folder: Path, block: tuple[int, int]) -> int:
    # Twice its size: the writer accepts only samples up to half a block older than the newest one.
    command = [str(program), str(folder), str(2 * 1000 * (block[1] - block[0]))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for pod in history.fleet.pods:
                times_s = sample_times_s(pod, block, history.now_s, history.step_s)
                if len(times_s):
                    _write_pod(pod, times_s, history.now_s, process.stdin)
            process.stdin.close()
            text = process.stdout.read()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise RuntimeError(f"{program.name} ended with code {process.returncode}: see the lines above")
    return int(text)


def _write_pod(pod: FleetPod, times_s: NDArray[np.float64], now_s: int, stream: IO[bytes]) -> None:
    for container in (APP, SIDECAR):
        for metric, values in series(pod, container, times_s, now_s - pod.age_s).items():
            stream.write(encode(labels(pod, container, metric), times_s, values))
