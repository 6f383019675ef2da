"""Prefilter run in two stages: all containers, then what only counts near the limit, of the pods that are near theirs.

The slopes of short windows, the minima of days ago and the rise of the working set decide only about containers at 60 %
of their limit or more (`prefilter.is_candidate`). Called by `assess`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from memroll.detection.exhaustion import MIN_USAGE_RATIO_LONG_LEAD
from memroll.detection.prefilter import far_windows, prefilter_windows_s
from memroll.detection.samples import PrefilterResult, SlowBins
from memroll.detection.slow_slopes import slow_bins

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from memroll.detection.parameters import DetectionParameters
    from memroll.model.pods import Pod


class Prefilter(Protocol):
    """Query of the statistics of some pods."""

    def __call__(
        self, pods: Sequence[str], windows_s: Sequence[float], slow: SlowBins
    ) -> Awaitable[PrefilterResult]: ...


async def run_prefilter(prefilter: Prefilter, pods: Sequence[Pod], parameters: DetectionParameters) -> PrefilterResult:
    """Return the statistics of all containers. Windows without blocks are short, and queried at once."""
    windows_s, slow = prefilter_windows_s(parameters), slow_bins(parameters)
    names = [p.key.name for p in pods]
    if not slow.block_s:
        return await prefilter(names, windows_s, slow)
    far = await prefilter(names, windows_s[: far_windows()], SlowBins(slow.bin_s, (), (), slow.block_s))
    near = await asyncio.to_thread(near_limit, pods, far)
    found = await prefilter([n for n in names if n in near], windows_s, slow) if near else None
    unknown = (None,) * (len(windows_s) - far_windows())
    rows = (
        replace(row, slopes_bytes_per_s=(*row.slopes_bytes_per_s, *unknown)) for row in far.rows if row.pod not in near
    )
    return PrefilterResult((*rows, *(found.rows if found else ())), windows_s, far.at_s, slow)


def near_limit(pods: Sequence[Pod], result: PrefilterResult) -> frozenset[str]:
    """Return the names of the pods near their limit."""
    return frozenset(p.key.name for p in pods if is_near_limit(p, result))


def is_near_limit(pod: Pod, result: PrefilterResult) -> bool:
    """Return whether a container of a pod is near its limit, or several may share that of the pod."""
    if pod.limit_bytes is not None and len(pod.containers) > 1:
        return True
    for container in pod.containers:
        started, limit = container.started_at, container.limit_bytes
        if limit is None or started is None:
            continue
        row = result.row_for(pod.key.name, container.name, container.id, started.timestamp())
        usage = None if row is None else row.working_set_bytes
        if usage is not None and usage >= MIN_USAGE_RATIO_LONG_LEAD * limit:
            return True
    return False
