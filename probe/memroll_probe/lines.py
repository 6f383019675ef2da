"""Traces of memory blocks -> bytes by line of code. Pure; called by tracing."""

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
    Trace = tuple[int, int, Frames, int]  # domain, bytes, frames, how many frames there were

MOST_BLOCKS = 100_000
LARGE_BYTES = 65_536

HERE = Path(__file__).parent
# These stand below the service's own calls. All other files of the probe are its own work.
BELOW_THE_SERVICE = frozenset(str(HERE / name) for name in ("asgi.py", "wsgi.py", "outside.py"))


@dataclass
class Held:
    """What one line holds; `frames` are of the call path that holds most of it."""

    bytes: int
    blocks: int
    frames: Frames
    most_bytes: int


Lines = dict["Frame", Held]


@dataclass(frozen=True)
class Growth:
    file: str
    line: int
    bytes: int
    blocks: int
    total_bytes: int
    frames: Frames


def stride_of(count: int) -> int:
    return -(-count // MOST_BLOCKS) or 1


def by_line(traces: Sequence[Trace]) -> Lines:
    """Sum blocks by the line that allocated them.

    Over MOST_BLOCKS, every n-th block stands for n: reading one costs a microsecond, and a service may hold
    millions. Large blocks are few and all read.
    """
    stride = stride_of(len(traces))
    paths: dict[int, list[int]] = {}
    known: dict[int, Frames] = {}
    large = (t for t in traces if t[1] >= LARGE_BYTES)
    small = (t for t in islice(traces, 0, None, stride) if t[1] < LARGE_BYTES)
    for weight, some in ((1, large), (stride, small)):
        _add(some, weight, paths, known)
    return _folded(paths, known)


def _add(traces: Iterable[Trace], weight: int, paths: dict[int, list[int]], known: dict[int, Frames]) -> None:
    """Sum by call path. A snapshot shares one tuple between equal paths: its identity is cheaper than its hash."""
    for trace in traces:
        frames = trace[2]
        held = paths.get(id(frames))
        if held is None:
            paths[id(frames)], known[id(frames)] = [trace[1] * weight, weight], frames
        else:
            held[0] += trace[1] * weight
            held[1] += weight


def _folded(paths: dict[int, list[int]], known: dict[int, Frames]) -> Lines:
    lines: Lines = {}
    for key, (size, blocks) in paths.items():
        frames = known[key]
        if is_our_work(frames):
            continue
        held = lines.setdefault(frames[0], Held(0, 0, frames, 0))
        held.bytes += size
        held.blocks += blocks
        if size > held.most_bytes:
            held.frames, held.most_bytes = frames, size
    return lines


def is_our_work(frames: Frames) -> bool:
    first = frames[0][0]
    if _is_ours(first) or first == tracemalloc.__file__:
        return True
    return any(_is_ours(file) and file not in BELOW_THE_SERVICE for file, _ in frames[1:])


def _is_ours(file: str) -> bool:
    return file.startswith(str(HERE))


def growth(now: Lines, before: Lines, most: int) -> list[Growth]:
    """Return the lines that hold more than before, largest growth first."""
    found = [
        Growth(*line, held.bytes - then.bytes, held.blocks - then.blocks, held.bytes, held.frames)
        for line, held in now.items()
        for then in (before.get(line) or Held(0, 0, (), 0),)
        if held.bytes > then.bytes
    ]
    return sorted(found, key=lambda g: (-g.bytes, g.file, g.line))[:most]
