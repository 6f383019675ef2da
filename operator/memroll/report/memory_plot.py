"""Plot of a container's memory up to its roll, from the evidence of the roll. Called by html."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.quantity import format_bytes, humanize_duration
from memroll.pages.plot import Canvas, Curve

if TYPE_CHECKING:
    from memroll.api.evidence import Evidence, MemorySeries
    from memroll.pages.plot import Plot
    from memroll.pages.times import PageClock


def draw(evidence: Evidence, clock: PageClock) -> Plot | None:
    """Return the plot of the series; None for fewer than two points. The roll begins when its evidence is captured."""
    series = evidence.series
    if series is None or len(series.points) < 2:  # noqa: PLR2004 - a line has two ends
        return None
    begin_s, captured_s = series.begin.timestamp(), evidence.captured_at.timestamp()
    times_s, values = zip(*((begin_s + age_s, float(used)) for age_s, used in series.points), strict=True)
    end_s = max(times_s[-1], captured_s)
    started_s = _started_s(evidence, series)
    canvas = Canvas(begin_s, end_s, max(series.limit_bytes or 0, *values), clock, started_s)
    grown = f"{format_bytes(values[0])} to {format_bytes(values[-1])} in {humanize_duration(end_s - begin_s)}"
    return canvas.plot(
        f"Memory of container {series.container}: {grown}",
        [Curve("rss", "working set", canvas.line(times_s, values))],
        "since the first sample" if started_s is None else "age of the container",
        limit_bytes=series.limit_bytes,
        moments=canvas.moments([("rolled", "rolled", captured_s)] if captured_s > begin_s else ()),
    )


def _started_s(evidence: Evidence, series: MemorySeries) -> float | None:
    """Return the start of the container; None if it is unknown, or after its own samples."""
    started = next((c.started for c in evidence.containers if c.container == series.container), None)
    return None if started is None or started > series.begin else started.timestamp()
