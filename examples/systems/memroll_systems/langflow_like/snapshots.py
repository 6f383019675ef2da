"""Middleware that compares snapshots of tracemalloc: what a service that has no probe would write for itself."""

from __future__ import annotations

import gc
import logging
import tracemalloc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracemalloc import Snapshot, StatisticDiff

    from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)

SHOWN = 3
IGNORED = (tracemalloc.Filter(inclusive=False, filename_pattern=tracemalloc.__file__),)


class Snapshots:
    """After each `every` requests, log the lines of code whose memory has grown most since the last time.

    A snapshot stops the process for as long as it takes to copy all traces: a switch for an afternoon, not for ever.
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
            for grown in snapshot.compare_to(self._last, "lineno")[:SHOWN]:
                logger.warning("grown in %d requests: %s", self._every, describe(grown))
        self._last = snapshot


def describe(grown: StatisticDiff) -> str:
    frame = grown.traceback[0]
    return f"{frame.filename}:{frame.lineno} {grown.size_diff / 1024:+.0f} KiB in {grown.count_diff:+d} blocks"
