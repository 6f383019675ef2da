"""Memory over time as a plot of the page: curves in an SVG without text, and all texts as HTML around it.

Called by the reports with curves and moments; the template `plot.html` draws the result. The SVG is stretched to the
width of the page, so texts in it would be unreadable on a phone. Colours are those of the page, light or dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.quantity import humanize_duration
from memroll.pages import axis

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memroll.pages.times import PageClock

SIZE = 1000
"""Width and height of the SVG's own coordinates."""
HEADROOM_RATIO = 1.08
"""Ratio of the top of the vertical axis to the highest value. Chosen by hand."""
MARGIN_RATIO = 0.03
"""Ratio of the empty margin at the right to the duration, so that no mark is cut. Chosen by hand."""
MIDDLE = 50
"""Distance from the left edge, in percent of the width, from which a name is at the left of its line."""
LIMIT_HEIGHT = 12
"""Height of the limit's name, in percent of the height of a plot. Chosen by hand."""
NAME_WIDTH = 38
"""Maximum width of a name with its age, in percent of a phone's width. Chosen by hand."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Shape of the SVG. `kind` is its CSS class, `name` its entry in the legend; without a name it has none."""

    kind: str
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class PlotMoment:
    """Vertical line with its name in a row of its own above the plot."""

    kind: str
    name: str
    age: str
    left: float
    """Distance from the left edge, in percent of the width."""
    row: int
    is_right_half: bool
    """True if the name is at the left of the line."""


@dataclass(frozen=True, slots=True)
class PlotLimit:
    """Horizontal line, whose name is on the axis."""

    text: str
    top: float
    """Distance from the upper edge, in percent of the height."""


@dataclass(frozen=True, slots=True)
class Plot:
    """Plot as its template draws it."""

    description: str
    """Alternative text."""
    curves: tuple[Curve, ...]
    axis_name: str
    """Meaning of the ticks of the time axis."""
    x_ticks: tuple[axis.TimeTick, ...]
    y_ticks: tuple[axis.ByteTick, ...]
    moments: tuple[PlotMoment, ...] = ()
    kills: tuple[float, ...] = ()
    """Distances of OOM kills from the left edge, in percent of the width."""
    limit: PlotLimit | None = None

    @property
    def has_clock(self) -> bool:
        """True if the ticks have times of the clock below their ages."""
        return any(tick.lines for tick in self.x_ticks)

    @property
    def rows(self) -> int:
        """Number of rows of names above the plot."""
        return 1 + max((m.row for m in self.moments), default=-1)

    @property
    def shown_y_ticks(self) -> tuple[axis.ByteTick, ...]:
        """Ticks of the memory axis, without those that the name of the limit would cover."""
        limit = self.limit
        return tuple(t for t in self.y_ticks if limit is None or abs(t.top - limit.top) >= LIMIT_HEIGHT)

    @property
    def legend(self) -> tuple[Curve, ...]:
        return tuple(curve for curve in self.curves if curve.name)


@dataclass(frozen=True, slots=True)
class Canvas:
    """Time from `start_s` to `end_s` and memory from 0 to `highest_bytes`, as coordinates."""

    start_s: float
    end_s: float
    highest_bytes: float
    clock: PageClock
    origin_s: float | None = None
    """Time that ages are counted from; None: from the start."""

    @property
    def duration_s(self) -> float:
        return max(self.end_s - self.start_s, 1.0) * (1 + MARGIN_RATIO)

    @property
    def top_bytes(self) -> float:
        return max(self.highest_bytes, 1.0) * HEADROOM_RATIO

    @property
    def _origin_s(self) -> float:
        return self.start_s if self.origin_s is None else self.origin_s

    def age(self, at_s: float) -> str:
        """Return the age of a time since the origin."""
        return humanize_duration(at_s - self._origin_s)

    def left(self, at_s: float) -> float:
        """Return the distance of a time from the left edge, in percent of the width."""
        return round(100 * (at_s - self.start_s) / self.duration_s, 2)

    def top(self, count: float) -> float:
        """Return the distance of a number of bytes from the upper edge, in percent of the height."""
        return round(100 * (1 - count / self.top_bytes), 2)

    def line(self, times_s: Iterable[float], values: Iterable[float]) -> str:
        """Return the path of a line through these points."""
        return "M" + "L".join(self._points(times_s, values))

    def area(self, times_s: Sequence[float], upper: Sequence[float], lower: Sequence[float]) -> str:
        """Return the path of the area between two lines."""
        return f"{self.line([*times_s, *reversed(times_s)], [*upper, *reversed(lower)])}Z"

    def dots(self, times_s: Iterable[float], values: Iterable[float]) -> str:
        """Return the path of one dot for each point."""
        return "".join(f"M{point}h0" for point in self._points(times_s, values))

    def _points(self, times_s: Iterable[float], values: Iterable[float]) -> list[str]:
        start_s, duration_s, top_bytes = self.start_s, self.duration_s, self.top_bytes
        return [
            f"{SIZE * (at_s - start_s) / duration_s:.1f},{SIZE * (1 - value / top_bytes):.1f}"
            for at_s, value in zip(times_s, values, strict=True)
        ]

    def limit(self, count: float | None) -> PlotLimit | None:
        return None if count is None else PlotLimit(axis.short_bytes(count), self.top(count))

    def moments(self, named: Iterable[tuple[str, str, float]]) -> tuple[PlotMoment, ...]:
        """Return kinds, names and times as lines, ordered by time, each with a row for its name.

        A name is at the side of its line where there is room, in the first row where it overlaps no other name. At the
        left half earlier names are further up, at the right half later ones, so that few lines cross a name.
        """
        ordered = sorted(named, key=lambda found: found[2])
        lefts = [self.left(at_s) for _, _, at_s in ordered]
        rows = _rows(lefts)
        return tuple(
            PlotMoment(kind, name, self.age(at_s), lefts[n], rows[n], lefts[n] >= MIDDLE)
            for n, (kind, name, at_s) in enumerate(ordered)
        )

    def plot(
        self,
        description: str,
        curves: Iterable[Curve],
        axis_name: str,
        *,
        limit_bytes: float | None = None,
        moments: tuple[PlotMoment, ...] = (),
        kills_s: Iterable[float] = (),
    ) -> Plot:
        return Plot(
            description,
            tuple(curves),
            f"{axis_name}, time in {zone}" if (zone := self.clock.zone_at(self.start_s)) else axis_name,
            tuple(axis.time_ticks(self.start_s, self.duration_s, self._origin_s, self.clock)),
            tuple(axis.byte_ticks(self.top_bytes)),
            moments,
            tuple(self.left(at_s) for at_s in kills_s),
            self.limit(limit_bytes),
        )


def _rows(lefts: Sequence[float]) -> dict[int, int]:
    """Return the row of each name by its index."""
    rows: dict[int, int] = {}
    taken: list[tuple[int, float, float]] = []
    for half in ([n for n, left in enumerate(lefts) if left < MIDDLE], _second_half(lefts)):
        row = 0
        for n in half:
            start = lefts[n] if lefts[n] < MIDDLE else lefts[n] - NAME_WIDTH
            while any(r == row and start < end and begin < start + NAME_WIDTH for r, begin, end in taken):
                row += 1
            rows[n] = row
            taken.append((row, start, start + NAME_WIDTH))
    return rows


def _second_half(lefts: Sequence[float]) -> list[int]:
    return [n for n in range(len(lefts) - 1, -1, -1) if lefts[n] >= MIDDLE]
