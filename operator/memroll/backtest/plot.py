"""One trace as an SVG picture: its samples, its limit, and what was seen of it when it was told."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from memroll.detection.downsampling import thinned
from memroll.detection.lower_envelope import Floor, floor
from memroll.detection.trend import Trend, median
from memroll.detection.verdict import Inconclusive

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from memroll.backtest.replay import Found, Moment
    from memroll.backtest.runner import Result
    from memroll.backtest.trace import Trace
    from memroll.detection.series import Series

MIB = 2**20
POINTS_MAX = 800
INCHES = (9.0, 3.0)
HEADROOM = 1.08
HOURS_FROM_S = 3 * 3600.0
RSS, WORKING_SET, SUSPECTED, CONFIRMED, ACTED, LIMIT = "#3b6ea5", "#b8c7d9", "#b58900", "#8a2be2", "#c2410c", "#b91c1c"


@dataclass(frozen=True, slots=True)
class Line:
    """What was fitted at one moment."""

    window_s: float
    points: Floor
    trend: Trend

    @classmethod
    def at(cls, trace: Trace, moment: Moment) -> Line | None:
        trend = None if isinstance(moment.verdict, Inconclusive) else moment.verdict.trend
        if trend is None or trend.slope_bytes_per_s <= 0:
            return None
        window_s = trend.rise_bytes / trend.slope_bytes_per_s  # that is how the rise was made
        points = floor(trace.subject.rss, moment.at_s - window_s, moment.at_s)
        return cls(window_s, points, trend) if len(points) else None

    def values(self, slope_bytes_per_s: float, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the line with this slope through the middle of the fitted one."""
        fitted = self.trend.slope_bytes_per_s
        centre_s = median(self.points.times_s)
        centre = median(self.points.values_bytes - fitted * (self.points.times_s - centre_s))
        return centre + slope_bytes_per_s * (times_s - centre_s)


def moments(found: Found) -> dict[str, Moment]:
    """Return what was told and done, by its name; of the tellings only the surest."""
    known = {"suspected": found.suspected, "confirmed": found.confirmed, "acted": found.acted}
    return {name: moment for name, moment in known.items() if moment is not None}


def svg(result: Result) -> str:
    """Draw one trace. The text holds no reference to anything outside, and nothing that a trace's author wrote."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": result.trace.name, "text.usetex": False}):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.add_subplot()
        _Drawing(axes, result.trace).draw(result.found)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    whole = text.getvalue()
    return re.sub(r'<g id="[^"]*"', "<g", whole[whole.index("<svg") :])  # a page may hold each ID but once


@dataclass(frozen=True, slots=True)
class _Drawing:
    axes: Axes
    trace: Trace

    @property
    def unit(self) -> tuple[str, float]:
        """What ages are written in, and its seconds."""
        return ("hours", 3600.0) if self.trace.end_s - self.trace.start_s >= HOURS_FROM_S else ("minutes", 60.0)

    def draw(self, found: Found) -> None:
        subject = self.trace.subject
        if subject.working_set is not subject.rss:
            self._series(subject.working_set, WORKING_SET, "working set")
        self._series(subject.rss, RSS, "anonymous memory")
        if subject.limit_bytes is not None:
            self.axes.axhline(subject.limit_bytes / MIB, color=LIMIT, linewidth=1, label="limit")
        told = moments(found)
        for name, colour in (("suspected", SUSPECTED), ("confirmed", CONFIRMED), ("acted", ACTED)):
            if name in told:
                self._moment(name, told[name], colour)
        kills = {*subject.ooms_s, *(() if self.trace.oom_s is None else (self.trace.oom_s,))}
        if kills:
            top = (subject.limit_bytes or float(subject.working_set.values.max())) / MIB
            self.axes.plot(self._ages(np.array(sorted(kills))), [top] * len(kills), "x", color=LIMIT, label="OOM kill")
        self._frame()

    def _ages(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        return (times_s - self.trace.start_s) / self.unit[1]

    def _series(self, series: Series, colour: str, label: str) -> None:
        drawn = thinned(series, POINTS_MAX)
        self.axes.plot(self._ages(drawn.times_s), drawn.values / MIB, color=colour, linewidth=0.8, label=label)

    def _moment(self, name: str, moment: Moment, colour: str) -> None:
        self.axes.axvline(
            float(self._ages(np.array(moment.at_s))), color=colour, linewidth=1, linestyle=":", label=name
        )
        line = Line.at(self.trace, moment)
        if line is None or name == "suspected":
            return
        points = line.points
        self.axes.plot(self._ages(points.times_s), points.values_bytes / MIB, ".", color=colour, markersize=4)
        span_s = np.array([moment.at_s - line.window_s, moment.at_s + line.window_s])
        for slope, style in ((line.trend.slope_bytes_per_s, "-"), (line.trend.bound_bytes_per_s, "--")):
            values = line.values(slope, span_s) / MIB
            self.axes.plot(self._ages(span_s), values, style, color=colour, linewidth=1)

    def _frame(self) -> None:
        subject = self.trace.subject
        highest = max(
            float(subject.working_set.values.max()), float(subject.rss.values.max()), subject.limit_bytes or 0
        )
        self.axes.set_xlim(0, float(self._ages(np.array(self.trace.end_s))) or 1.0)
        self.axes.set_ylim(0, HEADROOM * highest / MIB or 1.0)
        self.axes.set_xlabel(f"age in {self.unit[0]}")
        self.axes.set_ylabel("MiB")
        self.axes.spines[["top", "right"]].set_visible(False)
        self.axes.figure.legend(loc="outside upper left", fontsize="x-small", frameon=False, ncols=7)
