"""Format the live timeline: frames with one line per service, and one line per event."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memroll_demo.observations import ServiceObservations

WIDTH = 110
"""Maximum length of an event's line, in characters."""
BAR_WIDTH = 10
COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}
RED_MIN_RATIO = 0.9
"""Minimum ratio of memory to limit that is shown in red."""
YELLOW_MIN_RATIO = 0.7
"""Minimum ratio of memory to limit that is shown in yellow."""


def use_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(text: str, colour: str, *, coloured: bool) -> str:
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if coloured else text


def format_clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def format_bar(ratio: float, *, coloured: bool) -> str:
    """Format a ratio of memory to limit as a bar: ▓▓▓▓▓▓▓░░░ 68%."""
    filled = min(BAR_WIDTH, max(0, round(ratio * BAR_WIDTH)))
    bar = "▓" * filled + "░" * (BAR_WIDTH - filled)
    colour = "red" if ratio >= RED_MIN_RATIO else "yellow" if ratio >= YELLOW_MIN_RATIO else "green"
    return f"{paint(bar, colour, coloured=coloured)} {ratio:4.0%}"


def format_frame(elapsed_s: float, services: dict[str, ServiceObservations], *, coloured: bool = False) -> str:
    """Format the current state of all services; a service with several pods shows the one with the highest ratio."""
    lines = [paint(f"── {format_clock(elapsed_s)} {'─' * 94}", "dim", coloured=coloured)]
    width = max(12, *map(len, services))
    for name, service in services.items():
        highest = max(service.usage_ratios, default=0.0)
        pods = f"x{len(service.usage_ratios)}" if len(service.usage_ratios) > 1 else "  "
        kills = _highlight(f"{service.oom_kills} OOM", service.oom_kills, coloured)
        failures = _highlight(f"{service.failures} failed", service.failures, coloured)
        lines.append(
            f"{name:<{width}}{pods} {format_bar(highest, coloured=coloured)}  {service.verdict or 'no policy':<22}"
            f"{service.rolls} rolls  {kills}{service.requests:>8} requests  {failures}".rstrip()
        )
    return "\n".join(lines)


def _highlight(text: str, count: int, coloured: bool) -> str:  # noqa: FBT001 - a formatting detail
    return paint(text, "red", coloured=coloured) if count else text


def format_event(elapsed_s: float, line: str, *, coloured: bool = False) -> str:
    """Format the line of an event, truncated to the width of the timeline."""
    width = WIDTH - len("00:00 ▶ ")
    text = line if len(line) <= width else f"{line[: width - 1]}…"
    return f"{format_clock(elapsed_s):>5} {paint('▶', 'bold', coloured=coloured)} {text}"
