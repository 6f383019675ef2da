"""Plot of one trace: samples, limit, OOM kills, its moments, and the line that decided. Called by html_report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.quantity import humanize_duration
from memroll.backtest.moments import moments_of
from memroll.detection.lower_envelope import LowerEnvelope, lower_envelope
from memroll.detection.series import downsample
from memroll.detection.trend import Trend, median
from memroll.pages.plot import Canvas, Curve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memroll.backtest.replay import Evaluation, ReplayResult
    from memroll.backtest.runner import BacktestResult
    from memroll.backtest.trace import Trace
    from memroll.detection.series import Series
    from memroll.pages.plot import Plot
    from memroll.pages.times import PageClock

MAX_POINTS = 600
"""Maximum number of samples drawn per series: about one for two pixels, chosen by hand."""
MAX_KILLS = 50
"""Maximum number of drawn OOM kills of processes, chosen by hand."""


@dataclass(frozen=True, slots=True)
class FittedLine:
    """Line that the detector fitted at one evaluation."""

    at_s: float
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
        return cls(evaluation.at_s, window_s, points, trend) if len(points) else None

    def values(self, slope_bytes_per_s: float, times_s: Sequence[float]) -> list[float]:
        """Return the line with this slope through the centre of the fitted line."""
        fitted = self.trend.slope_bytes_per_s
        centre_s = median(self.points.times_s)
        centre = median(self.points.values_bytes - fitted * (self.points.times_s - centre_s))
        return [centre + slope_bytes_per_s * (at_s - centre_s) for at_s in times_s]

    def curves(self, canvas: Canvas) -> Iterator[Curve]:
        """Yield the slope, extended by a window, the area down to its lower bound, and the lower envelope."""
        slope, lower = self.trend.slope_bytes_per_s, self.trend.slope_ci_lower_bytes_per_s
        ahead_s = (self.at_s, self.at_s + self.window_s)
        area = canvas.area(ahead_s, self.values(slope, ahead_s), self.values(lower, ahead_s))
        yield Curve("bound", "99 % lower bound", area)
        span_s = (self.at_s - self.window_s, self.at_s + self.window_s)
        yield Curve("slope", "fitted slope", canvas.line(span_s, self.values(slope, span_s)))
        yield Curve("envelope", "lower envelope", canvas.dots(self.points.times_s, self.points.values_bytes))


def draw(result: BacktestResult, clock: PageClock) -> Plot:
    """Return the plot of one trace. The fitted line is behind the samples, so that it hides nothing."""
    trace, limit_bytes = result.trace, result.trace.history.limit_bytes
    canvas = Canvas(trace.start_s, trace.end_s, max(_highest(trace), limit_bytes or 0), clock)
    moments = canvas.moments((m.kind, m.name, m.at_s) for m in moments_of(result))
    description = f"Memory of {trace.name} over {humanize_duration(trace.end_s - trace.start_s)}"
    return canvas.plot(
        f"{description}: {', '.join(f'{m.name} at {m.age}' for m in moments) or 'nothing reported'}",
        _curves(canvas, trace, result.replay),
        "age of the container",
        limit_bytes=limit_bytes,
        moments=moments,
        kills_s=[at_s for at_s in trace.history.oom_kills_s if at_s != trace.oom_s][:MAX_KILLS],
    )


def _highest(trace: Trace) -> float:
    return max(float(s.values.max()) for s in (trace.history.working_set, trace.history.rss) if len(s))


def _curves(canvas: Canvas, trace: Trace, replay: ReplayResult) -> Iterator[Curve]:
    history = trace.history
    if history.working_set is not history.rss:
        yield from _series(canvas, "working-set", "working set", history.working_set)
    decided = replay.rolled or replay.confirmed
    line = None if decided is None else FittedLine.at(trace, decided)
    if line is not None:
        yield from line.curves(canvas)
    yield from _series(canvas, "rss", "anonymous memory", history.rss)


def _series(canvas: Canvas, kind: str, name: str, series: Series) -> Iterator[Curve]:
    drawn = downsample(series, MAX_POINTS)
    if len(drawn):
        yield Curve(kind, name, canvas.line(drawn.times_s, drawn.values))
