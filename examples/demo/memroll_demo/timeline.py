"""The live timeline: one line per service now and then, and one for everything that happens."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memroll_demo.facts import Service

WIDTH = 110
BAR = 10
COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}
WORTH_RED = 0.9
WORTH_YELLOW = 0.7


def use_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(text: str, colour: str, *, coloured: bool) -> str:
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if coloured else text


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def bar(share: float, *, coloured: bool) -> str:
    """Draw how full a pod is: ▓▓▓▓▓▓▓░░░ 68%."""
    filled = min(BAR, max(0, round(share * BAR)))
    drawn = "▓" * filled + "░" * (BAR - filled)
    colour = "red" if share >= WORTH_RED else "yellow" if share >= WORTH_YELLOW else "green"
    return f"{paint(drawn, colour, coloured=coloured)} {share:4.0%}"


def frame(elapsed_s: float, services: dict[str, Service], *, coloured: bool = False) -> str:
    """Draw all services as they are now; a service with several pods shows its fullest."""
    lines = [paint(f"── {clock(elapsed_s)} {'─' * 94}", "dim", coloured=coloured)]
    wide = max(12, *map(len, services))
    for name, service in services.items():
        fullest = max(service.shares, default=0.0)
        pods = f"x{len(service.shares)}" if len(service.shares) > 1 else "  "
        lost = f"{service.failures} failed"
        lines.append(
            f"{name:<{wide}}{pods} {bar(fullest, coloured=coloured)}  {service.verdict or 'no policy':<22}"
            f"{service.rolls} rolls  {_alarm(f'{service.oom_kills} OOM', service.oom_kills, coloured)}"
            f"{service.requests:>8} requests  {_alarm(lost, service.failures, coloured)}".rstrip()
        )
    return "\n".join(lines)


def _alarm(text: str, count: int, coloured: bool) -> str:  # noqa: FBT001 - a drawing detail
    return paint(text, "red", coloured=coloured) if count else text


def happened(elapsed_s: float, news: str, *, coloured: bool = False) -> str:
    """Draw one line of news, cut to the width that the demo promises."""
    room = WIDTH - len("00:00 ▶ ")
    fitting = news if len(news) <= room else f"{news[: room - 1]}…"
    return f"{clock(elapsed_s):>5} {paint('▶', 'bold', coloured=coloured)} {fitting}"
