"""What was found, as rows of text: for a terminal, and for the report's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.quantity import about
from memroll.backtest import summary
from memroll.backtest.baselines.rules import RULES
from memroll.backtest.json_output import time_to_limit_s
from memroll.rendering import NONE, aligned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memroll.backtest.replay import Moment
    from memroll.backtest.runner import Result
    from memroll.backtest.summary import Alarm, Summary
    from memroll.rendering import Row

FOUND: Row = ("TRACE", "LABEL", "SUSPECTED", "CONFIRMED", "ACTED", "OOM", "TO LIMIT", "WHY")
COMPARED: Row = (
    "RULE", "LABEL", "TRACES", "POD-DAYS", "ACTED ON", "PER 1000 POD-DAYS", "OOM", "SAVED", "1H AHEAD",
    "LEAD", "LIFE WASTED",
)  # fmt: skip
OWN = "memroll"


def to_text(results: Sequence[Result], *, rules: bool) -> str:
    """Write the traces of which something was told, and the comparison."""
    told = [r for r in by_urgency(results) if r.found.suspected]
    silent = len(results) - len(told)
    found = f"{aligned([FOUND, *map(found_row, told)])}\n\n" if told else ""
    return (
        f"{found}{found and 'and '}{silent} of which nothing was told. Times are ages.\n\n"
        f"{aligned([COMPARED, *compared_rows(results, rules=rules)])}"
    )


def by_urgency(results: Sequence[Result]) -> list[Result]:
    """Order by what was done: acted on first, then confirmed, then suspected; by name within."""

    def key(result: Result) -> tuple[bool, bool, bool, str]:
        found = result.found
        return not found.acted, not found.confirmed, not found.suspected, result.trace.name

    return sorted(results, key=key)


def found_row(result: Result) -> Row:
    trace, found = result.trace, result.found

    def age(at_s: float | None) -> str:
        return NONE if at_s is None else about(at_s - trace.start_s)

    moments: tuple[Moment | None, ...] = (found.suspected, found.confirmed, found.acted)
    left_s = None if found.acted is None else time_to_limit_s(found.acted)
    return (
        trace.name,
        trace.label or NONE,
        *(age(None if m is None else m.at_s) for m in moments),
        age(trace.oom_s),
        NONE if left_s is None else about(left_s),
        found.reason,
    )


def compared_rows(results: Sequence[Result], *, rules: bool) -> Iterator[Row]:
    """Yield one row per label of the policy, then of each simpler rule."""
    yield from _rows_of(OWN, summary.of_policy(results))
    for rule in RULES if rules else ():
        yield from _rows_of(rule.name, summary.of_rule(rule.name, results))


def _rows_of(name: str, alarms: Sequence[Alarm]) -> Iterator[Row]:
    groups = summary.by_label(alarms) or {NONE: list(alarms)}
    for label, some in groups.items():
        yield (name, label, *_figures(summary.summarise(some)))


def _figures(found: Summary) -> Row:
    return (
        str(found.traces),
        f"{found.pod_days:.1f}",
        str(found.acted_on),
        NONE if found.acted_per_1000_pod_days is None else f"{found.acted_per_1000_pod_days:.1f}",
        str(found.ooms),
        str(found.saved),
        str(found.saved_1h),
        NONE if found.lead_median_s is None else about(found.lead_median_s),
        NONE if found.wasted_share_median is None else f"{found.wasted_share_median:.0%}",
    )
