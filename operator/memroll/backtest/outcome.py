"""Outcome of each container under the policy and under each rule, counted for the headline and the chart of the report.

Called by html_report. A container counts as healthy only if that is recorded: by its label, or by a leak that begins
after the roll. Without such labels nothing is claimed about healthy containers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from memroll.backtest import summary
from memroll.backtest.baselines.rules import rules_named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from memroll.backtest.runner import BacktestResult
    from memroll.backtest.summary import Alert, Summary

NO_LEAK = "no-leak"
"""Label of containers that are recorded as healthy."""


class TraceOutcome(StrEnum):
    """Outcome of one container, in the order of the report."""

    MISSED = "OOM-killed without a roll before"
    ROLLED_HEALTHY = "Rolled although healthy"
    SAVED = "Rolled before the OOM kill"
    ROLLED = "Rolled, no OOM kill recorded"
    CONFIRMED = "Leak confirmed, not rolled yet"
    SUSPECTED = "Suspected for a time, not confirmed"
    NOT_ASSESSED = "Not assessed"
    HEALTHY = "Healthy"


def outcome_of(alert: Alert) -> TraceOutcome:
    """Return the outcome; a container that could not be assessed is neither missed nor healthy."""
    if alert.rolled_s is not None:
        return _of_rolled(alert)
    if not alert.assessed:
        return TraceOutcome.NOT_ASSESSED
    if alert.trace.oom_s is not None:
        return TraceOutcome.MISSED
    if alert.confirmed_s is not None:
        return TraceOutcome.CONFIRMED
    return TraceOutcome.HEALTHY if alert.suspected_s is None else TraceOutcome.SUSPECTED


def _of_rolled(alert: Alert) -> TraceOutcome:
    if alert.trace.label == NO_LEAK or alert.rolled_before_onset:
        return TraceOutcome.ROLLED_HEALTHY
    if alert.trace.oom_s is None:
        return TraceOutcome.ROLLED
    return TraceOutcome.MISSED if alert.lead_time_s is None else TraceOutcome.SAVED


def group_by_outcome(results: Sequence[BacktestResult]) -> dict[TraceOutcome, list[BacktestResult]]:
    """Return the results of each outcome, in the order of the report; by name within each."""
    found = [(outcome_of(a), r) for a, r in zip(summary.policy_alerts(results), results, strict=True)]
    groups = {o: sorted((r for of, r in found if of is o), key=lambda r: r.trace.name) for o in TraceOutcome}
    return {outcome: some for outcome, some in groups.items() if some}


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """Outcomes of all containers under one rule."""

    name: str
    figures: Summary
    saved_late: int
    """Number of containers rolled less than an hour before their OOM kill."""
    rolled_healthy: int
    rolled_others: int
    """Number of containers that were rolled, not OOM-killed, and not recorded as healthy."""

    @property
    def missed(self) -> int:
        return self.figures.ooms - self.figures.saved

    @property
    def rolled_without_oom(self) -> int:
        return self.rolled_healthy + self.rolled_others


def count_outcomes(name: str, alerts: Sequence[Alert]) -> RuleOutcome:
    figures = summary.summarise(alerts)
    outcomes = [outcome_of(a) for a in alerts]
    return RuleOutcome(
        name,
        figures,
        figures.saved - figures.saved_1h,
        outcomes.count(TraceOutcome.ROLLED_HEALTHY),
        outcomes.count(TraceOutcome.ROLLED),
    )


def rule_outcomes(results: Sequence[BacktestResult], rules: Collection[str]) -> Iterator[RuleOutcome]:
    """Yield the outcomes of each baseline rule."""
    for rule in rules_named(rules):
        yield count_outcomes(rule.name, summary.baseline_alerts(rule.name, results))


def has_labels(results: Sequence[BacktestResult]) -> bool:
    """Return whether any container is recorded as healthy."""
    return any(r.trace.label == NO_LEAK for r in results)
