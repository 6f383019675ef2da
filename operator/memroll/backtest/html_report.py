"""Write backtest results as one self-contained HTML page, for `memroll backtest --report`."""

from __future__ import annotations

from html import escape
from importlib.util import find_spec
from string import Template
from typing import TYPE_CHECKING

from memroll import __version__
from memroll.api.quantity import format_mib, format_rate, humanize_duration
from memroll.backtest import table_output
from memroll.backtest.baselines.rules import rules_named
from memroll.backtest.json_output import time_to_limit_s
from memroll.errors import TerminalError
from memroll.rendering import EMPTY_CELL, STYLE, format_html_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.replay import Evaluation
    from memroll.backtest.runner import BacktestResult
    from memroll.detection.trend import Trend
    from memroll.rendering import Row

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>memroll backtest</title><style>$style</style></head>
<body>
<h1>memroll backtest</h1>
<p>$traces containers, $days pod-days$unassessed. Evaluated every $interval; window $window;
leak threshold $growth per hour.
<span class="quiet">memroll $version</span></p>
<h2>Comparison</h2>
$comparison
$rules
<h2>Containers</h2>
<p>Times are container ages.</p>
$containers
<h2>Details</h2>
$sections
</body>
</html>
""")
SECTION = Template("""<section>
<h3>$name</h3>
<p>$reason</p>
$picture
$numbers
</section>
""")


def check(file: Path) -> None:
    """Raise an error if the report can't be written. Called first, because a replay may take hours."""
    if find_spec("matplotlib") is None:
        raise TerminalError("ReportInvalid", "--report draws with matplotlib: pip install '.[report]' in a checkout")
    if file.suffix.lower() not in (".html", ".htm"):
        raise TerminalError("ReportInvalid", f"--report {file}: the report is a page: use a name that ends with .html")
    if not file.parent.is_dir() or file.is_dir():
        raise TerminalError("ReportInvalid", f"--report {file}: must be a file in a folder that exists")


def write(
    file: Path, results: Sequence[BacktestResult], policy: MemoryPolicy, *, rules: Collection[str], plots: int
) -> None:
    try:
        file.write_text(render_page(results, policy, rules=rules, plots=plots), encoding="utf-8")
    except OSError as error:
        raise TerminalError("ReportInvalid", f"--report {file}: {error.strerror}") from error


def render_page(results: Sequence[BacktestResult], policy: MemoryPolicy, *, rules: Collection[str], plots: int) -> str:
    """Return the page, with a plot of each of the first `plots` containers, sorted by urgency."""
    ordered = table_output.sort_by_urgency(results)
    growth = policy.spec.growth
    more = len(ordered) - plots
    rest = f'<p class="quiet">{more} more containers are not drawn: --plots {plots}.</p>' if more > 0 else ""
    return PAGE.substitute(
        style=STYLE,
        version=escape(__version__),
        traces=sum(r.replay.assessed for r in results),
        days=f"{sum(r.trace.days for r in results if r.replay.assessed):.1f}",
        unassessed=_not_assessed(results),
        interval=humanize_duration(policy.spec.interval.total_seconds()),
        window=humanize_duration(growth.window.total_seconds()),
        growth=escape(growth.per_hour.text),
        comparison=format_html_table(
            [table_output.COMPARISON_HEADER, *table_output.comparison_rows(results, rules=rules)]
        ),
        rules=_rule_descriptions(rules) if rules else "",
        containers=format_html_table([table_output.TRACE_HEADER, *map(table_output.trace_row, ordered)]),
        sections="".join(_section(r) for r in ordered[:plots]) + rest,
    )


def _not_assessed(results: Sequence[BacktestResult]) -> str:
    count = sum(not r.replay.assessed for r in results)
    return f"; {count} more could not be assessed, and are no healthy ones" if count else ""


def _rule_descriptions(rules: Collection[str]) -> str:
    rows = "".join(f"<li><b>{escape(rule.name)}</b>: {escape(rule.description)}</li>" for rule in rules_named(rules))
    return f'<ul class="quiet">{rows}</ul>'


def _section(result: BacktestResult) -> str:
    from memroll.backtest import plot  # noqa: PLC0415 - matplotlib is optional

    evaluations = plot.evaluations_by_stage(result.replay)
    numbers = [("", *evaluations), *evaluation_rows(result, tuple(evaluations.values()))] if evaluations else []
    return SECTION.substitute(
        name=escape(result.trace.name),
        reason=escape(result.replay.reason),
        picture=plot.render_svg(result),
        numbers=format_html_table(numbers) if numbers else "",
    )


def evaluation_rows(result: BacktestResult, evaluations: Sequence[Evaluation]) -> Iterator[Row]:
    """Yield one row per figure, with its value at each evaluation."""
    columns = [dict(_evaluation_cells(result, evaluation)) for evaluation in evaluations]
    names = dict.fromkeys(name for column in columns for name in column)
    for name in names:
        yield (name, *(column.get(name, EMPTY_CELL) for column in columns))


def _evaluation_cells(result: BacktestResult, evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    verdict, limit = evaluation.verdict, result.trace.history.limit_bytes
    yield "age", humanize_duration(evaluation.at_s - result.trace.start_s)
    yield "verdict", evaluation.description
    if verdict.usage_bytes is not None:
        ratio = f" ({verdict.usage_bytes / limit:.0%} of the limit)" if limit else ""
        yield "working set", f"{format_mib(verdict.usage_bytes)}{ratio}"
    remaining_s = time_to_limit_s(evaluation)
    if remaining_s is not None:
        yield "time to the limit", humanize_duration(remaining_s)
    if verdict.lead_time_s is not None:
        yield "lead time", humanize_duration(verdict.lead_time_s)
    if verdict.trend is not None:
        yield from _trend(verdict.trend)


def _trend(trend: Trend) -> Iterator[tuple[str, str]]:
    yield "slope of the lower envelope", format_rate(trend.slope_bytes_per_s)
    yield (
        "99 % confidence bounds of the slope",
        f"{format_rate(trend.slope_ci_lower_bytes_per_s)} and {format_rate(trend.slope_ci_upper_bytes_per_s)}",
    )
    yield "rise in the window", format_mib(trend.rise_bytes)
    yield "noise", format_mib(trend.noise_bytes)
    yield "rise without its largest step", f"{trend.rise_ratio_without_largest_step:.0%}"
    yield "ratio of the last third's growth to the first third's", f"{trend.last_to_first_third_ratio:.2f}"
    yield "variance inflation by autocorrelation", f"{trend.variance_inflation:.1f} times"
