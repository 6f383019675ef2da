"""Memory by line of code, from tracemalloc snapshots. Called by the sampler and the report.

tracemalloc is started late. A snapshot is the probe's most expensive work, so it is taken only if time and memory
allow it: see `take_snapshot`.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll_probe import memory_headroom, process
from memroll_probe.errors import ResourceLimitError
from memroll_probe.lines import LineGrowth, Lines, find_growth, sampling_stride, sum_by_line

if TYPE_CHECKING:
    from collections.abc import Callable

# Measured: tracemalloc's own tables take 60 bytes a block, a snapshot of it 210, and it stops the process for 0.5 µs.
SNAPSHOT_TO_OVERHEAD_RATIO = 3.5
"""Memory of a snapshot as a ratio to tracemalloc's own tables."""
OVERHEAD_BYTES_PER_BLOCK = 60
"""Memory of tracemalloc's own tables for one traced block, in bytes."""
SNAPSHOT_S_PER_BLOCK = 1e-6
"""Duration of a snapshot for one traced block, in seconds: twice the measured time."""
AGGREGATION_S = 0.5
"""Duration of summing a snapshot by line, in seconds. Chosen by hand."""


@dataclass(frozen=True)
class TraceSnapshot:
    at: float
    lines: Lines
    stride: int


class Tracer:
    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        headroom_bytes: Callable[[], int | None] = process.headroom_bytes,
    ) -> None:
        self._clock, self._headroom_bytes = clock, headroom_bytes
        self._lock = threading.Lock()  # one snapshot at a time
        self.started_at: float | None = None
        self.baseline: TraceSnapshot | None = None
        self.last_snapshot: TraceSnapshot | None = None

    def start(self, frames: int) -> None:
        """Start tracing. If tracemalloc runs already, its number of frames stays."""
        with self._lock:
            if self.started_at is None:
                if not tracemalloc.is_tracing():
                    tracemalloc.start(frames)
                self.started_at, self.baseline, self.last_snapshot = self._clock(), None, None

    def stop(self) -> None:
        """Stop tracing and discard all snapshots."""
        with self._lock:
            tracemalloc.stop()
            self.started_at = self.baseline = self.last_snapshot = None

    def finish(self) -> None:
        """Stop tracing and keep the growth up to now."""
        with contextlib.suppress(ResourceLimitError):  # then up to the last snapshot
            self.take_snapshot(math.inf)
        with self._lock:
            tracemalloc.stop()
            self.started_at = None

    def take_baseline(self) -> None:
        self.baseline = self.take_snapshot(math.inf)

    def take_snapshot(self, remaining_s: float) -> TraceSnapshot:
        """Return the memory of each line. Raise ResourceLimitError if time or memory is short, or tracing is off."""
        with self._lock:
            if self.started_at is None:
                raise ResourceLimitError("tracing is off")
            self._require_resources(tracemalloc.get_tracemalloc_memory(), remaining_s)
            snapshot = tracemalloc.take_snapshot()
            traces = snapshot.traces._traces  # type: ignore[attr-defined]  # noqa: SLF001 - as objects: five times the time
            self.last_snapshot = TraceSnapshot(self._clock(), sum_by_line(traces), sampling_stride(len(traces)))
            return self.last_snapshot

    def _require_resources(self, overhead_bytes: int, remaining_s: float) -> None:
        memory_headroom.require("a snapshot", SNAPSHOT_TO_OVERHEAD_RATIO * overhead_bytes, self._headroom_bytes())
        needed_s = AGGREGATION_S + SNAPSHOT_S_PER_BLOCK * overhead_bytes / OVERHEAD_BYTES_PER_BLOCK
        if needed_s > remaining_s:
            raise ResourceLimitError(f"a snapshot takes {needed_s:.1f} s, {remaining_s:.1f} s are left")

    def growth(self, limit: int) -> list[LineGrowth]:
        """Return the growth from the baseline to the last snapshot; without a baseline, since tracing started."""
        if self.last_snapshot is None:
            return []
        return find_growth(self.last_snapshot.lines, self.baseline.lines if self.baseline else {}, limit)

    def traced_bytes(self) -> int | None:
        return tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else None

    def describe(self, *, start_pending: bool) -> dict[str, object]:
        """Return the report's `tracing`. `start_pending`: tracing will start after the warm-up."""
        now, tracing = self._clock(), tracemalloc.is_tracing()
        last = self.last_snapshot
        return {
            "state": self._state(start_pending=start_pending),
            "frames": tracemalloc.get_traceback_limit() if tracing else 0,
            "sinceSeconds": None if self.started_at is None else round(now - self.started_at, 1),
            "baselineSeconds": None if self.baseline is None else round(now - self.baseline.at, 1),
            "lookSeconds": None if last is None else round(now - last.at, 1),
            "everyNthBlock": 1 if last is None else last.stride,
            "tracedBytes": self.traced_bytes() or 0,
            "overheadBytes": tracemalloc.get_tracemalloc_memory() if tracing else 0,
        }

    def _state(self, *, start_pending: bool) -> str:
        if self.started_at is None:
            return "warming" if start_pending else "off"
        return "warming" if self.baseline is None else "tracing"
