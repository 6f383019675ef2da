"""Chart of the report that compares the policy with the baseline rules: one row of bars for each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.quantity import humanize_duration
from memroll.backtest import summary
from memroll.backtest.outcome import count_outcomes, rule_outcomes
from memroll.backtest.table_output import POLICY_ROW

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from memroll.backtest.outcome import RuleOutcome
    from memroll.backtest.runner import BacktestResult

Segment = tuple[str, float]
"""Colour of a part of a bar, and its length in percent of the longest possible bar."""
LEGEND = {
    "good": "rolled an hour or more before the OOM kill",
    "soft": "rolled less than an hour before the OOM kill",
    "bad": "OOM-killed without a roll before, or rolled although healthy",
    "warn": "rolled, not known whether healthy",
}
"""Meaning of each colour."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Bar with its value as text."""

    segments: tuple[Segment, ...]
    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ChartRow:
    """Row of the chart: the effect, the harm and the cost of one rule."""

    name: str
    is_policy: bool
    prevented: Bar
    without_oom: Bar
    wasted: Bar


def chart_rows(results: Sequence[BacktestResult], rules: Collection[str]) -> list[ChartRow]:
    """Return one row for the policy and one for each rule; none without rules or containers."""
    if not results or not rules:
        return []
    policy = count_outcomes(POLICY_ROW, summary.policy_alerts(results))
    return [_row(counted, counted is policy) for counted in (policy, *rule_outcomes(results, rules))]


def legend_of(rows: Sequence[ChartRow]) -> dict[str, str]:
    """Return the colours in use, with their meanings."""
    bars = [bar for row in rows for bar in (row.prevented, row.without_oom)]
    used = {colour for bar in bars for colour, percent in bar.segments if percent}
    return {colour: meaning for colour, meaning in LEGEND.items() if colour in used}


def _row(counted: RuleOutcome, is_policy: bool) -> ChartRow:  # noqa: FBT001 - private, and named at its only call
    return ChartRow(counted.name, is_policy, _prevented(counted), _without_oom(counted), _wasted(counted))


def _prevented(counted: RuleOutcome) -> Bar:
    figures = counted.figures
    if not figures.ooms:
        return Bar((), "no OOM kill")
    early = ("good", _percent(figures.saved_1h, figures.ooms))
    late = ("soft", _percent(counted.saved_late, figures.ooms))
    missed = ("bad", _percent(counted.missed, figures.ooms))
    lead = figures.lead_time_median_s
    note = "" if lead is None else f"{humanize_duration(lead)} ahead"
    return Bar((early, late, missed), f"{figures.saved} of {figures.ooms}", note)


def _without_oom(counted: RuleOutcome) -> Bar:
    total = counted.figures.traces - counted.figures.ooms
    if not total:
        return Bar((), "no other")
    healthy = ("bad", _percent(counted.rolled_healthy, total))
    others = ("warn", _percent(counted.rolled_others, total))
    note = f"{counted.rolled_healthy} healthy" if counted.rolled_healthy else ""
    return Bar((healthy, others), f"{counted.rolled_without_oom} of {total}", note)


def _wasted(counted: RuleOutcome) -> Bar:
    ratio = counted.figures.wasted_ratio_median
    return Bar((), "-") if ratio is None else Bar((("quiet", _percent(ratio, 1)),), f"{ratio:.0%}")


def _percent(part: float, whole: float) -> float:
    return round(min(100.0, 100 * part / whole), 1)
