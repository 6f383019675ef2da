"""Draw a container's memory as a small SVG: one line, its limit, and the times of start and end."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.quantity import format_bytes, humanize_duration
from memroll.evidence.sanitize import sanitize_line

if TYPE_CHECKING:
    from memroll.api.evidence import MemorySeries

WIDTH, HEIGHT = 640, 140
LEFT, TOP, BOTTOM = 70, 14, 22
HEADROOM_RATIO = 1.08
"""Ratio of the top of the vertical axis to the highest value."""


def render_svg(series: MemorySeries) -> str:
    """Return a series as SVG with the page's colours; an empty string for fewer than two points."""
    points = series.points
    if len(points) < 2:  # noqa: PLR2004 - a line has two ends
        return ""
    duration_s = max(points[-1][0], 1)
    duration = humanize_duration(duration_s)
    highest = max(series.limit_bytes or 0, *(used for _, used in points))
    top = max(HEADROOM_RATIO * highest, 1)

    def y(used: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * used / top, 1)

    polyline = " ".join(f"{LEFT + (WIDTH - LEFT) * age_s / duration_s:.1f},{y(used)}" for age_s, used in points)
    first, last = points[0][1], points[-1][1]
    growth = f"{format_bytes(first)} to {format_bytes(last)} in {duration}"
    label = escape(f"Memory of container {sanitize_line(series.container)}: {growth}")
    last_value = _text(0, y(last), format_bytes(last)) if abs(y(first) - y(last)) > TOP else ""
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{label}">'
        f"{_limit(series.limit_bytes, y(series.limit_bytes or 0))}"
        f'<path d="M{LEFT},{TOP}V{HEIGHT - BOTTOM}H{WIDTH}" fill="none" stroke="var(--rule)"/>'
        f'<polyline points="{polyline}" fill="none" stroke="var(--line)" stroke-width="1.5"/>'
        f"{_text(0, y(first), format_bytes(first))}{last_value}"
        f"{_text(LEFT, HEIGHT - 6, rfc3339(series.begin))}"
        f"{_text(WIDTH, HEIGHT - 6, f'{duration} later', 'end')}</svg>"
    )


def _limit(limit_bytes: int | None, y: float) -> str:
    if limit_bytes is None:
        return ""
    line = f'<path d="M{LEFT},{y}H{WIDTH}" stroke="var(--limit)" stroke-dasharray="4 3"/>'
    return line + _text(WIDTH, y - 3, f"limit {format_bytes(limit_bytes)}", "end")


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" font-size="10" fill="var(--quiet)" text-anchor="{anchor}">{escape(text)}</text>'
