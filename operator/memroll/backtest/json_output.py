"""What was found, as JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from memroll.backtest import summary
from memroll.backtest.baselines.rules import RULES
from memroll.detection.verdict import Breach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.backtest.replay import Moment
    from memroll.backtest.runner import Result


def to_json(results: Sequence[Result], *, rules: bool) -> str:
    """Write one object. `rules` is empty when the simpler rules were not asked."""
    content = {
        "traces": [_trace(r) for r in results],
        "summary": summary.as_json(summary.of_policy(results)),
        "rules": {rule.name: _rule(rule.name, results) for rule in RULES} if rules else {},
    }
    return json.dumps(content, indent=1, allow_nan=False)


def _trace(result: Result) -> dict[str, Any]:
    trace, found = result.trace, result.found
    return {
        "name": trace.name,
        "workload": trace.workload,
        "label": trace.label,
        "limit_bytes": trace.subject.limit_bytes,
        "first_action_s": _at_s(found.acted),
        "confirmed_s": _at_s(found.confirmed),
        "suspected_s": _at_s(found.suspected),
        "reason": found.reason,
        "time_to_limit_s": None if found.acted is None else time_to_limit_s(found.acted),
        "oom_s": trace.oom_s,
    }


def _at_s(moment: Moment | None) -> float | None:
    return None if moment is None else moment.at_s


def time_to_limit_s(moment: Moment) -> float | None:
    left_s = moment.verdict.time_to_limit_s if isinstance(moment.verdict, Breach) else None
    return None if left_s is None or math.isinf(left_s) else left_s


def _rule(name: str, results: Sequence[Result]) -> dict[str, Any]:
    alarms = summary.of_rule(name, results)
    return {"first_action_s": {a.trace.name: a.acted_s for a in alarms}, "summary": summary.as_json(alarms)}
