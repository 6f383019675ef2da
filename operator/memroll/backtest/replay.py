"""Replay the detector over one trace: evaluate it at each interval with the samples up to that time only.

Called by runner for each trace; the result goes to the JSON, table and HTML outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.detection.long_history import with_long_history
from memroll.detection.prefilter import candidate_mask
from memroll.detection.verdict import ContainerVerdict, verdict_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.backtest.trace import Trace
    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters

NOT_A_CANDIDATE = "no growth, and not close to the limit"
"""Reason for a trace that the prefilter drops at its last evaluation."""
OTHER_MEMORY = "OtherMemory"
"""Reason of a verdict that reports growth outside of the RSS, whether or not the pod is rolled for it."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Verdict on a trace at one time."""

    at_s: float
    verdict: ContainerVerdict

    @property
    def description(self) -> str:
        return f"{self.verdict.reason}: {self.verdict.message}"


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """First evaluation at which the trace was suspected, reported, confirmed and rolled; None: it never was."""

    suspected: Evaluation | None = None
    confirmed: Evaluation | None = None
    rolled: Evaluation | None = None
    last: Evaluation | None = None
    """Evaluation at the last interval; None if the prefilter dropped the trace there."""
    reported: Evaluation | None = None
    """First evaluation that a user sees: the container was at risk, or other memory than its RSS grew."""
    is_assessed: bool = False
    """True if at least one evaluation had enough data for a verdict."""

    @property
    def complete(self) -> bool:
        return None not in (self.suspected, self.confirmed, self.rolled)

    @property
    def reason(self) -> str:
        """Description of the evaluation that rolled the trace, otherwise of the last one."""
        evaluation = self.rolled or self.last
        return NOT_A_CANDIDATE if evaluation is None else evaluation.description

    def with_evaluation(self, evaluation: Evaluation) -> ReplayResult:
        verdict = evaluation.verdict
        is_suspected = verdict.is_suspected or verdict.is_at_risk
        is_reported = verdict.is_at_risk or str(verdict.reason) == OTHER_MEMORY
        return replace(
            self,
            suspected=self.suspected or (evaluation if is_suspected else None),
            reported=self.reported or (evaluation if is_reported else None),
            confirmed=self.confirmed or (evaluation if verdict.is_confirmed_leak else None),
            rolled=self.rolled or (evaluation if verdict.due else None),
            is_assessed=self.is_assessed or not verdict.is_inconclusive,
        )


def replay(
    trace: Trace, parameters: DetectionParameters, peers: Sequence[ContainerHistory], every: int = 1
) -> ReplayResult:
    """Evaluate the trace at each interval that passes the prefilter, until it was suspected, confirmed and rolled.

    `every`: evaluate one interval of this many only, which saves time and changes no verdict at those.
    """
    result, evaluation = ReplayResult(), None
    history = with_long_history(trace.history, parameters.long_step_s)
    evaluation_times_s = trace.evaluation_times_s(parameters.interval_s)[every - 1 :: every]
    candidates = candidate_mask(trace.history, parameters, evaluation_times_s)
    for at_s in evaluation_times_s[candidates].tolist():
        evaluation = Evaluation(at_s, verdict_for(history, parameters, at_s, peers))
        result = result.with_evaluation(evaluation)
        if result.complete:
            return result
    is_assessed = result.is_assessed or not candidates.all()
    return replace(result, last=evaluation if candidates.size and candidates[-1] else None, is_assessed=is_assessed)
