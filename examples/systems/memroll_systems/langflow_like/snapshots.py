"""Middleware that compares tracemalloc snapshots: an alternative for services without the probe."""

from __future__ import annotations

import gc
import logging
import tracemalloc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracemalloc import Snapshot, StatisticDiff

    from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)

MAX_SHOWN = 3
IGNORED = (tracemalloc.Filter(inclusive=False, filename_pattern=tracemalloc.__file__),)


class SnapshotComparison:
    """Middleware that logs, after every `every` requests, the source lines whose memory has grown most since then.

    A snapshot stops the process while it copies all traces, so this is for a few hours of debugging only.
    """

    def __init__(self, app: ASGIApp, every: int) -> None:
        self._app, self._every = app, every
        self._requests = 0
        self._last: Snapshot | None = None
        if not tracemalloc.is_tracing():
            tracemalloc.start()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        if scope["type"] == "http":
            self._requests += 1
            if self._requests % self._every == 0:
                self._compare()

    def _compare(self) -> None:
        gc.collect()
        snapshot = tracemalloc.take_snapshot().filter_traces(IGNORED)
        if self._last is not None:
            for grown in snapshot.compare_to(self._last, "lineno")[:MAX_SHOWN]:
                logger.warning("grown in %d requests: %s", self._every, describe(grown))
        self._last = snapshot


def describe(grown: StatisticDiff) -> str:
    frame = grown.traceback[0]
    return f"{frame.filename}:{frame.lineno} {grown.size_diff / 1024:+.0f} KiB in {grown.count_diff:+d} blocks"
