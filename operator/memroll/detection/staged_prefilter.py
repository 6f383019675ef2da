"""Prefilter run in two stages: all containers, then what only counts near the limit, of the pods that are near theirs.

The slopes of short windows, the minima of days ago and the rise of the working set decide only about containers at 60 %
of their limit or more (`prefilter.is_candidate`). Called by `assess`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from memroll.detection.long_history import needs_long_history
from memroll.detection.prefilter import far_windows, prefilter_windows_s
from memroll.detection.samples import PrefilterResult, SlowBins
from memroll.detection.slow_slopes import slow_bins

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from memroll.detection.parameters import DetectionParameters
    from memroll.model.pods import Container, Pod


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
    """Return the names of the pods with a container near its limit, or several that may share that of the pod."""
    return frozenset(
        p.key.name
        for p in pods
        if (p.limit_bytes is not None and len(p.containers) > 1)
        or any(is_near_limit(p, c, result) for c in p.containers)
    )


def is_near_limit(pod: Pod, container: Container, result: PrefilterResult) -> bool:
    """Return whether a running container is so near its limit that it is assessed with its long history."""
    if container.limit_bytes is None or container.started_at is None:
        return False
    row = result.row_for(pod.key.name, container.name, container.id, container.started_at.timestamp())
    usage = None if row is None else row.working_set_bytes
    return usage is not None and needs_long_history(usage, container.limit_bytes)
