"""Sums traces of memory blocks by line of code, and compares two such sums. Pure; called by tracing."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Frame = tuple[str, int]
    Frames = tuple[Frame, ...]  # the most recent call first
    Trace = tuple[int, int, Frames, int]  # domain, bytes, frames, total number of frames

MAX_BLOCKS_READ = 100_000
"""Maximum number of small blocks read of a snapshot. Reading one takes a microsecond."""
MIN_LARGE_BLOCK_BYTES = 65_536
"""Minimum size of a large block in bytes. Large blocks are few, and all are read. Chosen by hand."""

PACKAGE_FOLDER = Path(__file__).parent
CALLERS_OF_THE_SERVICE = frozenset(str(PACKAGE_FOLDER / name) for name in ("asgi.py", "wsgi.py", "auto_instrument.py"))
"""Files of the probe that call the service's code. All other files of the probe do the probe's own work."""


@dataclass
class LineMemory:
    """Memory that one line holds. `frames` are the call path that holds most of it."""

    bytes: int
    blocks: int
    frames: Frames
    largest_path_bytes: int


Lines = dict["Frame", LineMemory]


@dataclass(frozen=True)
class LineGrowth:
    file: str
    line: int
    bytes: int
    blocks: int
    total_bytes: int
    frames: Frames


def sampling_stride(count: int) -> int:
    return -(-count // MAX_BLOCKS_READ) or 1


def sum_by_line(traces: Sequence[Trace]) -> Lines:
    """Sum blocks by the line that allocated them.

    Over MAX_BLOCKS_READ, every n-th small block counts n times, because a service may hold millions.
    """
    stride = sampling_stride(len(traces))
    paths: dict[int, list[int]] = {}
    frames_by_id: dict[int, Frames] = {}
    large = (t for t in traces if t[1] >= MIN_LARGE_BLOCK_BYTES)
    small = (t for t in islice(traces, 0, None, stride) if t[1] < MIN_LARGE_BLOCK_BYTES)
    for weight, some in ((1, large), (stride, small)):
        _add(some, weight, paths, frames_by_id)
    return _merge_paths(paths, frames_by_id)


def _add(traces: Iterable[Trace], weight: int, paths: dict[int, list[int]], frames_by_id: dict[int, Frames]) -> None:
    """Sum by call path. A snapshot shares one tuple between equal paths, and its identity is cheaper than its hash."""
    for trace in traces:
        frames = trace[2]
        sums = paths.get(id(frames))
        if sums is None:
            paths[id(frames)], frames_by_id[id(frames)] = [trace[1] * weight, weight], frames
        else:
            sums[0] += trace[1] * weight
            sums[1] += weight


def _merge_paths(paths: dict[int, list[int]], frames_by_id: dict[int, Frames]) -> Lines:
    lines: Lines = {}
    for key, (size, blocks) in paths.items():
        frames = frames_by_id[key]
        if is_probe_allocation(frames):
            continue
        memory = lines.setdefault(frames[0], LineMemory(0, 0, frames, 0))
        memory.bytes += size
        memory.blocks += blocks
        if size > memory.largest_path_bytes:
            memory.frames, memory.largest_path_bytes = frames, size
    return lines


def is_probe_allocation(frames: Frames) -> bool:
    """Return whether the probe's own work allocated a block, not the service that it wraps."""
    first = frames[0][0]
    if _is_probe_file(first) or first == tracemalloc.__file__:
        return True
    return any(_is_probe_file(file) and file not in CALLERS_OF_THE_SERVICE for file, _ in frames[1:])


def _is_probe_file(file: str) -> bool:
    return file.startswith(str(PACKAGE_FOLDER))


def find_growth(now: Lines, before: Lines, limit: int) -> list[LineGrowth]:
    """Return at most `limit` lines that hold more than before, largest growth first."""
    grown = [
        LineGrowth(*line, memory.bytes - then.bytes, memory.blocks - then.blocks, memory.bytes, memory.frames)
        for line, memory in now.items()
        for then in (before.get(line) or LineMemory(0, 0, (), 0),)
        if memory.bytes > then.bytes
    ]
    return sorted(grown, key=lambda g: (-g.bytes, g.file, g.line))[:limit]
