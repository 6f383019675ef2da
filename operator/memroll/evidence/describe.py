"""Describe an Evidence record in one sentence, for Events and the CLI: the lines that grew come first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.quantity import format_mib, humanize_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.api.evidence import Evidence, GrownLine

MAX_LINES_SHOWN = 3
"""Maximum number of grown lines in a description; chosen by hand."""
MAX_TYPES_SHOWN = 2
"""Maximum number of rising types in a description; chosen by hand."""


def describe_evidence(pod: str, evidence: Evidence) -> str:
    """Return the captured sections as one sentence, and the missing ones with their reasons."""
    captured = "; ".join(_describe_sections(evidence)) or "only its restarts"
    missing = "; ".join(f"{m.section}: {m.reason}" for m in evidence.missing)
    return f"{captured} (evidence of pod {pod})" + (f"; missing: {missing}" if missing else "")


def _describe_sections(evidence: Evidence) -> Iterator[str]:
    if evidence.grown_lines:
        yield ", ".join(describe_line(line) for line in evidence.grown_lines[:MAX_LINES_SHOWN])
    if evidence.probe and evidence.probe.types:
        yield ", ".join(f"{t.count} {t.type} and rising" for t in evidence.probe.types[:MAX_TYPES_SHOWN])
    if evidence.series and evidence.series.points:
        (_, first), (duration_s, last) = evidence.series.points[0], evidence.series.points[-1]
        growth = f"{format_mib(first)} to {format_mib(last)} in {humanize_duration(duration_s)}"
        yield f"{evidence.series.container} went from {growth}"
    log_lines = sum(len(tail.lines) for tail in evidence.logs)
    if log_lines:
        yield f"{log_lines} log lines"


def describe_line(line: GrownLine) -> str:
    """Return a line of code and its growth, as in "app/cache.py:42 +118.0 MiB"."""
    return f"{line} +{format_mib(line.bytes)}"
