"""Evidence in one sentence: the lines that grew first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.quantity import about, mib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.api.evidence import Evidence, GrownLine

LINES_TOLD = 3
TYPES_TOLD = 2


def in_words(pod: str, found: Evidence) -> str:
    """Say what was found of a pod, and what could not be had."""
    known = "; ".join(_parts(found)) or "nothing but its restarts"
    missing = "; ".join(f"{m.part}: {m.reason}" for m in found.missing)
    return f"{known} (evidence of pod {pod})" + (f"; not had: {missing}" if missing else "")


def _parts(found: Evidence) -> Iterator[str]:
    if found.grown:
        yield ", ".join(grown(line) for line in found.grown[:LINES_TOLD])
    if found.probe and found.probe.types:
        yield ", ".join(f"{t.count} {t.type} and rising" for t in found.probe.types[:TYPES_TOLD])
    if found.series and found.series.points:
        (_, first), (lasted_s, last) = found.series.points[0], found.series.points[-1]
        yield f"{found.series.container} went from {mib(first)} to {mib(last)} in {about(lasted_s)}"
    kept = sum(len(tail.lines) for tail in found.logs)
    if kept:
        yield f"{kept} log lines"


def grown(line: GrownLine) -> str:
    """Write a line of code and its growth, as in "app/cache.py:42 +118.0 MiB"."""
    return f"{line} +{mib(line.bytes)}"
