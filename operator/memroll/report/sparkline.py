"""A container's memory as a small picture: one line, its limit, and when it began and ended."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.quantity import about
from memroll.evidence.sanitize import cleaned
from memroll.report.describe import size

if TYPE_CHECKING:
    from memroll.api.evidence import MemorySeries

WIDTH, HEIGHT = 640, 140
LEFT, TOP, BOTTOM = 70, 14, 22
HEADROOM = 1.08


def svg(series: MemorySeries) -> str:
    """Draw a series of two points or more; nothing of fewer. It takes its colours from the page."""
    points = series.points
    if len(points) < 2:  # noqa: PLR2004 - a line has two ends
        return ""
    lasted_s = max(points[-1][0], 1)
    highest = max(series.limit_bytes or 0, *(held for _, held in points))
    top = max(HEADROOM * highest, 1)

    def y(held: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * held / top, 1)

    drawn = " ".join(f"{LEFT + (WIDTH - LEFT) * age_s / lasted_s:.1f},{y(held)}" for age_s, held in points)
    first, last = points[0][1], points[-1][1]
    said = f"Memory of container {cleaned(series.container)}: {size(first)} to {size(last)} in {about(lasted_s)}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(said)}">'
        f"{_limit(series.limit_bytes, y(series.limit_bytes or 0))}"
        f'<path d="M{LEFT},{TOP}V{HEIGHT - BOTTOM}H{WIDTH}" fill="none" stroke="var(--rule)"/>'
        f'<polyline points="{drawn}" fill="none" stroke="var(--line)" stroke-width="1.5"/>'
        f"{_text(0, y(first), size(first))}{_text(0, y(last), size(last)) if abs(y(first) - y(last)) > TOP else ''}"
        f"{_text(LEFT, HEIGHT - 6, rfc3339(series.begin))}"
        f"{_text(WIDTH, HEIGHT - 6, f'{about(lasted_s)} later', 'end')}</svg>"
    )


def _limit(limit_bytes: int | None, y: float) -> str:
    if limit_bytes is None:
        return ""
    line = f'<path d="M{LEFT},{y}H{WIDTH}" stroke="var(--limit)" stroke-dasharray="4 3"/>'
    return line + _text(WIDTH, y - 3, f"limit {size(limit_bytes)}", "end")


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" font-size="10" fill="var(--quiet)" text-anchor="{anchor}">{escape(words)}</text>'
