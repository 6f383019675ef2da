"""Replay the detector over one trace: evaluate it at each interval with the samples up to that time only.

Called by runner for each trace; the result goes to the JSON, table and HTML outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.api.quantity import humanize_duration
from memroll.detection.long_history import long_history_at, needs_long_history, with_long_history
from memroll.detection.prefilter import candidate_mask
from memroll.detection.reasons import VerdictReason
from memroll.detection.verdict import ContainerVerdict, Verdict, verdict_for
from memroll.detection.window import MIN_COVERED_RATIO, TrendWindow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

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
    assessed: bool = True
    """False if no evaluation led to an assessment: all of them were inconclusive, so the trace is not known healthy."""

    @property
    def complete(self) -> bool:
        return None not in (self.suspected, self.confirmed, self.rolled)

    @property
    def reason(self) -> str:
        """Description of the evaluation that rolled the trace, otherwise of the last one."""
        evaluation = self.rolled or self.last
        description = NOT_A_CANDIDATE if evaluation is None else evaluation.description
        return description if self.assessed else f"not assessed: {description}"

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
            assessed=self.assessed or not verdict.is_inconclusive,
        )

    def with_last(self, evaluation: Evaluation) -> ReplayResult:
        """Return the result with the last evaluation, although the prefilter would have dropped the trace there."""
        return replace(self, last=evaluation, assessed=not evaluation.verdict.is_inconclusive)


def replay(
    trace: Trace, parameters: DetectionParameters, peers: Sequence[ContainerHistory], every: int = 1
) -> ReplayResult:
    """Evaluate the trace at each interval that passes the prefilter, until it was suspected, confirmed and rolled.

    `every`: evaluate one interval of this many only, which saves time and changes no verdict at those.
    """
    times_s = trace.evaluation_times_s(parameters.interval_s)[every - 1 :: every]
    if not times_s.size or not trace.has_memory:
        return ReplayResult(last=_without_evaluation(trace, parameters), assessed=False)
    result, evaluation = ReplayResult(assessed=False), None
    candidates = candidate_mask(trace.history, parameters, times_s)
    replayed = _Replayed(trace, parameters, peers)
    for at_s in times_s[candidates].tolist():
        evaluation = replayed.evaluate(at_s)
        result = result.with_evaluation(evaluation)
        if result.complete:
            return result
    result = replace(result, last=evaluation if candidates[-1] else None)
    if result.assessed or replayed.is_assessable_at(times_s[~candidates]):
        return replace(result, assessed=True)
    return result.with_last(replayed.evaluate(float(times_s[-1])))


class _Replayed:
    """Trace with all that its evaluations have in common."""

    def __init__(self, trace: Trace, parameters: DetectionParameters, peers: Sequence[ContainerHistory]) -> None:
        self._plain = trace.history
        self._long = with_long_history(trace.history, parameters.long_step_s)
        self._parameters = parameters
        self._peers = peers

    def evaluate(self, at_s: float) -> Evaluation:
        """Return the evaluation at one time, with the long history if the operator would read it then."""
        usage = self._plain.working_set.until(at_s).values
        near = bool(usage.size) and needs_long_history(float(usage[-1]), self._plain.limit_bytes)
        history = long_history_at(self._long, self._parameters, at_s) if near else self._plain
        return Evaluation(at_s, verdict_for(history, self._parameters, at_s, self._peers))

    def is_assessable_at(self, times_s: NDArray[np.float64]) -> bool:
        """Return whether the trace is old enough, and has enough samples, at one of these times."""
        parameters, history = self._parameters, self._plain
        min_age_s = parameters.warm_up_s + MIN_COVERED_RATIO * parameters.window_s
        old_enough = times_s[times_s - history.started_at_s >= min_age_s][::-1]
        windows_s = parameters.windows_s[:2]  # the policy's own, and the longer one
        return any(
            not TrendWindow(history, parameters, window_s, at_s).insufficient_data
            for at_s in old_enough.tolist()
            for window_s in windows_s
        )


def _without_evaluation(trace: Trace, parameters: DetectionParameters) -> Evaluation:
    """Return the reason for which a trace was never evaluated."""
    if not trace.has_memory:
        return Evaluation(trace.end_s, verdict_for(trace.history, parameters, trace.end_s))
    lasted, interval = (humanize_duration(s) for s in (trace.end_s - trace.start_s, parameters.interval_s))
    message = f"the trace lasts {lasted}, and is evaluated every {interval}"
    return Evaluation(trace.end_s, ContainerVerdict(Verdict.INCONCLUSIVE, VerdictReason.TOO_FEW_SAMPLES, message))
