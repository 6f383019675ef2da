"""The report: one HTML page that needs nothing else, for whoever must be convinced."""

from __future__ import annotations

from html import escape
from importlib.util import find_spec
from string import Template
from typing import TYPE_CHECKING

from memroll import __version__
from memroll.api.quantity import about, mib
from memroll.backtest import table_output
from memroll.backtest.baselines.rules import RULES
from memroll.backtest.json_output import time_to_limit_s
from memroll.detection.verdict import Breach, Inconclusive
from memroll.detection.window import per_hour
from memroll.errors import Stalled
from memroll.rendering import NONE, STYLE, html_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.replay import Moment
    from memroll.backtest.runner import Result
    from memroll.detection.trend import Trend
    from memroll.rendering import Row

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>memroll backtest</title><style>$style</style></head>
<body>
<h1>memroll backtest</h1>
<p>$traces containers, $days pod-days. Judged each $interval: window $window, a leak grows by over $growth an hour.
<span class="quiet">memroll $version</span></p>
<h2>Compared</h2>
$compared
$rules
<h2>Found</h2>
<p>Times are ages of the containers.</p>
$found
<h2>Each container</h2>
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
    """Refuse, before hours of work, what can't be written in the end."""
    if find_spec("matplotlib") is None:
        raise Stalled("ReportInvalid", "--report draws with matplotlib: pip install 'memroll[report]'")
    if not file.parent.is_dir() or file.is_dir():
        raise Stalled("ReportInvalid", f"--report {file}: must be a file in a folder that exists")


def write(file: Path, results: Sequence[Result], policy: MemoryPolicy, *, rules: bool, plots: int) -> None:
    try:
        file.write_text(page(results, policy, rules=rules, plots=plots), encoding="utf-8")
    except OSError as error:
        raise Stalled("ReportInvalid", f"--report {file}: {error.strerror}") from error


def page(results: Sequence[Result], policy: MemoryPolicy, *, rules: bool, plots: int) -> str:
    """Return the whole page, with a picture of each of the first `plots` containers by urgency."""
    ordered = table_output.by_urgency(results)
    growth = policy.spec.growth
    more = len(ordered) - plots
    rest = f'<p class="quiet">{more} more containers are not drawn: --plots {plots}.</p>' if more > 0 else ""
    return PAGE.substitute(
        style=STYLE,
        version=escape(__version__),
        traces=len(results),
        days=f"{sum(r.trace.days for r in results):.1f}",
        interval=about(policy.spec.interval.total_seconds()),
        window=about(growth.window.total_seconds()),
        growth=escape(growth.per_hour.text),
        compared=html_table([table_output.COMPARED, *table_output.compared_rows(results, rules=rules)]),
        rules=_meanings() if rules else "",
        found=html_table([table_output.FOUND, *map(table_output.found_row, ordered)]),
        sections="".join(_section(r) for r in ordered[:plots]) + rest,
    )


def _meanings() -> str:
    rows = "".join(f"<li><b>{escape(rule.name)}</b>: {escape(rule.means)}</li>" for rule in RULES)
    return f'<ul class="quiet">{rows}</ul>'


def _section(result: Result) -> str:
    from memroll.backtest import plot  # noqa: PLC0415 - matplotlib is optional

    told = plot.moments(result.found)
    numbers = [("", *told), *numbers_of(result, tuple(told.values()))] if told else []
    return SECTION.substitute(
        name=escape(result.trace.name),
        reason=escape(result.found.reason),
        picture=plot.svg(result),
        numbers=html_table(numbers) if numbers else "",
    )


def numbers_of(result: Result, told: Sequence[Moment]) -> Iterator[Row]:
    """Yield what was known at each moment that something was told, one row per number."""
    columns = [dict(_numbers(result, moment)) for moment in told]
    names = dict.fromkeys(name for column in columns for name in column)
    for name in names:
        yield (name, *(column.get(name, NONE) for column in columns))


def _numbers(result: Result, moment: Moment) -> Iterator[tuple[str, str]]:
    verdict, limit = moment.verdict, result.trace.subject.limit_bytes
    yield "age", about(moment.at_s - result.trace.start_s)
    yield "verdict", moment.words
    if verdict.usage_bytes is not None:
        share = f" ({verdict.usage_bytes / limit:.0%} of the limit)" if limit else ""
        yield "working set", f"{mib(verdict.usage_bytes)}{share}"
    left_s = time_to_limit_s(moment)
    if left_s is not None:
        yield "time to the limit", about(left_s)
    if isinstance(verdict, Breach) and verdict.lead_s is not None:
        yield "lead", about(verdict.lead_s)
    if not isinstance(verdict, Inconclusive) and verdict.trend is not None:
        yield from _trend(verdict.trend)


def _trend(trend: Trend) -> Iterator[tuple[str, str]]:
    yield "slope of the floor", per_hour(trend.slope_bytes_per_s)
    yield "its 99 % bounds", f"{per_hour(trend.bound_bytes_per_s)} and {per_hour(trend.upper_bytes_per_s)}"
    yield "rise in the window", mib(trend.rise_bytes)
    yield "noise", mib(trend.noise_bytes)
    yield "rise without its largest step", f"{trend.rest_share:.0%}"
    yield "last third against the first", f"{trend.late_share:.2f}"
    yield "variance inflated by autocorrelation", f"{trend.inflation:.1f} times"
