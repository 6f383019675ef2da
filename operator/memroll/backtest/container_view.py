"""Containers of the report as its template shows them: groups by outcome, moments in order of time, and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.quantity import format_bytes, format_mib, format_rate, humanize_duration
from memroll.backtest import plot
from memroll.backtest.json_output import time_to_limit_s
from memroll.backtest.moments import moments_of
from memroll.backtest.outcome import TraceOutcome
from memroll.rendering import EMPTY_CELL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from memroll.backtest.moments import TraceMoment
    from memroll.backtest.replay import Evaluation
    from memroll.backtest.runner import BacktestResult
    from memroll.detection.trend import Trend
    from memroll.pages.plot import Plot
    from memroll.pages.times import PageClock, ShownTime
    from memroll.rendering import Row

SEVERITIES = {
    TraceOutcome.MISSED: "bad",
    TraceOutcome.ROLLED_HEALTHY: "bad",
    TraceOutcome.SAVED: "good",
    TraceOutcome.ROLLED: "warn",
    TraceOutcome.CONFIRMED: "warn",
    TraceOutcome.SUSPECTED: "quiet",
    TraceOutcome.NOT_ASSESSED: "warn",
    TraceOutcome.HEALTHY: "good",
}
"""Severity of each outcome: its icon and its colour."""
EXPLANATIONS = {
    TraceOutcome.MISSED: "No roll, or one too late: these containers reached their limit.",
    TraceOutcome.ROLLED_HEALTHY: "Recorded as healthy at that time, and rolled nevertheless.",
    TraceOutcome.SAVED: "The roll would have replaced these pods before the kernel killed them.",
    TraceOutcome.ROLLED: "Rolled because of their limit; the history ends, or the pod does, before it was reached.",
    TraceOutcome.CONFIRMED: "Reported as leaks; their limit is not near enough for a roll.",
    TraceOutcome.SUSPECTED: "A suspicion causes an Event at most. It was not confirmed within the history.",
    TraceOutcome.NOT_ASSESSED: "Not enough data: these containers are neither known as leaking nor as healthy.",
    TraceOutcome.HEALTHY: "Assessed, and never suspected.",
}
"""Sentence below the heading of each outcome."""


@dataclass(frozen=True, slots=True)
class ShownMoment:
    """Moment of a container: a row of its table."""

    kind: str
    name: str
    time: ShownTime | None
    age: str
    usage: str
    usage_ratio: str
    remaining: str
    verdict: str


@dataclass(frozen=True, slots=True)
class ShownContainer:
    """Container of a group, with its details if it is drawn."""

    anchor: str
    name: str
    label: str
    lasted: str
    limit: str
    reason: str
    moments: tuple[ShownMoment, ...]
    figures: tuple[Row, ...]
    """Table of the figures of each evaluation; empty without one."""
    plot: Plot | None
    """None for a container that is listed only."""


@dataclass(frozen=True, slots=True)
class ShownGroup:
    """Containers with one outcome."""

    anchor: str
    title: str
    severity: str
    explanation: str
    containers: tuple[ShownContainer, ...]


def groups(found: Mapping[TraceOutcome, Sequence[BacktestResult]], plots: int, clock: PageClock) -> list[ShownGroup]:
    """Return the groups; the first `plots` containers of all are drawn."""
    number, shown = 0, []
    for outcome, results in found.items():
        containers = []
        for result in results:
            number += 1
            containers.append(_container(result, number, clock, is_drawn=number <= plots))
        anchor = f"group-{outcome.name.lower().replace('_', '-')}"
        shown.append(ShownGroup(anchor, outcome.value, SEVERITIES[outcome], EXPLANATIONS[outcome], tuple(containers)))
    return shown


def _container(result: BacktestResult, number: int, clock: PageClock, *, is_drawn: bool) -> ShownContainer:
    trace, limit_bytes = result.trace, result.trace.history.limit_bytes
    found = moments_of(result)
    return ShownContainer(
        anchor=f"container-{number}",
        name=trace.name,
        label=trace.label,
        lasted=humanize_duration(trace.end_s - trace.start_s),
        limit="no limit" if limit_bytes is None else format_bytes(limit_bytes),
        reason=result.replay.reason,
        moments=tuple(_moment(m, result, clock) for m in found),
        figures=tuple(_figures(found)) if is_drawn else (),
        plot=plot.draw(result, clock) if is_drawn else None,
    )


def _moment(found: TraceMoment, result: BacktestResult, clock: PageClock) -> ShownMoment:
    evaluation, limit_bytes = found.evaluation, result.trace.history.limit_bytes
    usage = None if evaluation is None else evaluation.verdict.usage_bytes
    remaining_s = None if evaluation is None else time_to_limit_s(evaluation)
    return ShownMoment(
        kind=found.kind,
        name=found.name,
        time=clock.show(found.at_s),
        age=humanize_duration(found.at_s - result.trace.start_s),
        usage=EMPTY_CELL if usage is None else format_mib(usage),
        usage_ratio=EMPTY_CELL if usage is None or not limit_bytes else f"{usage / limit_bytes:.0%}",
        remaining=EMPTY_CELL if remaining_s is None else humanize_duration(remaining_s),
        verdict=EMPTY_CELL if evaluation is None else evaluation.description,
    )


def _figures(found: Sequence[TraceMoment]) -> Iterator[Row]:
    """Yield a header with the evaluated moments, and one row per figure, with its value at each of them."""
    evaluated = {m.name: m.evaluation for m in found if m.evaluation is not None}
    if evaluated:
        yield ("", *evaluated)
        yield from figure_rows(tuple(evaluated.values()))


def figure_rows(evaluations: Sequence[Evaluation]) -> Iterator[Row]:
    """Yield one row per figure of the trend, with its value at each evaluation."""
    columns = [dict(_cells(evaluation)) for evaluation in evaluations]
    for name in dict.fromkeys(name for column in columns for name in column):
        yield (name, *(column.get(name, EMPTY_CELL) for column in columns))


def _cells(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    if evaluation.verdict.trend is not None:
        yield from _trend(evaluation.verdict.trend)
    if evaluation.verdict.lead_time_s is not None:
        yield "lead time", humanize_duration(evaluation.verdict.lead_time_s)


def _trend(trend: Trend) -> Iterator[tuple[str, str]]:
    yield "slope of the lower envelope", format_rate(trend.slope_bytes_per_s)
    yield "99 % lower confidence bound of the slope", format_rate(trend.slope_ci_lower_bytes_per_s)
    yield "99 % upper confidence bound of the slope", format_rate(trend.slope_ci_upper_bytes_per_s)
    yield "rise in the window", format_mib(trend.rise_bytes)
    yield "noise", format_mib(trend.noise_bytes)
    yield "rise without its largest step", f"{trend.rise_ratio_without_largest_step:.0%}"
    yield "ratio of the last third's growth to the first third's", f"{trend.last_to_first_third_ratio:.2f}"
    yield "variance inflation by autocorrelation", f"{trend.variance_inflation:.1f} times"
