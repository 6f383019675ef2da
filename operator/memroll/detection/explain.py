"""Explanation of a container's verdict: all checks of all windows, with the observed and the required values.

`inspection` calls `ExplainingAssessor.explain` for one pod. It reads the same samples and evaluates the same checks as
the assessment; but all checks of a group, also those after the first that fails, and also of a container that the
prefilter drops. The checks that compare growth with the past, the load and the peers need some: they are left out for a
window that has not the shape of a leak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from memroll.api.quantity import format_mib, format_rate, humanize_duration
from memroll.detection.assess import Assessor, SampleReader
from memroll.detection.batch_work import BatchWork, Stage
from memroll.detection.batches import split_into_batches
from memroll.detection.container_history import build_history
from memroll.detection.exhaustion import check_exhaustion
from memroll.detection.leak_checks import CONTEXT_CHECKS, HISTORY_CHECKS, LONG_CONTEXT_CHECKS, is_near_limit
from memroll.detection.parameters import build_parameters
from memroll.detection.peer_rows import PeerRows
from memroll.detection.peers import recent_peers
from memroll.detection.process_restarts import process_lifetimes
from memroll.detection.reasons import VerdictReason
from memroll.detection.shape_checks import SHAPE_CHECKS, Check
from memroll.detection.staged_prefilter import run_prefilter
from memroll.detection.unreclaimable import with_unreclaimable
from memroll.detection.window import TrendWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memroll.detection.batch_work import BatchData, WatchedContainer
    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.exhaustion import Urgency
    from memroll.detection.parameters import DetectionParameters


@dataclass(frozen=True, slots=True)
class Quantity:
    """Statistic of a check: its name, and its values as text."""

    name: str
    format: Callable[[float], str]
    is_maximum: bool = False
    """True if the check compares negative values: its statistic must stay below the threshold."""


def _percent(value: float) -> str:
    return f"{max(value, 0):.0%}"


def _times(value: float) -> str:
    return f"{value:.2f}"


QUANTITIES: Mapping[VerdictReason, Quantity] = {
    VerdictReason.NOT_GROWING: Quantity("slope", format_rate),
    VerdictReason.NOT_SIGNIFICANT: Quantity("lower bound of the slope", format_rate),
    VerdictReason.RISE_TOO_SMALL: Quantity("rise in the window", format_mib),
    VerdictReason.STEP_CHANGE: Quantity("rise without its largest step", _percent),
    VerdictReason.GROWTH_TOO_RECENT: Quantity("age of the growth", humanize_duration),
    VerdictReason.GROWTH_SLOWING: Quantity("last third of the rise to the first", _times),
    VerdictReason.APPROACHING_PLATEAU: Quantity("projected plateau", format_mib),
    VerdictReason.DAILY_PATTERN: Quantity("above the same hours of the day before", format_mib),
    VerdictReason.WITHIN_PREVIOUS_RANGE: Quantity("above earlier usage", format_mib),
    VerdictReason.SCALED_DAILY_PATTERN: Quantity("projected peak of the day", format_mib),
    VerdictReason.WEEKLY_PATTERN: Quantity("above the same time of the week before", format_mib),
    VerdictReason.EXPLAINED_BY_LOAD: Quantity("growth that load does not explain", _percent),
    VerdictReason.PEER_PLATEAUED: Quantity("longest plateau of a peer", humanize_duration, is_maximum=True),
    VerdictReason.COMMON_GROWTH: Quantity("growth that depends on age", _percent),
    VerdictReason.INSUFFICIENT_HISTORY: Quantity("known history", humanize_duration),
    VerdictReason.SAME_AGE_GROWTH: Quantity("age of growth that all pods share", humanize_duration),
}
"""Statistic by the reason of a check."""
SHAPE_QUANTITIES: Mapping[VerdictReason, Quantity] = {
    VerdictReason.GROWTH_TOO_RECENT: Quantity("smallest third of the rise, of a third", _times)
}
"""The same for those checks of the shape that differ from another one with their reason."""
LONG_QUANTITIES: Mapping[VerdictReason, Quantity] = {VerdictReason.STEP_CHANGE: Quantity("number of steps", _times)}
"""The same for windows of the long history."""


def quantity_of(check: Check) -> Quantity:
    """Return the statistic of a check."""
    if check in SHAPE_CHECKS and check.reason in SHAPE_QUANTITIES:
        return SHAPE_QUANTITIES[check.reason]
    if check in LONG_CONTEXT_CHECKS and check.reason in LONG_QUANTITIES:
        return LONG_QUANTITIES[check.reason]
    return QUANTITIES[check.reason]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check of one window."""

    reason: VerdictReason
    """Reason of a container that fails the check."""
    name: str
    """Name of the statistic."""
    observed: str
    required: str
    passed: bool


