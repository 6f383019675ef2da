"""Moments of a replayed trace, ordered by time: suspected, confirmed, rolled, OOM-killed. Called by the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memroll.backtest.replay import Evaluation
    from memroll.backtest.runner import BacktestResult


@dataclass(frozen=True, slots=True)
class TraceMoment:
    """Moment of a trace, with the evaluation that led to it."""

    kind: str
    """Class of its colour on a page."""
    name: str
    at_s: float
    evaluation: Evaluation | None = None
    """Evaluation at this time; None for an OOM kill."""


def moments_of(result: BacktestResult) -> list[TraceMoment]:
    """Return the moments of a trace, ordered by time; of equal times, in the order of a usual leak."""
    replay, oom_s = result.replay, result.trace.oom_s
    stages = {"suspected": replay.suspected, "confirmed": replay.confirmed, "rolled": replay.rolled}
    moments = [TraceMoment(name, name, e.at_s, e) for name, e in stages.items() if e is not None]
    if oom_s is not None:
        moments.append(TraceMoment("killed", "OOM-killed", oom_s))
    return sorted(moments, key=lambda m: m.at_s)
