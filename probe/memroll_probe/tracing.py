"""tracemalloc, started late and read carefully. Its snapshots are what could hurt a service: see `look`."""

from __future__ import annotations

import contextlib
import math
import threading
import time
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll_probe import process, room
from memroll_probe.errors import NotNowError
from memroll_probe.lines import Growth, Lines, by_line, growth, stride_of

if TYPE_CHECKING:
    from collections.abc import Callable

# Measured: tracemalloc's own tables take 60 bytes a block, a snapshot of it 210, and it stops the process for 0.5 µs.
SNAPSHOT_PER_OVERHEAD = 3.5
OVERHEAD_BYTES_PER_BLOCK = 60
SNAPSHOT_S_PER_BLOCK = 1e-6
AGGREGATION_S = 0.5


@dataclass(frozen=True)
class Look:
    at: float
    lines: Lines
    stride: int


class Tracing:
    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        room_bytes: Callable[[], int | None] = process.room_bytes,
    ) -> None:
        self._clock, self._room_bytes = clock, room_bytes
        self._lock = threading.Lock()  # one snapshot at a time
        self.started_at: float | None = None
        self.baseline: Look | None = None
        self.last: Look | None = None

    def start(self, frames: int) -> None:
        """Start tracing, unless somebody else did: then their number of frames is used."""
        with self._lock:
            if self.started_at is None:
                if not tracemalloc.is_tracing():
                    tracemalloc.start(frames)
                self.started_at, self.baseline, self.last = self._clock(), None, None

    def stop(self) -> None:
        with self._lock:
            tracemalloc.stop()
            self.started_at = self.baseline = self.last = None

    def end(self) -> None:
        """Stop, and keep what grew until now."""
        with contextlib.suppress(NotNowError):  # then until the last look
            self.look(math.inf)
        with self._lock:
            tracemalloc.stop()
            self.started_at = None

    def take_baseline(self) -> None:
        self.baseline = self.look(math.inf)

    def look(self, time_left_s: float) -> Look:
        """Read what each line holds, if there is time and memory for it; otherwise raise NotNowError."""
        with self._lock:
            if self.started_at is None:
                raise NotNowError("tracing is off")
            self._afford(tracemalloc.get_tracemalloc_memory(), time_left_s)
            snapshot = tracemalloc.take_snapshot()
            traces = snapshot.traces._traces  # type: ignore[attr-defined]  # noqa: SLF001 - as objects: five times the time
            self.last = Look(self._clock(), by_line(traces), stride_of(len(traces)))
            return self.last

    def _afford(self, overhead_bytes: int, time_left_s: float) -> None:
        room.require("a snapshot", SNAPSHOT_PER_OVERHEAD * overhead_bytes, self._room_bytes())
        needed_s = AGGREGATION_S + SNAPSHOT_S_PER_BLOCK * overhead_bytes / OVERHEAD_BYTES_PER_BLOCK
        if needed_s > time_left_s:
            raise NotNowError(f"a snapshot takes {needed_s:.1f} s, {time_left_s:.1f} s are left")

    def growth(self, most: int) -> list[Growth]:
        """Return what grew from the baseline to the last look; without a baseline, since tracing started."""
        if self.last is None:
            return []
        return growth(self.last.lines, self.baseline.lines if self.baseline else {}, most)

    def traced_bytes(self) -> int | None:
        return tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else None

    def describe(self, *, waiting: bool) -> dict[str, object]:
        """Return the report's `tracing`. `waiting`: it will start by itself."""
        now, tracing = self._clock(), tracemalloc.is_tracing()
        return {
            "state": self._state(waiting=waiting),
            "frames": tracemalloc.get_traceback_limit() if tracing else 0,
            "sinceSeconds": None if self.started_at is None else round(now - self.started_at, 1),
            "baselineSeconds": None if self.baseline is None else round(now - self.baseline.at, 1),
            "lookSeconds": None if self.last is None else round(now - self.last.at, 1),
            "everyNthBlock": 1 if self.last is None else self.last.stride,
            "tracedBytes": self.traced_bytes() or 0,
            "overheadBytes": tracemalloc.get_tracemalloc_memory() if tracing else 0,
        }

    def _state(self, *, waiting: bool) -> str:
        if self.started_at is None:
            return "warming" if waiting else "off"
        return "warming" if self.baseline is None else "tracing"