@dataclass(frozen=True, slots=True)
class WindowExplanation:
    """Checks of one window; none if it has too few samples."""

    window_s: float
    insufficient_data: str
    checks: tuple[CheckResult, ...] = ()
    has_leak_shape: bool = True
    """False if a check of the shape failed: the others were not evaluated."""

    @property
    def is_leak(self) -> bool:
        """True if all checks passed."""
        return not self.insufficient_data and all(check.passed for check in self.checks)


@dataclass(frozen=True, slots=True)
class ContainerExplanation:
    """Checks of one container."""

    container: str
    windows: tuple[WindowExplanation, ...] = ()
    urgency: Urgency | None = None
    """Result of the exhaustion checks; None without samples."""


class ExplainingAssessor(Assessor):
    """Assessor that explains the verdicts of one pod."""

    async def explain(self, prometheus: SampleReader, pod_uid: str) -> tuple[ContainerExplanation, ...]:
        """Read the samples of a pod and its peers, and return the checks of its watched containers."""
        own = tuple(w for w in self.containers if w.pod.key.uid == pod_uid and w.container.started_at is not None)
        if not own:
            return ()

        prefilter = partial(self._query_statistics, prometheus)
        result = await run_prefilter(prefilter, self.pods, build_parameters(self.policy, None))
        assessor, verdicts, near = self._screen(result)
        assert isinstance(assessor, ExplainingAssessor), "a copy of this assessor"
        (batch,) = split_into_batches(assessor.pods, {pod_uid})
        candidates = self._candidates(verdicts) | {w.pod.key.name for w in own}
        work = BatchWork(Stage.IN_CONTEXT, batch, own, candidates, near)
        data = await assessor._read_batch(prometheus, work)  # noqa: SLF001 - the same class
        return tuple(assessor._explain(watched, data) for watched in own)  # noqa: SLF001 - the same class

    def _explain(self, watched: WatchedContainer, data: BatchData) -> ContainerExplanation:
        pod, container, limits = watched.pod, watched.container, self.shared_limits
        assert container.started_at is not None, "those that do not run are left out"
        started_at_s = container.started_at.timestamp()
        samples, extremes = limits.in_series(data.samples), limits.in_extremes(data.extremes)
        row = samples.row_for(pod.key.name, container.name, container.id, started_at_s)
        if row is None or not len(row.rss):
            return ContainerExplanation(container.name)
        history = build_history(row, started_at_s, container.limit_bytes)
        long = extremes.row_for(pod.key.name, container.name, container.id, started_at_s)
        if long is not None:
            history = replace(history, minima=long.minima, maxima=long.maxima)
        peers = PeerRows(samples, self._groups).peers_of(pod, container, row)
        return explain_history(container.name, history, watched.parameters, self.now_s, peers)


def explain_history(
    name: str,
    history: ContainerHistory,
    parameters: DetectionParameters,
    now_s: float,
    peers: tuple[ContainerHistory, ...] = (),
) -> ContainerExplanation:
    """Evaluate all checks of all windows; the history is prepared as for a verdict."""
    history = history.as_of(now_s, parameters.lookback_s)
    if not len(history.rss) or not len(history.working_set):
        return ContainerExplanation(name)
    *earlier, current = process_lifetimes(with_unreclaimable(history, parameters), parameters)
    others = (*recent_peers(peers, parameters, now_s), *earlier)
    urgency = check_exhaustion(current, parameters, now_s, others)
    if parameters.threshold_bytes_per_s is None:
        return ContainerExplanation(name, urgency=urgency)
    lengths = (*parameters.windows_s, *parameters.long_windows_s)
    windows = (TrendWindow(current, parameters, window_s, now_s, others) for window_s in lengths)
    return ContainerExplanation(name, tuple(_explain_window(w) for w in windows), urgency)


def _explain_window(window: TrendWindow) -> WindowExplanation:
    if window.insufficient_data:
        return WindowExplanation(window.window_s, window.insufficient_data)
    shape = tuple(_result(check, window) for check in SHAPE_CHECKS)
    if not all(result.passed for result in shape):
        return WindowExplanation(window.window_s, "", shape, has_leak_shape=False)
    return WindowExplanation(window.window_s, "", (*shape, *(_result(c, window) for c in _context_checks(window))))


def _context_checks(window: TrendWindow) -> tuple[Check, ...]:
    """Return the checks of a window that has the shape of a leak."""
    if window.is_long:
        return LONG_CONTEXT_CHECKS
    return (*CONTEXT_CHECKS, *(() if is_near_limit(window) else HISTORY_CHECKS))


def _result(check: Check, window: TrendWindow) -> CheckResult:
    quantity = quantity_of(check)
    statistic, threshold = check.statistic(window), check.threshold(window)
    sign, word = (-1, "below") if quantity.is_maximum else (1, "above")
    required = f"{word} {_shown(sign * threshold, quantity)}"
    return CheckResult(
        check.reason, quantity.name, _shown(sign * statistic, quantity), required, passed=statistic > threshold
    )


def _shown(value: float, quantity: Quantity) -> str:
    """Return a value as text; an infinite one means that there is nothing to compare."""
    return quantity.format(value) if math.isfinite(value) else "none"
