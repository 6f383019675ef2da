"""Write backtest results as rows of text, for the terminal and for the tables of the HTML report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.quantity import humanize_duration
from memroll.backtest import summary
from memroll.backtest.baselines.rules import rules_named
from memroll.backtest.json_output import time_to_limit_s
from memroll.rendering import EMPTY_CELL, format_text_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from memroll.backtest.replay import Evaluation
    from memroll.backtest.runner import BacktestResult
    from memroll.backtest.summary import Alert, Summary
    from memroll.rendering import Row

TRACE_HEADER: Row = ("TRACE", "LABEL", "SUSPECTED", "CONFIRMED", "ROLLED", "OOM", "TIME TO LIMIT", "REASON")
COMPARISON_HEADER: Row = (
    "RULE", "LABEL", "TRACES", "NOT ASSESSED", "POD-DAYS", "ROLLED", "PER 1000 POD-DAYS", "OOM", "SAVED",
    "1H AHEAD", "LEAD TIME", "LIFE WASTED",
)  # fmt: skip
POLICY_ROW = "memroll"
"""Name of the replayed policy in the column RULE."""


def to_text(results: Sequence[BacktestResult], *, rules: Collection[str]) -> str:
    """Return a table of the traces that were suspected or not assessed, and the comparison with the rules."""
    shown = [r for r in sort_by_urgency(results) if r.replay.suspected or not r.replay.assessed]
    not_assessed = sum(not r.replay.assessed for r in results)
    table = f"{format_text_table([TRACE_HEADER, *map(trace_row, shown)])}\n\n" if shown else ""
    more = f" Not assessed: {not_assessed}." if not_assessed else ""
    return (
        f"{table}Never suspected: {len(results) - len(shown)}.{more} Times are container ages.\n\n"
        f"{format_text_table([COMPARISON_HEADER, *comparison_rows(results, rules=rules)])}"
    )


def sort_by_urgency(results: Sequence[BacktestResult]) -> list[BacktestResult]:
    """Sort by outcome: rolled first, then confirmed, suspected, not assessed; by name within each group."""

    def key(result: BacktestResult) -> tuple[bool, bool, bool, bool, str]:
        replay = result.replay
        return not replay.rolled, not replay.confirmed, not replay.suspected, replay.assessed, result.trace.name

    return sorted(results, key=key)


def trace_row(result: BacktestResult) -> Row:
    trace, replay = result.trace, result.replay

    def age(at_s: float | None) -> str:
        return EMPTY_CELL if at_s is None else humanize_duration(at_s - trace.start_s)

    evaluations: tuple[Evaluation | None, ...] = (replay.suspected, replay.confirmed, replay.rolled)
    remaining_s = None if replay.rolled is None else time_to_limit_s(replay.rolled)
    return (
        trace.name,
        trace.label or EMPTY_CELL,
        *(age(None if e is None else e.at_s) for e in evaluations),
        age(trace.oom_s),
        EMPTY_CELL if remaining_s is None else humanize_duration(remaining_s),
        replay.reason,
    )


def comparison_rows(results: Sequence[BacktestResult], *, rules: Collection[str]) -> Iterator[Row]:
    """Yield one row per label for the policy, then for each baseline rule."""
    yield from _rows_of(POLICY_ROW, summary.policy_alerts(results))
    for rule in rules_named(rules):
        yield from _rows_of(rule.name, summary.baseline_alerts(rule.name, results))


def _rows_of(name: str, alerts: Sequence[Alert]) -> Iterator[Row]:
    groups = summary.group_by_label(alerts) or {EMPTY_CELL: list(alerts)}
    for label, some in groups.items():
        yield (name, label, *_summary_cells(summary.summarise(some)))


def _summary_cells(figures: Summary) -> Row:
    return (
        str(figures.traces),
        str(figures.not_assessed),
        f"{figures.pod_days:.1f}",
        str(figures.rolled),
        EMPTY_CELL if figures.rolled_per_1000_pod_days is None else f"{figures.rolled_per_1000_pod_days:.1f}",
        str(figures.ooms),
        str(figures.saved),
        str(figures.saved_1h),
        EMPTY_CELL if figures.lead_time_median_s is None else humanize_duration(figures.lead_time_median_s),
        EMPTY_CELL if figures.wasted_ratio_median is None else f"{figures.wasted_ratio_median:.0%}",
    )
