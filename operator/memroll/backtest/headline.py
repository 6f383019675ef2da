"""Sentence that summarises a backtest, for the top of its report: how many would have been rolled, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.backtest import summary
from memroll.backtest.outcome import TraceOutcome, has_labels, outcome_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.backtest.runner import BacktestResult


@dataclass(frozen=True, slots=True)
class Headline:
    """Sentences, and whether they are good news."""

    text: str
    severity: str
    """`good`, `bad` or `quiet`."""


def headline(results: Sequence[BacktestResult]) -> Headline:
    """Return how many containers would have been rolled, before their OOM kill or without need."""
    outcomes = [outcome_of(a) for a in summary.policy_alerts(results)]
    assessed = len(outcomes) - outcomes.count(TraceOutcome.NOT_ASSESSED)
    if not assessed:
        return Headline("No container could be assessed.", "bad")
    rolled = sum(r.replay.rolled is not None for r in results)
    all_of = f"{assessed} containers" if assessed > 1 else "1 container"
    sentence = f"memroll would have rolled {rolled or 'none'} of {all_of}"
    if rolled:
        sentence += f", {_rolls(results, outcomes, rolled)}"
    if rolled and has_labels(results) and TraceOutcome.ROLLED_HEALTHY not in outcomes:
        sentence += ", and no healthy one"
    if not rolled and all(r.trace.oom_s is None for r in results):
        sentence += ", and none was OOM-killed"
    missed = sum(o is TraceOutcome.MISSED and r.replay.rolled is None for o, r in zip(outcomes, results, strict=True))
    sentence += _missed(missed)
    is_bad = bool({TraceOutcome.MISSED, TraceOutcome.ROLLED_HEALTHY} & set(outcomes))
    return Headline(sentence, "bad" if is_bad else "good" if rolled else "quiet")


def _rolls(results: Sequence[BacktestResult], outcomes: Sequence[TraceOutcome], rolled: int) -> str:
    """Return the rolls by outcome: "both before their OOM kill", or "2 before their OOM kill, 1 although healthy"."""
    late = sum(o is TraceOutcome.MISSED and r.replay.rolled is not None for o, r in zip(outcomes, results, strict=True))
    counts = {
        "before {} OOM kill": outcomes.count(TraceOutcome.SAVED),
        "too late for {} OOM kill": late,
        "without an OOM kill in the history": outcomes.count(TraceOutcome.ROLLED),
        "although healthy": outcomes.count(TraceOutcome.ROLLED_HEALTHY),
    }
    found = [(text.format("its" if count == 1 else "their"), count) for text, count in counts.items() if count]
    if len(found) > 1:
        return ", ".join(f"{count} {text}" for text, count in found)
    all_of_them = {1: "", 2: "both "}.get(rolled, f"all {rolled} ")
    return f"{all_of_them}{found[0][0]}"


def _missed(count: int) -> str:
    killed = "1 was" if count == 1 else f"{count} were"
    return f"; {killed} OOM-killed without a roll." if count else "."
