"""Plot one trace as SVG: samples, limit, OOM kills, and the fitted line at each stage. Called by html_report."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from memroll.detection.lower_envelope import LowerEnvelope, lower_envelope
from memroll.detection.series import downsample
from memroll.detection.trend import Trend, median

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from memroll.backtest.replay import Evaluation, ReplayResult
    from memroll.backtest.runner import BacktestResult
    from memroll.backtest.trace import Trace
    from memroll.detection.series import Series

MIB = 2**20
"""Number of bytes in a mebibyte."""
MAX_POINTS = 800
"""Maximum number of samples drawn per series: about one per pixel."""
SIZE_INCHES = (9.0, 3.0)
"""Width and height of a plot, in inches; chosen by hand."""
HEADROOM_RATIO = 1.08
"""Ratio of the top of the vertical axis to the highest value."""
MIN_AGE_IN_HOURS_S = 3 * 3600.0
"""Minimum duration in seconds of a trace whose ages are shown in hours instead of minutes."""
RSS, WORKING_SET, SUSPECTED, CONFIRMED, ROLLED, LIMIT = "#3b6ea5", "#b8c7d9", "#b58900", "#8a2be2", "#c2410c", "#b91c1c"


@dataclass(frozen=True, slots=True)
class FittedLine:
    """Line that the detector fitted at one evaluation."""

    window_s: float
    points: LowerEnvelope
    trend: Trend

    @classmethod
    def at(cls, trace: Trace, evaluation: Evaluation) -> FittedLine | None:
        trend = evaluation.verdict.trend
        if trend is None or trend.slope_bytes_per_s <= 0:
            return None
        window_s = trend.rise_bytes / trend.slope_bytes_per_s  # the rise is slope times window
        points = lower_envelope(trace.history.rss, evaluation.at_s - window_s, evaluation.at_s)
        return cls(window_s, points, trend) if len(points) else None

    def values(self, slope_bytes_per_s: float, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the line with this slope through the centre of the fitted line."""
        fitted = self.trend.slope_bytes_per_s
        centre_s = median(self.points.times_s)
        centre = median(self.points.values_bytes - fitted * (self.points.times_s - centre_s))
        return centre + slope_bytes_per_s * (times_s - centre_s)


def evaluations_by_stage(replay: ReplayResult) -> dict[str, Evaluation]:
    """Return the evaluations at which the trace was suspected, confirmed and rolled, as far as these occurred."""
    stages = {"suspected": replay.suspected, "confirmed": replay.confirmed, "rolled": replay.rolled}
    return {stage: evaluation for stage, evaluation in stages.items() if evaluation is not None}


def render_svg(result: BacktestResult) -> str:
    """Return one trace as SVG. It contains no external reference and no text from the trace."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": result.trace.name, "text.usetex": False}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        _Drawing(axes, result.trace).draw(result.replay)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    document = text.getvalue()
    return re.sub(r'<g id="[^"]*"', "<g", document[document.index("<svg") :])  # IDs must be unique in a page


@dataclass(frozen=True, slots=True)
class _Drawing:
    axes: Axes
    trace: Trace

    @property
    def unit(self) -> tuple[str, float]:
        """Unit of the horizontal axis, and its seconds."""
        duration_s = self.trace.end_s - self.trace.start_s
        return ("hours", 3600.0) if duration_s >= MIN_AGE_IN_HOURS_S else ("minutes", 60.0)

    @property
    def _highest(self) -> float:
        """Highest value of the memory series."""
        series = (self.trace.history.working_set, self.trace.history.rss)
        return max(float(s.values.max()) for s in series if len(s))

    def draw(self, replay: ReplayResult) -> None:
        history = self.trace.history
        if history.working_set is not history.rss:
            self._series(history.working_set, WORKING_SET, "working set")
        self._series(history.rss, RSS, "anonymous memory")
        if history.limit_bytes is not None:
            self.axes.axhline(history.limit_bytes / MIB, color=LIMIT, linewidth=1, label="limit")
        evaluations = evaluations_by_stage(replay)
        for stage, colour in (("suspected", SUSPECTED), ("confirmed", CONFIRMED), ("rolled", ROLLED)):
            if stage in evaluations:
                self._evaluation(stage, evaluations[stage], colour)
        kills = {*history.oom_kills_s, *(() if self.trace.oom_s is None else (self.trace.oom_s,))}
        if kills:
            top = (history.limit_bytes or self._highest) / MIB
            self.axes.plot(self._ages(np.array(sorted(kills))), [top] * len(kills), "x", color=LIMIT, label="OOM kill")
        self._frame()

    def _ages(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        return (times_s - self.trace.start_s) / self.unit[1]

    def _series(self, series: Series, colour: str, label: str) -> None:
        if not len(series):
            return
        drawn = downsample(series, MAX_POINTS)
        self.axes.plot(self._ages(drawn.times_s), drawn.values / MIB, color=colour, linewidth=0.8, label=label)

    def _evaluation(self, stage: str, evaluation: Evaluation, colour: str) -> None:
        self.axes.axvline(
            float(self._ages(np.array(evaluation.at_s))), color=colour, linewidth=1, linestyle=":", label=stage
        )
        line = FittedLine.at(self.trace, evaluation)
        if line is None or stage == "suspected":
            return
        points = line.points
        self.axes.plot(self._ages(points.times_s), points.values_bytes / MIB, ".", color=colour, markersize=4)
        span_s = np.array([evaluation.at_s - line.window_s, evaluation.at_s + line.window_s])
        for slope, style in ((line.trend.slope_bytes_per_s, "-"), (line.trend.slope_ci_lower_bytes_per_s, "--")):
            values = line.values(slope, span_s) / MIB
            self.axes.plot(self._ages(span_s), values, style, color=colour, linewidth=1)

    def _frame(self) -> None:
        highest = max(self._highest, self.trace.history.limit_bytes or 0)
        self.axes.set_xlim(0, float(self._ages(np.array(self.trace.end_s))) or 1.0)
        self.axes.set_ylim(0, HEADROOM_RATIO * highest / MIB or 1.0)
        self.axes.set_xlabel(f"age in {self.unit[0]}")
        self.axes.set_ylabel("MiB")
        self.axes.spines[["top", "right"]].set_visible(False)
        self.axes.figure.legend(loc="outside upper left", fontsize="x-small", frameon=False, ncols=7)
