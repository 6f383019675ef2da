"""Write backtest results as one self-contained HTML page, for `memroll backtest --report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.quantity import humanize_duration
from memroll.backtest import container_view, table_output
from memroll.backtest.baselines.rules import rules_named
from memroll.backtest.headline import headline
from memroll.backtest.outcome import NO_LEAK, group_by_outcome, has_labels
from memroll.backtest.rule_chart import chart_rows, legend_of
from memroll.errors import TerminalError
from memroll.pages.template import render
from memroll.pages.times import PageClock

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.runner import BacktestResult

UTC_CLOCK = PageClock()
"""Clock of a page whose reader's zone is unknown."""


def check(file: Path) -> None:
    """Raise an error if the report can't be written. Called first, because a replay may take hours."""
    if file.suffix.lower() not in (".html", ".htm"):
        raise TerminalError("ReportInvalid", f"--report {file}: the report is a page: use a name that ends with .html")
    if not file.parent.is_dir() or file.is_dir():
        raise TerminalError("ReportInvalid", f"--report {file}: must be a file in a folder that exists")


def write(file: Path, page: str) -> None:
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise TerminalError("ReportInvalid", f"--report {file}: {error.strerror}") from error


def render_page(
    results: Sequence[BacktestResult],
    policy: MemoryPolicy,
    *,
    rules: Collection[str],
    plots: int,
    clock: PageClock = UTC_CLOCK,
) -> str:
    """Return the page, with a plot of each of the first `plots` containers, those with bad outcomes first."""
    groups = container_view.groups(group_by_outcome(results), plots, clock)
    chart = chart_rows(results, rules)
    assessed = [r for r in results if r.replay.assessed]
    return render(
        "backtest.html",
        headline=headline(results),
        period=_period(results, clock),
        assessed=len(assessed),
        not_assessed=len(results) - len(assessed),
        pod_days=f"{sum(r.trace.days for r in assessed):.1f}",
        settings=_settings(policy),
        chart=chart,
        legend=legend_of(chart),
        knows_healthy=has_labels(results),
        no_leak=NO_LEAK,
        comparison=[table_output.COMPARISON_HEADER, *table_output.comparison_rows(results, rules=rules)],
        rules=rules_named(rules),
        groups=groups,
        plots=plots,
        undrawn=max(0, len(results) - plots),
    )


def _period(results: Sequence[BacktestResult], clock: PageClock) -> str:
    """Return the days of all traces; an empty text if their clock is not the wall clock."""
    if not results:
        return ""
    return clock.period(min(r.trace.start_s for r in results), max(r.trace.end_s for r in results))


def _settings(policy: MemoryPolicy) -> dict[str, str]:
    growth = policy.spec.growth
    return {
        "interval": humanize_duration(policy.spec.interval.total_seconds()),
        "window": humanize_duration(growth.window.total_seconds()),
        "growth": growth.per_hour.text,
    }
