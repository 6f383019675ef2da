"""Return backtest results as a document, for `memroll backtest --output json` and `yaml`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from memroll.backtest import summary
from memroll.backtest.baselines.rules import rules_named

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from memroll.backtest.replay import Evaluation
    from memroll.backtest.runner import BacktestResult


def to_document(results: Sequence[BacktestResult], *, rules: Collection[str]) -> dict[str, Any]:
    """Return one document. Its key `rules` is empty unless the baseline rules were evaluated."""
    return {
        "traces": [_trace(r) for r in results],
        "summary": summary.to_dict(summary.policy_alerts(results)),
        "rules": {rule.name: _rule(rule.name, results) for rule in rules_named(rules)},
    }


def _trace(result: BacktestResult) -> dict[str, Any]:
    trace, replay = result.trace, result.replay
    return {
        "name": trace.name,
        "workload": trace.workload,
        "label": trace.label,
        "limit_bytes": trace.history.limit_bytes,
        "interval_s": trace.interval_s,
        "sample_ratio": trace.sample_ratio,
        "first_roll_s": _at_s(replay.rolled),
        "confirmed_s": _at_s(replay.confirmed),
        "suspected_s": _at_s(replay.suspected),
        "assessed": replay.assessed,
        "reason": replay.reason,
        "time_to_limit_s": None if replay.rolled is None else time_to_limit_s(replay.rolled),
        "oom_s": trace.oom_s,
    }


def _at_s(evaluation: Evaluation | None) -> float | None:
    return None if evaluation is None else evaluation.at_s


def time_to_limit_s(evaluation: Evaluation) -> float | None:
    """Return the time to the limit at an evaluation; None if the limit is not expected to be reached."""
    remaining_s = evaluation.verdict.time_to_limit_s
    return None if remaining_s is None or math.isinf(remaining_s) else remaining_s


def _rule(name: str, results: Sequence[BacktestResult]) -> dict[str, Any]:
    alerts = summary.baseline_alerts(name, results)
    return {"first_roll_s": {a.trace.name: a.rolled_s for a in alerts}, "summary": summary.to_dict(alerts)}
