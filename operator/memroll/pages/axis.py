"""Ticks of the two axes of a plot: round ages with their times of the clock, and round numbers of bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.pages.times import PageClock

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
STEPS_S = (
    *(n * MINUTE_S for n in (1, 2, 5, 10, 15, 30)),
    *(n * HOUR_S for n in (1, 2, 3, 6, 12)),
    *(n * DAY_S for n in (1, 2, 3, 7, 14, 28, 56, 182, 364)),
)
"""Distances of two ticks in seconds: parts and multiples of hours and days."""
MAX_TIME_TICKS = 7
"""Maximum number of ticks of a time axis; on a phone every second one is shown. Chosen by hand."""
MAX_BYTE_TICKS = 5
"""Maximum number of ticks of a memory axis. Chosen by hand."""
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True, slots=True)
class TimeTick:
    """Tick with an age, and the lines of its time of the clock."""

    left: float
    """Distance from the left edge, in percent of the width."""
    age: str
    lines: tuple[str, ...]
    is_optional: bool
    """True for every second tick, which a phone has no room for."""


@dataclass(frozen=True, slots=True)
class ByteTick:
    """Tick with a number of bytes."""

    top: float
    """Distance from the upper edge, in percent of the height."""
    text: str


def time_ticks(start_s: float, duration_s: float, origin_s: float, clock: PageClock) -> Iterator[TimeTick]:
    """Yield ticks at round ages since the origin, within a duration from the start."""
    step_s = next((s for s in STEPS_S if duration_s / s < MAX_TIME_TICKS), duration_s / MAX_TIME_TICKS)
    first = math.ceil((start_s - origin_s) / step_s)
    last = int((start_s - origin_s + duration_s) / step_s)
    for n in range(first, last + 1):
        at_s = origin_s + n * step_s
        left = round(100 * (at_s - start_s) / duration_s, 2)
        yield TimeTick(left, short_age(n * step_s, step_s), clock.tick(at_s), bool((n - first) % 2))


def short_age(age_s: float, step_s: float) -> str:
    """Return an age in the unit of the distance of two ticks."""
    unit, size = ("d", DAY_S) if step_s >= DAY_S else ("h", HOUR_S) if step_s >= HOUR_S else ("m", MINUTE_S)
    return f"{age_s / size:.0f}{unit}"


def byte_ticks(top_bytes: float) -> Iterator[ByteTick]:
    """Yield ticks at multiples of a power of two, from 0 up."""
    step = 2.0 ** max(0, math.ceil(math.log2(top_bytes / MAX_BYTE_TICKS)))
    for n in range(int(top_bytes / step) + 1):
        yield ByteTick(round(100 * (1 - n * step / top_bytes), 2), short_bytes(n * step))


def short_bytes(count: float) -> str:
    """Return a number of bytes without needless digits: 512 MiB, 1.5 GiB, 0."""
    power = min(int(math.log2(count) / 10), len(_UNITS) - 1) if count >= 1 else 0
    return f"{round(count / 1024**power, 1):g} {_UNITS[power]}" if count else "0"
